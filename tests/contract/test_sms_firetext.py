"""Texts through FireText: its codes, its look-up by reference, and what its calls say."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from channels.base import (
    Accepted,
    Content,
    HookRequest,
    Incoming,
    Medium,
    Outgoing,
    Progress,
    Receipt,
    Refusal,
    Refused,
    Throttled,
    Unknown,
)
from channels.errors import BadHook, CannotExpress, NotConfigured
from channels.sms_firetext import SmsFiretext
from tests.fakes import firetext
from tests.fakes.web import Answer, Trouble

TO, OURS = "+447700900001", "+447700900100"
HOOK = "https://link.example/hooks/sms_firetext"
KEYS = ("newer-key-0123456789", "older-key-0123456789")


@pytest.fixture
async def provider() -> AsyncIterator[firetext.FakeFiretext]:
    async with firetext.FakeFiretext() as fake:
        yield fake


@pytest.fixture
async def channel(provider: firetext.FakeFiretext) -> AsyncIterator[SmsFiretext]:
    async with SmsFiretext(
        firetext.API_KEY,
        [OURS, "Southmere"],
        KEYS,
        base_url="https://link.example",
        api_url=provider.url,
        timeout_seconds=1.5,
    ) as made:
        yield made


def outgoing(
    channel: SmsFiretext, words: str = "Road closed", *, delivery: str = "d.mac", sender: str = ""
) -> Outgoing:
    prepared = channel.prepare(Content(medium=Medium.SMS, language="en", text=words))
    return Outgoing(attempt="at.mac", delivery=delivery, to=TO, prepared=prepared, values={}, sender=sender)


async def test_a_text_names_its_delivery_and_where_its_receipt_goes(
    channel: SmsFiretext, provider: firetext.FakeFiretext
) -> None:
    await channel.send(outgoing(channel))
    await channel.send(outgoing(channel, "Tŷ Newydd", sender="Southmere"))
    first, second = provider.accepted
    assert (first.sender, first.reference, first.is_unicode) == (OURS[1:], "d.mac", False)
    assert first.receipt == f"{HOOK}?attempt=at.mac&key={KEYS[0]}"
    assert (second.sender, second.body, second.is_unicode) == ("Southmere", "Tŷ Newydd", True)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (firetext.said(1), Refusal.NOT_ALLOWED),
        (firetext.said(2), Refusal.BAD_ADDRESS),
        (firetext.said(3), Refusal.NOT_ALLOWED),
        (firetext.said(5), Refusal.CONTENT),
        (firetext.NO_CREDIT, Refusal.NOT_ALLOWED),
        (Answer(status=200, body={"code": "7"}), Refusal.NOT_ALLOWED),
        (Answer(status=403), Refusal.NOT_ALLOWED),
        (Answer(status=413), Refusal.CONTENT),
    ],
)
async def test_an_answer_means_what_the_table_says(
    channel: SmsFiretext, provider: firetext.FakeFiretext, answer: Answer, why: Refusal
) -> None:
    provider.script(TO, answer)
    found = await channel.send(outgoing(channel))
    assert isinstance(found, Refused)
    assert found.why is why


@pytest.mark.parametrize("answer", [firetext.said(99), firetext.said(42), *Trouble])
async def test_no_clear_answer_is_in_doubt_and_the_reference_resolves_it(
    channel: SmsFiretext, provider: firetext.FakeFiretext, answer: Answer | Trouble
) -> None:
    provider.script(TO, answer)
    message = outgoing(channel)
    assert isinstance(await channel.send(message), Unknown)
    found = await channel.look_up(message)
    assert isinstance(found, Accepted) == bool(len(provider.accepted))
    assert isinstance(await channel.look_up(outgoing(channel, delivery="other.mac")), Unknown)


async def test_a_look_up_that_fails_decides_nothing(
    channel: SmsFiretext, provider: firetext.FakeFiretext
) -> None:
    answers = (firetext.said(1), Trouble.FAIL_AS_HTML, Answer(status=429, headers={"Retry-After": "7"}))
    provider.script("report", *answers)
    found = [await channel.look_up(outgoing(channel)) for _ in answers]
    assert [each.after_seconds for each in found if isinstance(each, Throttled)] == [0, 0, 7]


def test_a_text_longer_than_firetext_takes_is_refused_and_its_unicode_parts_are_shorter() -> None:
    channel = SmsFiretext("key", [OURS], KEYS)
    costs = channel.estimate(Content(medium=Medium.SMS, language="cy", text="ŵ" * 133))
    assert (costs.parts, costs.limit, costs.cost_pence) == (3, 264, 13.5)
    outgoing(channel, "a" * 612)
    with pytest.raises(CannotExpress, match="1 characters too long"):
        outgoing(channel, "a" * 613)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("HOOK_KEYS", "short"), ("HOOK_KEYS", " , "), ("SENDERS", "SouthmereTeam"), ("PENCE", "x")],
)
def test_a_setting_that_makes_no_sense_is_named(setting: str, value: str) -> None:
    env = {"API_KEY": "key", "SENDERS": OURS, "HOOK_KEYS": KEYS[0], setting: value}
    with pytest.raises(NotConfigured, match=f"NOTIFIER_FIRETEXT_{setting}"):
        SmsFiretext.from_env({f"NOTIFIER_FIRETEXT_{name}": given for name, given in env.items()})


# --- Hooks ------------------------------------------------------------------------------------


def basic(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'firetext:{password}'.encode()).decode()}"}


@pytest.mark.parametrize(
    ("query", "headers", "is_theirs"),
    [
        (f"?key={KEYS[0]}", {}, True),
        (f"?attempt=at.mac&key={KEYS[1]}", {}, True),
        ("", basic(KEYS[1]), True),
        ("", {"authorization": basic(KEYS[0])["Authorization"]}, True),
        ("", {}, False),
        ("?key=", {}, False),
        (f"?key={KEYS[0]}x", {}, False),
        (f"?key=wrong&key={KEYS[0]}", {}, False),
        ("?key=%00%ff", {}, False),
        ("", basic("wrong"), False),
        ("", {"Authorization": "Basic ###"}, False),
        ("", {"Authorization": f"Bearer {KEYS[0]}"}, False),
        ("?" + "a=1&" * 50 + f"key={KEYS[0]}", {}, False),
    ],
)
async def test_a_call_is_firetexts_by_its_key_alone(
    channel: SmsFiretext, query: str, headers: dict[str, str], *, is_theirs: bool
) -> None:
    request = HookRequest(url=f"{HOOK}{query}", headers=headers, body=b"status=0&reference=d.mac")
    assert await channel.verify(request) == is_theirs


def call(**fields: str) -> HookRequest:
    return HookRequest(url=f"{HOOK}?attempt=at.mac&key=x", headers={}, body=urlencode(fields).encode())


@pytest.mark.parametrize(
    ("status", "code", "progress", "permanent"),
    [
        ("0", "", Progress.DELIVERED, False),
        ("0", "000", Progress.DELIVERED, False),
        ("2", "", Progress.SENT, False),
        ("1", "", Progress.UNDELIVERED, False),
        ("1", "101", Progress.UNDELIVERED, True),
        ("1", "102", Progress.UNDELIVERED, False),
        ("1", "201", Progress.UNDELIVERED, True),
        ("1", "401", Progress.UNDELIVERED, False),
        ("1", "<b>", Progress.UNDELIVERED, False),
    ],
)
def test_a_receipt_says_what_became_of_its_attempt(
    channel: SmsFiretext, status: str, code: str, progress: Progress, *, permanent: bool
) -> None:
    request = call(mobile=TO[1:], status=status, code=code, reference="d.mac", time="2026-07-01 09:30:00")
    (receipt,) = channel.parse(request)
    assert isinstance(receipt, Receipt)
    assert (receipt.attempt, receipt.provider_id) == ("at.mac", "d.mac")
    assert (receipt.progress, receipt.permanent) == (progress, permanent)
    assert receipt.at == datetime(2026, 7, 1, 8, 30, tzinfo=UTC)
    assert "<" not in receipt.code + receipt.event_id


def test_a_reply_comes_in_as_it_was_written_and_twice_is_once(
    channel: SmsFiretext, provider: firetext.FakeFiretext
) -> None:
    words = "  Lamp\r\nis out £ŵ😀 + more "
    body = provider.reply_form(sender=TO, to=OURS, body=words)
    (first,), (again,) = (channel.parse(HookRequest(url=HOOK, headers={}, body=body)) for _ in range(2))
    assert isinstance(first, Incoming)
    assert (first.sender, first.recipient, first.text) == (TO, OURS, words)
    assert first == again
    later = provider.reply_form(sender=TO, to=OURS, body=words, time="2026-07-01 09:30:01")
    (other,) = channel.parse(HookRequest(url=HOOK, headers={}, body=later))
    assert other.event_id != first.event_id


def test_a_reply_in_the_letters_of_windows_is_not_lost(channel: SmsFiretext) -> None:
    body = b"source=447700900123&destination=447700900000&message=It+cost+%A35&time=2026-07-01+09:30:00"
    (reply,) = channel.parse(HookRequest(url=HOOK, headers={}, body=body))
    assert isinstance(reply, Incoming)
    assert reply.text == "It cost £5"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"a=1",
        b"status=7",
        b"status=0&status=1",
        b"source=1",
        b"\xff",
        b"status=%ff",
        b"x" * 200_000,
    ],
)
def test_what_cannot_be_read_is_a_bad_hook(channel: SmsFiretext, body: bytes) -> None:
    with pytest.raises(BadHook):
        channel.parse(HookRequest(url=HOOK, headers={}, body=body))
