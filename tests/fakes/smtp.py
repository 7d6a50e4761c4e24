"""A mail server that accepts, refuses, cuts off and falls silent as it is told, and keeps what it accepted."""

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from aiosmtpd.smtp import SMTP

from tests.fakes.ledger import Ledger


class Trouble(StrEnum):
    """What can go wrong other than by a reply."""

    CUT_AT_RECIPIENT = "cut_at_recipient"
    CUT_AT_TEXT = "cut_at_text"  # after DATA is said, before any of the text
    CUT_AFTER_DOT = "cut_after_dot"  # the text is kept, the answer is lost
    SILENT_AT_RECIPIENT = "silent_at_recipient"
    SILENT_AFTER_DOT = "silent_after_dot"


@dataclass(frozen=True, kw_only=True)
class AcceptedMail:
    """One transaction that was taken."""

    sender: str
    to: str
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.raw, policy=policy.SMTP)

    def text(self, kind: str = "plain") -> str:
        """The words of one part, line ends made plain."""
        part = self.message.get_body((kind,))
        return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


class FakeSmtp:
    """`async with FakeSmtp() as mail:` listens on a free port of this machine.

    Scripts go by recipient: a reply (`"550 5.1.1 no such user"`) or a Trouble for each coming try; then it accepts.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, log: Path | None = None) -> None:
        self.host, self.port = host, port
        self.accepted: Ledger[AcceptedMail] = Ledger(log)
        self.connections = 0
        self.sender_reply = ""  # a refusal of every MAIL
        self._at_recipient: defaultdict[str, deque[str]] = defaultdict(deque)
        self._at_text: defaultdict[str, deque[str]] = defaultdict(deque)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port}"

    def script(self, to: str, *answers: str) -> None:
        """What the next tries to an address get, refused before any text is sent."""
        self._at_recipient[to.lower()].extend(answers)

    def script_text(self, to: str, *answers: str) -> None:
        """The same once the text is there."""
        self._at_text[to.lower()].extend(answers)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Refuse connections from now on and cut the open ones."""
        if self._server is None:
            return
        self._server.close()
        for transport in list(self._open):
            transport.abort()
        await self._server.wait_closed()
        self._server = None
        await asyncio.sleep(0)

    def cut_all(self) -> None:
        """Hang up every open connection, as a server that restarts does."""
        for transport in list(self._open):
            transport.abort()

    def _protocol(self) -> SMTP:
        return _Protocol(self, _Handler(self), hostname="sink.example", loop=asyncio.get_running_loop())

    # --- What the handler asks ------------------------------------------------------------

    def answer_recipient(self, to: str) -> str:
        waiting = self._at_recipient.get(to.lower())
        return waiting.popleft() if waiting else ""

    def answer_text(self, to: str) -> str:
        waiting = self._at_text.get(to.lower())
        return waiting.popleft() if waiting else ""

    def keep(self, sender: str, to: str, raw: bytes) -> None:
        mail = AcceptedMail(sender=sender, to=to, raw=raw)
        message_id = str(mail.message["Message-ID"] or "")
        self.accepted.add(mail, {"from": sender, "to": to, "message_id": message_id, "octets": len(raw)})


class _Protocol(SMTP):
    """Counts connections and remembers them, so that they can be cut."""

    def __init__(self, fake: FakeSmtp, handler: "_Handler", **options: Any) -> None:
        super().__init__(handler, **options)
        self._fake = fake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._fake.connections += 1
        self._fake._open.add(cast(asyncio.Transport, transport))
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._fake._open.discard(cast(asyncio.Transport, self.transport))
        super().connection_lost(error)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        recipients = self.envelope.rcpt_tos if self.envelope else []
        to = recipients[0] if recipients else ""
        waiting = self._fake._at_text.get(to.lower())
        if waiting and waiting[0] == Trouble.CUT_AT_TEXT:
            waiting.popleft()
            cast(asyncio.Transport, self.transport).abort()
            return
        await super().smtp_DATA(arg)


class _Handler:
    """aiosmtpd's hooks; the names are its own."""

    def __init__(self, fake: FakeSmtp) -> None:
        self._fake = fake

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self._fake.sender_reply:
            return self._fake.sender_reply
        envelope.mail_from = address
        return "250 2.1.0 ok"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        match self._fake.answer_recipient(address):
            case "":
                envelope.rcpt_tos.append(address)
                return "250 2.1.5 ok"
            case Trouble.CUT_AT_RECIPIENT:
                return await _cut(server)
            case Trouble.SILENT_AT_RECIPIENT:
                return await _silence()
            case reply:
                return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        to = envelope.rcpt_tos[0]
        answer = self._fake.answer_text(to)
        if answer in ("", Trouble.CUT_AFTER_DOT, Trouble.SILENT_AFTER_DOT):
            self._fake.keep(envelope.mail_from, to, bytes(envelope.original_content))
        match answer:
            case "":
                return f"250 2.0.0 ok: queued as Q{len(self._fake.accepted)}"
            case Trouble.CUT_AFTER_DOT:
                return await _cut(server)
            case Trouble.SILENT_AFTER_DOT:
                return await _silence()
            case reply:
                return reply


async def _cut(server: Any) -> str:
    """Hang up; the handler is cancelled with its connection."""
    server.transport.abort()
    return await _silence()


async def _silence() -> str:
    await asyncio.Event().wait()
    return "421 never said"
