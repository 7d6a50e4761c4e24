"""Texts through Twilio: its errors, its look-up, and who may call our hooks."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta, timezone
from itertools import pairwise
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import twilio_log
from channels.base import (
    Accepted,
    Content,
    Failed,
    HookRequest,
    Incoming,
    Medium,
    OptedOut,
    Outgoing,
    Progress,
    Receipt,
    Refusal,
    Refused,
    Throttled,
    Unknown,
    Where,
)
from channels.errors import BadHook
from channels.sms_twilio import SmsTwilio
from channels.twilio_hooks import is_signed
from tests.fakes import twilio
from tests.fakes.web import Trouble

TO, OURS, SID = "+447700900001", "+447700900100", "SM" + "0a" * 16
BASE = "https://link.example"
HOOK = f"{BASE}/hooks/sms_twilio"
TOKENS = ("new-token", "old-token")


@pytest.fixture
async def provider() -> AsyncIterator[twilio.FakeTwilio]:
    async with twilio.FakeTwilio(auth_token=TOKENS[0]) as fake:
        yield fake


@pytest.fixture
async def channel(provider: twilio.FakeTwilio) -> AsyncIterator[SmsTwilio]:
    async with SmsTwilio(
        twilio.ACCOUNT_SID, TOKENS, [OURS], base_url=BASE, api_url=provider.url, timeout_seconds=1.5
    ) as made:
        yield made


def outgoing(channel: SmsTwilio, *, urgent: bool = False, sender: str = "") -> Outgoing:
    prepared = channel.prepare(Content(medium=Medium.SMS, language="en", text="Road closed"))
    return Outgoing(
        attempt="at.mac", delivery="d.mac", to=TO, prepared=prepared, values={}, urgent=urgent, sender=sender
    )


# --- Sending --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("urgent", "good_for", "validity"),
    [
        (True, None, 3600),
        (True, 90_000.0, 3600),
        (True, 600.5, 600),
        (False, None, None),
        (False, 7200.0, 7200),
        (False, 259_200.0, None),
        (False, 0.2, 1),
        (False, -5.0, 1),
    ],
)
async def test_a_text_is_dropped_by_the_network_once_it_is_worth_nothing(
    channel: SmsTwilio,
    provider: twilio.FakeTwilio,
    good_for: float | None,
    validity: int | None,
    *,
    urgent: bool,
) -> None:
    message = outgoing(channel, urgent=urgent)
    message.good_for_seconds = good_for
    await channel.send(message)
    assert [text.validity_seconds for text in provider.accepted] == [validity]


async def test_what_was_counted_is_what_twilio_sends(channel: SmsTwilio, provider: twilio.FakeTwilio) -> None:
    await channel.send(outgoing(channel))
    assert not provider.accepted[0].is_smart


async def test_a_text_carries_its_callback_and_an_alert_its_hour(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    await channel.send(outgoing(channel, urgent=True))
    await channel.send(outgoing(channel, sender="+447700900199"))
    urgent, usual = provider.accepted
    assert urgent.callback == f"{HOOK}?attempt=at.mac"
    assert (urgent.validity_seconds, usual.validity_seconds) == (3600, None)
    assert (urgent.sender, usual.sender) == (OURS, "+447700900199")


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        (21211, 400, Refusal.BAD_ADDRESS),
        (21614, 400, Refusal.BAD_ADDRESS),
        (21610, 400, Refusal.OPTED_OUT),
        (21617, 400, Refusal.CONTENT),
        (30007, 400, Refusal.CONTENT),
        (21606, 400, Refusal.NOT_ALLOWED),
        (20003, 401, Refusal.NOT_ALLOWED),
        (30002, 403, Refusal.NOT_ALLOWED),
        (99999, 403, Refusal.NOT_ALLOWED),
        (99999, 400, Refusal.CONTENT),
    ],
)
async def test_an_error_means_what_the_table_says(
    channel: SmsTwilio, provider: twilio.FakeTwilio, code: int, status: int, why: Refusal
) -> None:
    provider.script(TO, twilio.error(code, status))
    found = await channel.send(outgoing(channel))
    assert isinstance(found, Refused)
    assert (found.why, found.code) == (why, str(code))


async def test_a_rate_told_only_by_its_code_is_a_rate(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    provider.script(TO, twilio.error(14107, 400), twilio.error(21611, 400))
    assert isinstance(await channel.send(outgoing(channel)), Throttled)
    assert isinstance(await channel.send(outgoing(channel)), Throttled)


async def test_what_passes_is_tried_again_and_says_whose_trouble_it_is(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    provider.script(TO, twilio.error(21612, 400), twilio.error(21619, 400))
    handset, own = [await channel.send(outgoing(channel)) for _ in range(2)]
    assert handset == Failed(reason="Twilio error 21612", code="21612", where=Where.RECIPIENT)
    assert own == Failed(reason="Twilio error 21619", code="21619", where=Where.PROVIDER)


@pytest.mark.parametrize("trouble", Trouble)
async def test_no_clear_answer_is_in_doubt(
    channel: SmsTwilio, provider: twilio.FakeTwilio, trouble: Trouble
) -> None:
    provider.script(TO, trouble)
    assert isinstance(await channel.send(outgoing(channel)), Unknown)


async def test_a_look_up_wants_the_same_words_from_the_same_sender(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    await channel.send(outgoing(channel))
    assert await channel.look_up(outgoing(channel)) == Accepted(provider_id=provider.accepted[0].sid)
    assert isinstance(await channel.look_up(outgoing(channel, sender="+447700900199")), Unknown)


async def test_a_look_up_that_fails_decides_nothing(channel: SmsTwilio, provider: twilio.FakeTwilio) -> None:
    answers = (twilio.REVOKED, Trouble.FAIL_AS_HTML, twilio.throttled(7), Trouble.HANG)
    provider.script("list", *answers)
    found = [await channel.look_up(outgoing(channel)) for _ in answers]
    assert [each.after_seconds for each in found if isinstance(each, Throttled)] == [0, 0, 7, 0]


async def test_two_texts_with_the_same_words_are_each_found_once(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    for _ in range(2):
        await channel.send(outgoing(channel))
    first, second = (text.sid for text in provider.accepted)
    assert await channel.look_up(outgoing(channel)) == Accepted(provider_id=first)
    assert await channel.look_up(outgoing(channel), claimed=(first,)) == Accepted(provider_id=second)
    assert isinstance(await channel.look_up(outgoing(channel), claimed=(first, second)), Unknown)


async def test_a_text_made_before_the_attempt_is_another_messages(
    channel: SmsTwilio, provider: twilio.FakeTwilio
) -> None:
    await channel.send(outgoing(channel))
    made = provider.accepted[0].at
    assert isinstance(await channel.look_up(outgoing(channel), since=made + timedelta(minutes=2)), Unknown)
    assert isinstance(await channel.look_up(outgoing(channel), since=made), Accepted)


async def test_a_look_up_reads_page_after_page_and_any_zone(
    channel: SmsTwilio, provider: twilio.FakeTwilio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_log, "PAGE_SIZE", 3)
    await channel.send(outgoing(channel))
    first = provider.accepted[0]
    tokyo = timezone(timedelta(hours=9))
    for minutes in range(1, 8):  # other words, later
        at = (first.at + timedelta(minutes=minutes)).astimezone(tokyo)
        provider.accepted.add(replace(first, sid=f"SM{minutes:032x}", body="Road open", at=at), {})
    assert await channel.look_up(outgoing(channel), since=first.at) == Accepted(provider_id=first.sid)
    same = replace(first, sid="SM" + "f" * 32, at=(first.at + timedelta(hours=2)).astimezone(tokyo))
    provider.accepted.add(same, {})
    found = await channel.look_up(outgoing(channel), since=first.at + timedelta(hours=1))
    assert found == Accepted(provider_id=same.sid)


# --- Hooks ----------------------------------------------------------------------------------


def call(
    fields: dict[str, str] | list[tuple[str, str]],
    *,
    url: str = HOOK,
    token: str = TOKENS[0],
    signed_url: str = "",
) -> HookRequest:
    signer = twilio.FakeTwilio(auth_token=token)
    _, headers = signer.signed(signed_url or url, dict(fields))
    return HookRequest(url=url, headers=headers, body=urlencode(fields).encode())


def text(**more: str) -> dict[str, str]:
    fields = twilio.FakeTwilio().incoming_fields(sender=TO, to=OURS, body="STOP", sid=SID)
    return {name: value for name, value in (fields | more).items() if value != "missing"}


def status(**more: str) -> dict[str, str]:
    return {
        "AccountSid": twilio.ACCOUNT_SID,
        "MessageSid": SID,
        "MessageStatus": "delivered",
        "To": TO,
    } | more


@pytest.fixture
def hooked() -> SmsTwilio:
    return SmsTwilio(twilio.ACCOUNT_SID, TOKENS, [OURS], base_url=BASE)


@pytest.mark.parametrize(
    "request_",
    [
        call(text()),
        call(text(), token=TOKENS[1]),
        call(text(), signed_url=HOOK.replace("link.example", "link.example:443")),
        call(text(), url=HOOK.replace(BASE, "http://127.0.0.1:8080"), signed_url=HOOK),
        call(status(), url=f"{HOOK}?attempt=at.mac"),
        call(text(Body="")),
        call(text(Body="a\0b \r\n 😀")),
        call(text(From="")),
        call(text(From="60606")),
        call(text(From="POLICE")),
        call(text(Body="missing", NumMedia="1")),
    ],
)
async def test_a_call_of_twilios_is_taken(hooked: SmsTwilio, request_: HookRequest) -> None:
    assert await hooked.verify(request_)


def with_body(request: HookRequest, body: bytes) -> HookRequest:
    return HookRequest(url=request.url, headers=request.headers, body=body)


@pytest.mark.parametrize(
    "request_",
    [
        HookRequest(url=HOOK, headers={}, body=call(text()).body),
        call(text(), token="wrong"),
        call(text(), signed_url=HOOK.replace("https", "http")),
        call(text(), signed_url=HOOK.replace("link.example", "link.example:8443")),
        call(text(), url=f"{HOOK}?attempt=other", signed_url=HOOK),
        with_body(call(text()), call(text(Body="stop")).body),
        with_body(call(text()), call(text()).body + b"&Extra=1"),
        with_body(call(text()), call(text()).body + b"&Body=STOP"),
        with_body(call(text()), call(text()).body.replace(b"NumMedia=0&", b"")),
        call([*text().items(), ("Body", "STOP")]),
        call(text(AccountSid="AC" + "f" * 32)),
        call(text(AccountSid="missing")),
        call(text(MessageSid="missing")),
        call(text(MessageSid="' OR 1")),
        call(text(Body="missing")),
        call(text(To="missing")),
        call(text(From="+447700900001FromCity")),
        call(text(ApiVersion="2010-04-01BodySTOP")),
        call({}),
        with_body(call(text()), b'{"Body": "STOP"}'),
        with_body(call(text()), b"\xff\xfe=1"),
        with_body(call(text()), b"a=%ff"),
        with_body(call(text()), b"a=1&" * 200 + b"b=1"),
        with_body(call(text()), b"Body=" + b"x" * 200_000),
    ],
)
async def test_a_doubtful_call_is_refused(hooked: SmsTwilio, request_: HookRequest) -> None:
    assert not await hooked.verify(request_)


def shifted(fields: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Each field with letters moved between its name and its value: the signature stays the same."""
    for name, value in fields.items():
        rest = {each: kept for each, kept in fields.items() if each != name}
        for at in range(1, len(value) + 1):
            yield rest | {name + value[:at]: value[at:]}
        for at in range(1, len(name)):
            yield rest | {name[:at]: name[at:] + value}
    names = sorted(fields)
    for one, next_ in pairwise(names):
        rest = {each: kept for each, kept in fields.items() if each not in (one, next_)}
        yield rest | {one: fields[one] + next_ + fields[next_]}


