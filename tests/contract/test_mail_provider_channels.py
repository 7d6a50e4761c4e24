"""What the channels of mail providers tell the provider, learn from its answer, and believe of its calls."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from channels.base import (
    Accepted,
    Content,
    Failed,
    HookRequest,
    Medium,
    Outgoing,
    Refusal,
    Refused,
    Throttled,
)
from channels.email_mailgun import EmailMailgun
from channels.email_postmark import EmailPostmark
from channels.email_provider import EmailProvider
from channels.email_ses import EmailSes
from channels.email_smtp import EmailSmtp
from channels.errors import NotConfigured
from channels.registry import find
from channels.smtp_pool import Server
from notifier.delivery.tokens import attempt_token
from subscribers.signing import Keys
from tests.fakes import mailgun, postmark, ses
from tests.fakes.mail_provider import FakeMailProvider
from tests.fakes.smtp import AcceptedMail

TOKEN = attempt_token(Keys(["a secret of the tests"]), 2**63 - 1, 2**31 - 1)
TO_MANY = {"List-Unsubscribe": "<https://link.example/unsubscribe/x>"}
SERVER = Server.of("smtp://127.0.0.1:1")


def outgoing(channel: EmailSmtp, *, attempt: str = TOKEN, **headers: str) -> Outgoing:
    content = Content(medium=Medium.EMAIL, language="en", text="hello", subject="Hi", sender_name="Us")
    return Outgoing(
        attempt=attempt,
        delivery="dx",
        to="sam@resident.example",
        prepared=channel.prepare(content),
        values={},
        return_path="bounce+x@link.example",
        headers=headers,
    )


@asynccontextmanager
async def sent(provider: FakeMailProvider, kind: Any, **options: Any) -> AsyncIterator[tuple[EmailProvider, AcceptedMail, Accepted]]:  # fmt: skip
    """A mail to many that the provider took."""
    async with provider, kind(Server.of(provider.url), "link.example", **options) as channel:
        outcome = await channel.send(outgoing(channel, **TO_MANY))
        assert isinstance(outcome, Accepted)
        (mail,) = list(provider.accepted)
        yield channel, mail, outcome


async def test_ses_is_told_the_attempt_and_tells_its_id() -> None:
    async with sent(ses.FakeSes(), EmailSes, configuration_set="events") as (_, mail, outcome):
        assert mail.message["X-SES-MESSAGE-TAGS"] == f"attempt={TOKEN}"
        assert mail.message["X-SES-CONFIGURATION-SET"] == "events"
        assert outcome.provider_id == ses.FakeSes.id_of(1)
        assert mail.sender == "bounce+x@link.example"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("454 Throttling failure: Maximum sending rate exceeded.", (Throttled, 5.0)),
        ("454 Throttling failure: Daily message quota exceeded.", (Throttled, 3600.0)),
        ("421 Too many concurrent SMTP connections", (Throttled, 60.0)),
        ("451 Temporary service failure", (Failed, None)),
        (
            "554 Message rejected: Email address is not verified: notices@link.example",
            (Refused, Refusal.NOT_ALLOWED),
        ),
        ("554 Access denied: User is not authorized to send", (Refused, Refusal.NOT_ALLOWED)),
        ("554 Transaction failed: bad content", (Refused, Refusal.CONTENT)),
    ],
)
async def test_what_ses_says_no_to_is_told_apart(reply: str, expected: tuple[type, Any]) -> None:
    """Its own limits cost no attempt, and what the operator must mend is not laid on the words."""
    async with ses.FakeSes() as provider, EmailSes(Server.of(provider.url), "link.example") as channel:
        provider.script_text("sam@resident.example", reply)
        outcome = await channel.send(outgoing(channel))
        assert "@" not in repr(outcome)
        assert type(outcome) is expected[0]
        assert expected[1] in (None, getattr(outcome, "after_seconds", None), getattr(outcome, "why", None))


async def test_mailgun_is_told_the_attempt_and_knows_the_mail_by_our_id() -> None:
    async with sent(mailgun.FakeMailgun(), EmailMailgun) as (_, mail, outcome):
        assert mail.message["X-Mailgun-Variables"] == f'{{"attempt":"{TOKEN}"}}'
        assert mail.message["X-Mailgun-Track"] == "no"
        assert outcome.provider_id == mail.message["Message-ID"] == "<d.dx@link.example>"


@pytest.mark.parametrize(
    ("streams", "to_many", "to_one"),
    [
        ({}, None, None),
        ({"stream": "outbound"}, "outbound", "outbound"),
        ({"stream": "outbound", "broadcast_stream": "news"}, "news", "outbound"),
        ({"broadcast_stream": "news"}, "news", None),
    ],
)
async def test_postmark_is_told_the_attempt_and_the_stream(
    streams: dict[str, str], to_many: str | None, to_one: str | None
) -> None:
    provider = postmark.FakePostmark()
    async with sent(provider, EmailPostmark, **streams) as (channel, mail, _):
        assert mail.message["X-PM-Metadata-attempt"] == TOKEN
        assert (mail.message["X-PM-KeepID"], mail.message["X-PM-TrackLinks"]) == ("true", "None")
        assert mail.message["X-PM-Message-Stream"] == to_many
        await channel.send(outgoing(channel))
        assert list(provider.accepted)[1].message["X-PM-Message-Stream"] == to_one


@pytest.mark.parametrize("kind", [EmailSes, EmailMailgun, EmailPostmark])
def test_a_mail_without_an_attempt_names_none(kind: type[EmailProvider]) -> None:
    channel = kind(SERVER, "link.example")
    assert "attempt" not in str(channel.headers_of(outgoing(channel, attempt="")))


def test_our_longest_token_is_one_that_all_of_them_carry() -> None:
    """Postmark's metadata has the narrowest limit, 80 characters; SES's tags the narrowest letters."""
    assert len(TOKEN) <= 80
    assert TOKEN.isascii()
    assert TOKEN.isalnum()


def test_mail_without_a_provider_carries_none_of_it() -> None:
    channel = EmailSmtp(SERVER, "link.example")
    message = outgoing(channel, **TO_MANY)
    assert channel.further_headers(message) is message.headers


# --- Their calls ------------------------------------------------------------------------------


async def believed(channel: Any, call: Any, *, path: str = "", **headers: str) -> bool:
    url = f"https://link.example{path or f'/hooks/{channel.name}'}"
    found: bool = await channel.verify(
        HookRequest(url=url, headers={**call.headers, **headers}, body=call.body)
    )
    return found


@pytest.mark.parametrize(
    ("hours", "good"), [(0, True), (-8.5, True), (-9.5, False), (0.05, True), (0.2, False)]
)
async def test_a_call_of_mailguns_is_good_for_as_long_as_it_tries(hours: float, good: bool) -> None:
    channel = EmailMailgun(SERVER, "link.example", signing_keys=["newer", mailgun.KEY])
    signed = mailgun.signature(at=time.time() + hours * 3600)
    forms = (
        mailgun.json_call({"signature": signed, "event-data": {"event": "opened"}}),
        mailgun.form_call({"event": "opened"}, signed=signed),
    )
    assert [await believed(channel, call) for call in forms] == [good, good]


async def test_a_call_of_mailguns_under_no_key_of_ours_or_elsewhere_is_refused() -> None:
    channel = EmailMailgun(SERVER, "link.example", signing_keys=[mailgun.KEY])
    call = mailgun.form_call({"event": "opened"})
    assert await believed(channel, call)
    assert await believed(channel, call, path="/hooks/email_mailgun?mime")
    for path in ("/hooks/email_mailgun?x=1", "/hooks/email_ses"):
        assert not await believed(channel, call, path=path)
    assert not await believed(channel, mailgun.form_call({}, signed=mailgun.signature(key="another")))
    empty = {"timestamp": str(int(time.time())), "token": "", "signature": ""}
    assert not await believed(channel, mailgun.form_call({}, signed=empty))
    assert not await believed(EmailMailgun(SERVER, "link.example"), call)


async def test_a_form_that_repeats_the_signatures_fields_is_judged_by_the_good_one() -> None:
    """A mail may have headers so called, and its writer chooses them."""
    channel = EmailMailgun(SERVER, "link.example", signing_keys=[mailgun.KEY])
    genuine = mailgun.form_call({"event": "opened"})
    for before, after in (("token=x&timestamp=1&signature=0&", ""), ("", "&token=x&timestamp=1&signature=0")):
        call = genuine._replace(body=before.encode() + genuine.body + after.encode())
        assert await believed(channel, call)


@pytest.mark.parametrize(
    ("authorization", "good"),
    [
        (postmark.headers()["Authorization"], True),
        (postmark.headers()["Authorization"].replace("Basic", "basic"), True),
        (postmark.headers("newer:another-long-password")["Authorization"], True),
        (postmark.headers("postmark:wrong")["Authorization"], False),
        (postmark.headers(":")["Authorization"], False),
        (postmark.headers("")["Authorization"], False),
        ("", False),
        ("Basic", False),
        ("Basic ===", False),
        ("Basic ☃", False),
        (postmark.headers()["Authorization"].replace("Basic", "Bearer"), False),
    ],
)
async def test_a_call_of_postmarks_is_believed_by_its_password(authorization: str, good: bool) -> None:
    pairs = ["newer:another-long-password", f"{postmark.USER}:{postmark.PASSWORD}"]
    channel = EmailPostmark(SERVER, "link.example", credentials=pairs)
    call = postmark.FakePostmark.post({"RecordType": "Open"})
    assert await believed(channel, call, Authorization=authorization) is good
    assert not await believed(EmailPostmark(SERVER, "link.example"), call, Authorization=authorization)


# --- Settings ---------------------------------------------------------------------------------

MAIL = {"NOTIFIER_MAIL_DOMAIN": "link.example"}
MAILGUN = MAIL | {"NOTIFIER_MAILGUN_SMTP_URL": "smtp://h", "NOTIFIER_MAILGUN_SIGNING_KEYS": "one, two"}
POSTMARK = MAIL | {
    "NOTIFIER_POSTMARK_SMTP_URL": "smtp://h",
    "NOTIFIER_POSTMARK_HOOK_CREDENTIALS": f"u:another-long-password {postmark.USER}:{postmark.PASSWORD}",
}


async def test_each_reads_its_own_settings() -> None:
    async with find("email_mailgun").from_env(MAILGUN) as channel:
        for key in ("one", "two"):
            assert await believed(channel, mailgun.form_call({}, signed=mailgun.signature(key=key)))
    async with find("email_postmark").from_env(
        POSTMARK | {"NOTIFIER_POSTMARK_BROADCAST_STREAM": "news"}
    ) as channel:
        assert await believed(channel, postmark.FakePostmark.post({}))
        assert isinstance(channel, EmailPostmark)
        assert channel.headers_of(outgoing(channel, **TO_MANY))["X-PM-Message-Stream"] == "news"


async def test_whoever_signs_nothing_costs_next_to_nothing() -> None:
    """All of these are as long as a mail may be, and refused before they are read."""
    channel = EmailMailgun(SERVER, "link.example", signing_keys=[mailgun.KEY])
    most = 26 * 1024**2
    head = b'--m\r\nContent-Disposition: form-data; name="x"' + b";" * 3900 + b"\r\n\r\n"
    calls = (
        ("application/json", b"[" * most),
        ("application/json", b'{"a":[' + b"1," * (most // 2)),
        ("application/x-www-form-urlencoded", b"token=" + b"%41" * (most // 3)),
        ("application/x-www-form-urlencoded", b"a&" * (most // 2)),
        ("multipart/form-data; boundary=m", (head + b"x\r\n") * 1000 + b"--m--"),
        ("multipart/form-data; boundary=m", b"--m\r\n" * (most // 5)),
    )
    for kind, body in calls:
        began = time.process_time()
        request = HookRequest(
            url="https://link.example/hooks/email_mailgun", headers={"Content-Type": kind}, body=body
        )
        assert not await channel.verify(request)
        assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NOTIFIER_POSTMARK_HOOK_CREDENTIALS", "no-password"),
        ("NOTIFIER_POSTMARK_HOOK_CREDENTIALS", "user:short"),
        ("NOTIFIER_POSTMARK_HOOK_CREDENTIALS", ":a-long-enough-password"),
        ("NOTIFIER_POSTMARK_STREAM", "a stream\r\nBcc: x"),
        ("NOTIFIER_POSTMARK_SMTP_URL", "https://h"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(NotConfigured, match=f"email_postmark: {name} "):
        find("email_postmark").from_env(POSTMARK | {name: value})


@pytest.mark.parametrize("kind", [EmailSes, EmailMailgun, EmailPostmark])
def test_no_setting_of_one_is_anothers(kind: type[EmailProvider]) -> None:
    """So that several can be open at once. All share what our own mail domain and sender are."""
    shared = {"NOTIFIER_MAIL_FROM"}
    own = {each.name for each in kind.variables}
    others = {each.name for name in ("email_smtp", "email_ses", "email_mailgun", "email_postmark") if name != kind.name for each in find(name).variables}  # fmt: skip
    assert own & others <= shared
    assert {name for name in own - shared if not name.startswith(kind.prefix)} == set()
