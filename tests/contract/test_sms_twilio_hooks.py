"""Twilio's calls: who may make them, and what they say."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import (
    HookRequest,
    Incoming,
    OptedOut,
    Progress,
    Receipt,
)
from channels.errors import BadHook
from channels.sms_twilio import SmsTwilio
from channels.twilio_hooks import is_signed
from tests.fakes import twilio

TO, OURS, SID = "+447700900001", "+447700900100", "SM" + "0a" * 16
BASE = "https://link.example"
HOOK = f"{BASE}/hooks/sms_twilio"
TOKENS = ("new-token", "old-token")


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