async def test_letters_moved_between_names_and_values_are_refused(hooked: SmsTwilio) -> None:
    failed = status(MessageStatus="failed", ErrorCode="30005", ErrorMessage="Unknown handset")
    sent = twilio.FakeTwilio()
    picture = sent.hook_fields(sent.keep_incoming(sender=TO, to=OURS, body="", pictures=[twilio.Picture()]))
    for fields in (text(Body="STOP"), text(FromCity="LONDON", FromCountry="GB", ToZip=""), failed, picture):
        headers = call(fields).headers
        for mutated in shifted(fields):
            request = HookRequest(url=HOOK, headers=headers, body=urlencode(mutated).encode())
            assert not await hooked.verify(request), mutated


async def test_a_field_that_twilio_adds_one_day_is_taken(hooked: SmsTwilio) -> None:
    assert await hooked.verify(
        call(text(OptOutType="STOP", FromCity="TOTTENHAM", ProfileName="ToCity From+1"))
    )


async def test_without_a_public_address_no_call_can_be_verified() -> None:
    assert not await SmsTwilio(twilio.ACCOUNT_SID, TOKENS, [OURS]).verify(call(text()))


@given(st.binary(max_size=300), st.text(max_size=60), st.text(max_size=40))
async def test_no_call_makes_verifying_raise(body: bytes, signature: str, url: str) -> None:
    hooked = SmsTwilio(twilio.ACCOUNT_SID, TOKENS, [OURS], base_url=BASE)
    request = HookRequest(url=f"{HOOK}?{url}", headers={"x-twilio-signature": signature}, body=body)
    assert not await hooked.verify(request)


