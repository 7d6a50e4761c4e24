"""The inbox's own mail listener, on both databases: over LMTP from a mail server of the house, and over SMTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiosmtplib
import pytest

from channels.memory import Memory
from channels.registry import Channels
from notifier import config
from notifier.db import Database
from notifier.inbox import receive
from notifier.models import IncomingKind, IncomingState
from notifier.runtime import Service
from notifier.web import mail as listener
from notifier.worker import Worker
from tests.integration.replies import DOMAIN, kept, mail, make_world
from tests.processes import dialled
from tests.servers import Postgres


@pytest.fixture
def service(db: Database) -> Service:
    environment = config.build({"NOTIFIER_MAIL_DOMAIN": DOMAIN})
    return Service(environment=environment, db=db, channels=Channels([Memory()]))


class Lmtp:
    """A mail server of the house, speaking LMTP line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def line(self) -> str:
        async with asyncio.timeout(10):
            line = (await self._reader.readline()).decode().strip()
            while line[3:4] == "-":
                line = (await self._reader.readline()).decode().strip()
        return line

    async def say(self, text: str) -> str:
        self._writer.write(text.encode() + b"\r\n")
        await self._writer.drain()
        return await self.line()

    async def data(self, raw: bytes, answers: int) -> list[str]:
        assert (await self.say("DATA")).startswith("354")
        self._writer.write(raw.replace(b"\r\n.", b"\r\n..") + b"\r\n.\r\n")
        await self._writer.drain()
        return [await self.line() for _ in range(answers)]


Dial = Callable[[str], Awaitable[Lmtp]]


@pytest.fixture
async def lmtp(service: Service) -> AsyncIterator[Dial]:
    """Opens connections to a listener of its own."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(listener.listen(service, "lmtp://127.0.0.1:0"))

        async def dial(mail_from: str) -> Lmtp:
            spoken = Lmtp(*await stack.enter_async_context(dialled(port)))
            assert (await spoken.line()).startswith("220")
            assert (await spoken.say("LHLO relay.example")).startswith("250")
            assert (await spoken.say(f"MAIL FROM:<{mail_from}>")).startswith("250")
            return spoken

        yield dial


async def test_lmtp_answers_once_for_each_recipient_after_the_mail_is_committed(
    db: Database, lmtp: Dial
) -> None:
    spoken = await lmtp("sam@mail.example")
    assert (await spoken.say(f"RCPT TO:<desk@{DOMAIN}>")).startswith("250")
    assert (await spoken.say(f"RCPT TO:<Reply+ABC@{DOMAIN.upper()}>")).startswith("250")
    assert (await spoken.say("RCPT TO:<someone@elsewhere.example>")).startswith("550 5.7.1")
    raw = mail(sender="sam@mail.example", text=".a line with a dot\n" + "long " * 10_000)
    answers = await spoken.data(raw, 2)
    assert [answer[:3] for answer in answers] == ["250", "250"]
    (row,) = await kept(db)
    async with db.transaction() as tx:
        whole = tx.keys.open(receive.RAW, row.id, row.raw_sealed)
    above = f"Return-Path: <sam@mail.example>\r\nDelivered-To: desk@{DOMAIN}\r\nDelivered-To: Reply+ABC@{DOMAIN.upper()}\r\n"
    assert whole == above.encode() + raw + b"\r\n"
    assert (await spoken.say("QUIT")).startswith("221")


async def test_a_bounce_has_no_sender_and_is_taken_and_never_answered(
    db: Database, service: Service, lmtp: Dial
) -> None:
    await make_world(db)
    spoken = await lmtp("")
    await spoken.say(f"RCPT TO:<desk@{DOMAIN}>")
    raw = b"From: server@mail.example\r\nSubject: Hello\r\n\r\nI could not pass this on.\r\n"
    assert (await spoken.data(raw, 1))[0].startswith("250")
    (row,) = await kept(db)
    async with db.transaction() as tx:
        whole = tx.keys.open(receive.RAW, row.id, row.raw_sealed)
    assert whole.startswith(b"Return-Path: <>\r\n")
    await Worker(service, service.db.jobs).handlers["route"](str(row.id))
    (row,) = await kept(db)
    assert (row.state, row.kind) == (IncomingState.FILED, IncomingKind.AUTO_REPLY)


async def test_a_mail_over_25_megabytes_is_refused_for_good(db: Database, lmtp: Dial) -> None:
    reader_says = await lmtp("sam@mail.example")
    await reader_says.say("RSET")
    refused = await reader_says.say(f"MAIL FROM:<sam@mail.example> SIZE={26 * 1024 * 1024}")
    assert refused.startswith("552")
    assert await kept(db) == []


def hide(file: Path) -> None:
    """Put the database out of reach: a folder stands where it was."""
    file.rename(file.with_suffix(".away"))
    file.mkdir()


def bring_back(file: Path) -> None:
    file.rmdir()
    file.with_suffix(".away").rename(file)


async def test_while_the_database_is_away_every_recipient_is_asked_to_wait(
    db: Database, lmtp: Dial, database_url: str, request: pytest.FixtureRequest
) -> None:
    await db.close()
    file = Path(database_url.removeprefix("sqlite:///"))
    if db.is_sqlite:
        hide(file)
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        postgres.drop_database(database_url)
    spoken = await lmtp("sam@mail.example")
    for name in ("one", "two"):
        await spoken.say(f"RCPT TO:<{name}@{DOMAIN}>")
    raw = mail(sender="sam@mail.example")
    assert [answer[:9] for answer in await spoken.data(raw, 2)] == ["451 4.3.0", "451 4.3.0"]
    if db.is_sqlite:
        bring_back(file)
        again = await lmtp("sam@mail.example")
        await again.say(f"RCPT TO:<one@{DOMAIN}>")
        assert (await again.data(raw, 1))[0].startswith("250")
        assert len(await kept(db)) == 1


async def test_smtp_takes_the_same_mail(db: Database, service: Service) -> None:
    raw = mail(sender="sam@mail.example")
    async with (
        listener.listen(service, "smtp://127.0.0.1:0") as port,
        aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as smtp,
    ):
        await smtp.sendmail("sam@mail.example", [f"desk@{DOMAIN}"], raw)
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
            await smtp.sendmail("sam@mail.example", ["someone@elsewhere.example"], raw)
    assert len(await kept(db)) == 1
