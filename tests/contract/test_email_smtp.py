"""Email: what each break and each reply means, and how connections are kept."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from channels.base import (
    Accepted,
    Content,
    Failed,
    Medium,
    Outcome,
    Outgoing,
    Refusal,
    Refused,
    Throttled,
    Unknown,
    hole,
)
from channels.email_smtp import EmailSmtp, delivery_of, message_id
from channels.errors import NotConfigured
from channels.smtp_pool import Server, StartTls
from tests.fakes.smtp import FakeSmtp, Trouble

TO = "sam@resident.example"
CONTENT = Content(
    medium=Medium.EMAIL,
    language="en",
    subject="News",
    text=f"Dear {hole('name')}\n.\n..dots\n",
    html="<p>x</p>",
)


@pytest.fixture
async def mail() -> AsyncIterator[FakeSmtp]:
    async with FakeSmtp() as server:
        yield server


@pytest.fixture
async def channel(mail: FakeSmtp) -> AsyncIterator[EmailSmtp]:
    async with opened(mail) as made:
        yield made


def opened(mail: FakeSmtp, *, connections: int = 1, recycle_after: int = 100) -> EmailSmtp:
    return EmailSmtp(
        Server.of(mail.url),
        "link.example",
        connections=connections,
        recycle_after=recycle_after,
        connect_seconds=10,
        command_seconds=2.5,
        final_seconds=2.5,
    )


async def send(
    channel: EmailSmtp,
    to: str = TO,
    *,
    sender: str = "team@link.example",
    reply_to: str = "",
    headers: dict[str, str] | None = None,
) -> Outcome:
    return await channel.send(
        Outgoing(
            attempt="a.mac",
            delivery="abc234.xyz",
            to=to,
            prepared=channel.prepare(CONTENT),
            values={"name": "Sam"},
            sender=sender,
            return_path="b+x@link.example",
            reply_to=reply_to,
            headers=headers or {},
        )
    )


async def test_the_envelope_the_names_and_the_dots_arrive_as_meant(
    mail: FakeSmtp, channel: EmailSmtp
) -> None:
    await send(channel, reply_to="r+x@link.example", headers={"List-Id": "<x.link.example>"})
    (taken,) = mail.accepted
    assert (taken.sender, taken.to) == ("b+x@link.example", TO)
    assert taken.message["Message-ID"] == "<d.abc234.xyz@link.example>"
    assert taken.message["Reply-To"] == "r+x@link.example"
    assert taken.message["List-Id"] == "<x.link.example>"
    assert taken.text() == "Dear Sam\n.\n..dots\n"


def test_a_message_id_leads_back_to_its_delivery() -> None:
    assert delivery_of(message_id("abc234.xyz", "link.example")) == "abc234.xyz"
    assert delivery_of("<D.ABC234.XYZ@LINK.EXAMPLE>") == "abc234.xyz"
    assert delivery_of("<other@x.example>") is None
    assert delivery_of("") is None


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("550 5.1.1 no such user", Refusal.BAD_ADDRESS),
        ("550 no such user", Refusal.BAD_ADDRESS),
        ("553 5.1.3 bad address", Refusal.BAD_ADDRESS),
        ("550 5.2.1 mailbox closed", Refusal.BAD_ADDRESS),
        ("556 5.1.10 takes no mail", Refusal.BAD_ADDRESS),
        ("550 5.7.1 blocked", Refusal.CONTENT),
        ("554 5.7.1 relay access denied", Refusal.NOT_ALLOWED),
        ("530 5.7.0 authentication required", Refusal.NOT_ALLOWED),
        ("552 5.2.2 mailbox full", Refusal.CONTENT),
        ("554 no", Refusal.CONTENT),
        ("421 4.3.2 closing", Throttled),
        ("450 4.7.1 greylisted", Throttled),
        ("451 4.3.0 try later", Failed),
        ("452 4.2.2 mailbox full", Failed),
    ],
)
async def test_a_reply_about_the_recipient_means_what_it_says(
    mail: FakeSmtp, channel: EmailSmtp, reply: str, outcome: Refusal | type
) -> None:
    mail.script(TO, reply)
    found = await send(channel)
    assert (found.why if isinstance(found, Refused) else type(found)) == outcome
    assert len(mail.accepted) == 0
    assert isinstance(await send(channel), Accepted)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("554 5.7.1 looks like spam", Refusal.CONTENT),
        ("550 5.1.1 gone", Refusal.BAD_ADDRESS),
        ("452 4.3.1 disk full", Failed),
        ("421 4.7.0 slow down", Throttled),
    ],
)
async def test_a_reply_about_the_text_means_what_it_says(
    mail: FakeSmtp, channel: EmailSmtp, reply: str, outcome: Refusal | type
) -> None:
    mail.script_text(TO, reply)
    found = await send(channel)
    assert (found.why if isinstance(found, Refused) else type(found)) == outcome
    assert len(mail.accepted) == 0


@pytest.mark.parametrize("trouble", [Trouble.CUT_AT_RECIPIENT, Trouble.SILENT_AT_RECIPIENT])
async def test_a_break_before_the_text_is_certainly_not_sent(
    mail: FakeSmtp, channel: EmailSmtp, trouble: Trouble
) -> None:
    mail.script(TO, trouble)
    assert isinstance(await send(channel), Failed)
    assert isinstance(await send(channel), Accepted)
    assert len(mail.accepted) == 1


@pytest.mark.parametrize("trouble", [Trouble.CUT_AT_TEXT, Trouble.CUT_AFTER_DOT, Trouble.SILENT_AFTER_DOT])
async def test_a_break_at_the_text_is_in_doubt_and_its_connection_is_dropped(
    mail: FakeSmtp, channel: EmailSmtp, trouble: Trouble
) -> None:
    mail.script_text(TO, trouble)
    assert isinstance(await send(channel), Unknown)
    assert isinstance(await send(channel), Accepted)
    assert mail.connections == 2


async def test_a_kept_connection_that_the_server_closed_costs_no_attempt(
    mail: FakeSmtp, channel: EmailSmtp
) -> None:
    await send(channel)
    mail.script(TO, Trouble.CUT_AT_RECIPIENT)
    assert isinstance(await send(channel), Accepted)
    assert len(mail.accepted) == 2


async def test_connections_are_kept_shared_out_and_renewed(mail: FakeSmtp) -> None:
    async with opened(mail, connections=3, recycle_after=5) as channel:
        outcomes = await asyncio.gather(*(send(channel, f"u{n}@resident.example") for n in range(30)))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert len({taken.to for taken in mail.accepted}) == 30
    assert 6 <= mail.connections <= 9


@pytest.mark.parametrize(
    "more",
    [{"headers": {"X-A": "a\r\nBcc: v@x.example"}}, {"reply_to": "a@b.example\r\nBcc: v@x.example"}, {"sender": "a@b.example>\r\nX: y"},
     {"headers": {"Bcc": "v@x.example"}}],
)  # fmt: skip
async def test_a_line_break_in_any_header_is_refused_before_anything_is_said(
    mail: FakeSmtp, channel: EmailSmtp, more: dict[str, Any]
) -> None:
    assert isinstance(await send(channel, **more), Refused)
    assert mail.connections == 0


async def test_a_recipient_with_a_line_break_is_a_bad_address(mail: FakeSmtp, channel: EmailSmtp) -> None:
    found = await send(channel, "a@b.example>\r\nRCPT TO:<v@x.example")
    assert isinstance(found, Refused)
    assert found.why is Refusal.BAD_ADDRESS
    assert mail.connections == 0


async def test_what_a_server_says_of_an_address_is_kept_without_it(
    mail: FakeSmtp, channel: EmailSmtp
) -> None:
    mail.script(TO, f"550 5.1.1 <{TO}>: user unknown")
    assert TO not in repr(await send(channel))


async def test_a_password_is_never_said_without_tls(mail: FakeSmtp) -> None:
    url = mail.url.replace("smtp://", "smtp://user:secret@") + "?starttls=auto"
    async with EmailSmtp(Server.of(url), "link.example", connect_seconds=1) as channel:
        found = await send(channel)
    assert found == Failed(reason="no agreement with the server on TLS or sign-in")
    assert len(mail.accepted) == 0


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mx.example", Server(host="mx.example", port=25)),
        (
            "smtps://u:p%40ss@mx.example",
            Server(host="mx.example", port=465, tls=True, username="u", password="p@ss"),
        ),
        ("smtp://u:p@mx.example", Server(host="mx.example", port=587, username="u", password="p")),
        ("smtp://localhost:1025", Server(host="localhost", port=1025, starttls=StartTls.NEVER)),
        ("smtp://mx.example?starttls=always", Server(host="mx.example", port=25, starttls=StartTls.ALWAYS)),
    ],
)
def test_a_servers_address_is_read(url: str, server: Server) -> None:
    assert Server.of(url) == server
    assert "p@ss" not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "mx.example",
        "http://mx.example",
        "smtp://",
        "smtp://mx.example?starttls=maybe",
        "smtp://mx.example?x=y",
        "smtp://h:port",
    ],
)
def test_a_servers_address_that_makes_no_sense_is_named(url: str) -> None:
    with pytest.raises(NotConfigured, match="NOTIFIER_SMTP_URL"):
        EmailSmtp.from_env({"NOTIFIER_SMTP_URL": url, "NOTIFIER_MAIL_DOMAIN": "link.example"})
