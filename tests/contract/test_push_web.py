"""Pushes to browsers: what each answer means, what leaves, and whom our servers may be made to call."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from channels import push_address, vapid
from channels.base import (
    Accepted,
    Content,
    Failed,
    HasPublicKey,
    Medium,
    Outcome,
    Outgoing,
    Refusal,
    Refused,
    Throttled,
    Unknown,
    hole,
)
from channels.errors import BadAddress, CannotExpress, NotConfigured
from channels.http import Session
from channels.push_web import LONGEST_PAYLOAD, PushWeb, topic_of
from tests.fakes import push
from tests.fakes.push import FakePush, octets64
from tests.fakes.web import Answer, Trouble

KEY = vapid.read_key(vapid.make_key())
CONTACT = "mailto:push@police.example"
DEVICE = FakePush().subscribe()


@pytest.fixture
async def provider() -> AsyncIterator[FakePush]:
    async with FakePush() as fake:
        yield fake


@pytest.fixture
async def channel(provider: FakePush) -> AsyncIterator[PushWeb]:
    async with PushWeb(KEY, CONTACT, url=provider.url, timeout_seconds=1.5) as made:
        yield made


def outgoing(channel: PushWeb, to: str, number: int = 1, **more: Any) -> Outgoing:
    content = Content(
        medium=Medium.PUSH,
        language="cy",
        text="Lladrad ar Heol yr Abaty\n",
        sender_name="Abbey SNT",
        link="https://link.example/areas/E1#m-1",
        actions=(("Stop or change", hole("manage_url")),),
    )
    values = {"manage_url": "https://link.example/manage/x"}
    prepared = channel.prepare(content)
    return Outgoing(attempt="", delivery=f"d{number}.mac", to=to, prepared=prepared, values=values, **more)


async def test_a_device_reads_what_was_sent_and_nobody_between_does(
    channel: PushWeb, provider: FakePush
) -> None:
    device = provider.subscribe(channel.public_key)
    found = await channel.send(outgoing(channel, device.address))
    assert isinstance(found, Accepted)
    assert found.provider_id.startswith(f"{push.ORIGIN}/m/")
    assert list(device.tray.values()) == [
        {
            "title": "Abbey SNT",
            "body": "Lladrad ar Heol yr Abaty",
            "lang": "cy",
            "url": "https://link.example/areas/E1#m-1",
            "actions": [{"title": "Stop or change", "url": "https://link.example/manage/x"}],
            "tag": topic_of("d1.mac"),
            "urgent": "",
        }
    ]


async def test_an_alert_is_pressing_and_is_kept_as_long_as_it_is_worth_something(
    channel: PushWeb, provider: FakePush
) -> None:
    device = provider.subscribe()
    cases: list[dict[str, Any]] = [
        {},
        {"urgent": True},
        {"good_for_seconds": 90.5},
        {"good_for_seconds": 1},
    ]
    for number, more in enumerate(cases):
        await channel.send(outgoing(channel, device.address, number, **more))
    assert [(taken.urgency, taken.ttl, taken.words["urgent"]) for taken in provider.accepted] == [
        ("normal", 86400, ""),
        ("high", 21600, "yes"),
        ("normal", 90, ""),
        ("normal", 60, ""),
    ]


async def test_a_second_try_replaces_the_first_on_a_device_that_is_on_and_on_one_that_is_off(
    channel: PushWeb, provider: FakePush
) -> None:
    here, away = provider.subscribe(), provider.subscribe()
    away.is_on = False
    for device in (here, away):
        provider.script("send", Trouble.TAKE_AND_CUT)
        assert isinstance(await channel.send(outgoing(channel, device.address)), Unknown)
        assert isinstance(await channel.send(outgoing(channel, device.address)), Accepted)
        await channel.send(outgoing(channel, device.address, number=2))
    away.wake()
    assert len(provider.accepted) == 6
    assert (len(here.tray), len(away.tray)) == (2, 2)
    assert all(len(taken.topic) == 32 for taken in provider.accepted)


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        (Answer(status=201), Accepted(provider_id=topic_of("d1.mac"))),
        (Answer(status=202), Accepted(provider_id=topic_of("d1.mac"))),
        (push.GONE, Refusal.BAD_ADDRESS),
        (push.NOT_FOUND, Refusal.BAD_ADDRESS),
        (push.TOO_LONG, Refusal.CONTENT),
        (push.MISMATCH, Refusal.BAD_ADDRESS),
        (push.BAD_TOKEN, Refusal.NOT_ALLOWED),
        (Answer(status=401), Refusal.NOT_ALLOWED),
        (Answer(status=400), Refusal.CONTENT),
        (Answer(status=302, headers={"Location": "http://127.0.0.1/"}), Failed),
        (Answer(status=406), Throttled),
        (push.throttled(120), Throttled),
        (push.BROKEN, Unknown),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
async def test_an_answer_means_what_it_says(
    channel: PushWeb, provider: FakePush, answer: Answer, meant: object
) -> None:
    provider.script("", answer)
    found: Outcome = await channel.send(outgoing(channel, provider.subscribe().address))
    if isinstance(meant, Refusal):
        assert isinstance(found, Refused)
        assert found.why is meant
    else:
        assert found == meant or isinstance(found, meant if isinstance(meant, type) else ())


async def test_chromes_words_for_another_key_end_one_subscription_and_not_the_channel(
    channel: PushWeb, provider: FakePush
) -> None:
    words = "the VAPID credentials in the header do not correspond to those that made the subscription"
    provider.script("", Answer(status=403, body={"error": words}))
    found = await channel.send(outgoing(channel, provider.subscribe().address))
    assert isinstance(found, Refused)
    assert found.why is Refusal.BAD_ADDRESS


async def test_a_subscription_for_another_key_is_turned_away_by_the_service_itself(
    channel: PushWeb, provider: FakePush
) -> None:
    device = provider.subscribe(vapid.public_key(vapid.read_key(vapid.make_key())))
    found = await channel.send(outgoing(channel, device.address))
    assert isinstance(found, Refused)
    assert found.why is Refusal.BAD_ADDRESS


async def test_the_token_is_made_once_for_each_push_service_and_anew_before_it_runs_out(
    provider: FakePush,
) -> None:
    seconds = 1_800_000_000.0
    channel = PushWeb(KEY, CONTACT, url=provider.url, clock=lambda: seconds)
    first = channel._token("https://fcm.googleapis.com")
    assert channel._token("https://fcm.googleapis.com") == first
    assert channel._token("https://web.push.apple.com") != first
    seconds += 11.5 * 3600
    assert channel._token("https://fcm.googleapis.com") != first
    claims = json.loads(octets64(first.split("t=")[1].split(".")[1]))
    assert claims == {"aud": "https://fcm.googleapis.com", "sub": CONTACT, "exp": 1_800_043_200}


async def test_nothing_longer_than_a_push_service_need_take_ever_leaves(
    channel: PushWeb, provider: FakePush
) -> None:
    device = provider.subscribe()
    content = Content(
        medium=Medium.PUSH, language="en", text="x" * 3000, link="https://a.example/" + "y" * 700
    )
    message = outgoing(channel, device.address)
    message.prepared = channel.prepare(content)
    assert isinstance(await channel.send(message), Accepted)
    with pytest.raises(CannotExpress):
        channel.prepare(Content(medium=Medium.PUSH, language="en", text="ŵ" * 1501))
    with pytest.raises(CannotExpress):
        channel.prepare(Content(medium=Medium.PUSH, language="en", text="x", link="y" * LONGEST_PAYLOAD))


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://evil.example/x",
        "http://fcm.googleapis.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://localhost/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://fcm.googleapis.com@evil.example/x",
        "https://evil.example#fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://fcm.googleapis.com",
        "https://notify.windows.com/x",
        "https://evilnotify.windows.com/x",
        "https://fcm.googleapis.com/x y",
        "https://fcm.googleapis.com\\@evil.example/x",
    ],
)
async def test_nobody_can_make_us_call_anything_but_a_push_service(
    channel: PushWeb, provider: FakePush, endpoint: str
) -> None:
    keys = provider.subscribe().address.partition("#")[2]
    with pytest.raises(BadAddress):
        channel.normalise(f"{endpoint}#{keys}", Medium.PUSH)
    with pytest.raises(BadAddress):
        channel.normalise(json.dumps({"endpoint": endpoint, "keys": provider.subscribe().keys}), Medium.PUSH)
    found = await channel.send(outgoing(channel, f"{endpoint}#{keys}"))
    assert isinstance(found, Refused)
    assert found.why is Refusal.BAD_ADDRESS
    assert not provider.calls


async def test_an_endpoint_is_called_exactly_as_the_browser_gave_it(
    channel: PushWeb, provider: FakePush
) -> None:
    for path in ("/fcm/send/a:b-c_d", "/wpush/v2/gAA%3D%2Bx==", "/w/?token=BQ%2bY%3d"):
        device = provider.subscribe(endpoint=f"{push.ORIGIN}{path}")
        assert channel.normalise(device.address, Medium.PUSH) == device.address
        assert push_address.read(device.address).endpoint == device.endpoint
    session = Session("")
    assert str(session._moved(URL(device.endpoint, encoded=True))) == device.endpoint
    assert str(Session("http://127.0.0.1:1")._moved(URL(device.endpoint, encoded=True))).endswith(path)


async def test_hosts_of_push_services_are_the_operators_to_choose(provider: FakePush) -> None:
    env = {
        "NOTIFIER_PUSH_VAPID_KEY": vapid.make_key(),
        "NOTIFIER_PUSH_CONTACT": CONTACT,
        "NOTIFIER_PUSH_SERVICES": "push.force.example, *.notify.windows.com",
    }
    channel = PushWeb.from_env(env)
    keys = provider.subscribe().address.partition("#")[2]
    for host in ("push.force.example", "wns2-db5p.notify.windows.com"):
        assert channel.normalise(f"https://{host}/x#{keys}", Medium.PUSH).startswith(f"https://{host}/x#")
    with pytest.raises(BadAddress):
        channel.normalise(f"https://fcm.googleapis.com/x#{keys}", Medium.PUSH)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p256dh", "BA"),
        ("p256dh", "BB" + "A" * 85),
        ("auth", "AAAA"),
        ("auth", "ŵ"),
        ("auth", ""),
    ],
)
def test_keys_that_nothing_can_be_encrypted_for_are_no_address(name: str, value: str) -> None:
    device = FakePush().subscribe()
    keys = device.keys | {name: value}
    with pytest.raises(BadAddress):
        PushWeb(KEY, CONTACT).normalise(json.dumps({"endpoint": device.endpoint, "keys": keys}), Medium.PUSH)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFIER_PUSH_VAPID_KEY", "secret"),
        ("NOTIFIER_PUSH_VAPID_KEY", "-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----"),
        ("NOTIFIER_PUSH_CONTACT", "push@police.example"),
        ("NOTIFIER_PUSH_CONTACT", "mailto:push@localhost"),
    ],
)
def test_a_key_or_contact_that_push_services_would_refuse_is_said_at_the_start(name: str, value: str) -> None:
    env = {"NOTIFIER_PUSH_VAPID_KEY": vapid.make_key(), "NOTIFIER_PUSH_CONTACT": CONTACT, name: value}
    with pytest.raises(NotConfigured, match=name):
        PushWeb.from_env(env)


def test_a_key_may_be_a_pem_on_one_line() -> None:
    from cryptography.hazmat.primitives import serialization

    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = KEY.private_bytes(*form).decode()
    for spelling in (pem, pem.replace("\n", "\\n")):
        env = {"NOTIFIER_PUSH_VAPID_KEY": spelling, "NOTIFIER_PUSH_CONTACT": CONTACT}
        made = PushWeb.from_env(env)
        assert isinstance(made, HasPublicKey)
        assert made.public_key == vapid.public_key(KEY)


def test_the_stand_in_decrypts_the_example_of_rfc_8291() -> None:
    """Section 5: so what it shows was encrypted as the standard says, and not only as our library does."""
    body = (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
        "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    number = int.from_bytes(octets64("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"))
    found = http_ece.decrypt(
        octets64(body),
        private_key=ec.derive_private_key(number, ec.SECP256R1()),
        auth_secret=octets64("BTBZMqHH6r4Tts7J_aSIgg"),
        version="aes128gcm",
    )
    assert found == b"When I grow up, I want to be a watermelon"


async def test_many_pushes_at_once_are_each_read_by_their_own_device(
    channel: PushWeb, provider: FakePush
) -> None:
    devices = [provider.subscribe(channel.public_key) for _ in range(40)]
    sends = (channel.send(outgoing(channel, each.address, number)) for number, each in enumerate(devices))
    assert all(isinstance(found, Accepted) for found in await asyncio.gather(*sends))
    assert [list(each.tray) for each in devices] == [[topic_of(f"d{number}.mac")] for number in range(40)]


@given(st.text(max_size=60))
def test_no_text_is_an_address_by_accident_and_none_raises_anything_else(text: str) -> None:
    device = DEVICE
    for address in (text, f"{text}#{device.address.partition('#')[2]}", f"{push.ORIGIN}/{text}", device.address + text,
                    f"https://{text}.notify.windows.com/w#{device.address.partition('#')[2]}"):  # fmt: skip
        try:
            found = push_address.read(address)
        except BadAddress:
            continue
        assert push_address.read(str(found)) == found
        assert found.origin.endswith((".services.mozilla.com", ".notify.windows.com"))