def test_the_signature_is_the_published_one() -> None:
    # The example of Twilio's own page on validating requests.
    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    assert is_signed(url, fields, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", ["12345"])
    assert not is_signed(url, fields, "RSOYDt4T1cUTdK1PDd93/VVr8B9=", ["12345"])


@pytest.mark.parametrize(
    ("word", "code", "progress", "permanent"),
    [
        ("sent", "", Progress.SENT, False),
        ("delivered", "", Progress.DELIVERED, False),
        ("undelivered", "30003", Progress.UNDELIVERED, False),
        ("canceled", "", Progress.UNDELIVERED, False),
        ("read", "", Progress.DELIVERED, False),
        ("failed", "30005", Progress.UNDELIVERED, True),
        ("failed", "21610", Progress.UNDELIVERED, True),
        ("undelivered", "30006", Progress.UNDELIVERED, True),
        ("undelivered", "30004", Progress.UNDELIVERED, False),
        ("undelivered", "30007", Progress.UNDELIVERED, False),
        ("undelivered", "30008", Progress.UNDELIVERED, False),
        ("failed", "30002", Progress.UNDELIVERED, False),
        ("failed", "99999", Progress.UNDELIVERED, False),
    ],
)
def test_a_status_is_a_receipt_of_its_attempt(
    hooked: SmsTwilio, word: str, code: str, progress: Progress, *, permanent: bool
) -> None:
    request = call(status(MessageStatus=word, ErrorCode=code), url=f"{HOOK}?attempt=at.mac")
    (receipt,) = hooked.parse(request)
    assert receipt == Receipt(
        event_id=f"{SID}:{word}", provider_id=SID, attempt="at.mac", progress=progress, at=None, raw=request.body, code=code, permanent=permanent, opted_out=code == "21610"
    )  # fmt: skip


@pytest.mark.parametrize("word", ["queued", "accepted", "sending", "scheduled"])
def test_a_status_on_the_way_is_no_event(hooked: SmsTwilio, word: str) -> None:
    assert hooked.parse(call(status(MessageStatus=word))) == ()


def test_a_status_unheard_of_cannot_be_read(hooked: SmsTwilio) -> None:
    with pytest.raises(BadHook):
        hooked.parse(call(status(MessageStatus="huh")))


def test_an_error_code_that_is_none_is_not_kept(hooked: SmsTwilio) -> None:
    (receipt,) = hooked.parse(call(status(ErrorCode="abc")))
    assert isinstance(receipt, Receipt)
    assert receipt.code == ""


def test_a_text_comes_in_exactly_as_it_was_written(hooked: SmsTwilio) -> None:
    words = "  Lamp\0 out\r\nat 5 pm £ŵ😀 "
    (incoming,) = hooked.parse(call(text(Body=words, From="07700 900001")))
    assert isinstance(incoming, Incoming)
    assert (incoming.event_id, incoming.sender, incoming.recipient, incoming.text) == (SID, TO, OURS, words)


def test_a_text_that_twilio_took_for_a_stop_is_one_whatever_its_words(hooked: SmsTwilio) -> None:
    incoming, stopped = hooked.parse(call(text(Body="No more ta", OptOutType="STOP")))
    assert isinstance(incoming, Incoming)
    assert (incoming.text, incoming.event_id) == ("No more ta", SID)
    assert isinstance(stopped, OptedOut)
    assert (stopped.address, stopped.event_id) == (TO, f"{SID}:stop")
    for other in ("START", "HELP", "stop it"):
        assert len(hooked.parse(call(text(OptOutType=other)))) == 1


@pytest.mark.parametrize("body", [b"", b"{}", b"a=1", b"a=%ff"])
def test_what_cannot_be_read_is_a_bad_hook(hooked: SmsTwilio, body: bytes) -> None:
    with pytest.raises(BadHook):
        hooked.parse(HookRequest(url=HOOK, headers={}, body=body))
