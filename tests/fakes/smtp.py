"""A mail server that accepts, refuses, cuts off and falls silent as it is told, and keeps what it accepted."""

import asyncio
import random
import socket
import ssl
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
from tests.processes import kept_port


class Trouble(StrEnum):
    """What can go wrong other than by a reply."""

    CUT_AT_RECIPIENT = "cut_at_recipient"
    CUT_AT_TEXT = "cut_at_text"  # after DATA is said, before any of the text
    CUT_AFTER_DOT = "cut_after_dot"  # the text is kept, the answer is lost
    SILENT_AT_RECIPIENT = "silent_at_recipient"
    SILENT_AFTER_DOT = "silent_after_dot"


class Greeting(StrEnum):
    """How else than with 220 it may greet; a whole reply may stand there too."""

    SILENT = "silent"
    HUGE = "huge"  # ten megabytes, and no end of the line
    WEB_PAGE = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>502</html>"


@dataclass(frozen=True, kw_only=True)
class AcceptedMail:
    """One transaction that was taken."""

    sender: str
    to: str
    raw: bytes
    options: tuple[str, ...] = ()  # what MAIL said besides

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
    The public attributes are its mood, which holds for everybody until changed. Stages are the verbs of SMTP,
    "GREETING", and "." for the text's end. cut_share: of the mails it keeps, how many it never answers (seeded).
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        log: Path | None = None,
        pipelining: bool = True,
        utf8: bool = True,
        tls: ssl.SSLContext | None = None,
        seed: int = 1,
    ) -> None:
        self.host, self.port = host, port
        self.pipelining, self.utf8, self.tls = pipelining, utf8, tls
        self.accepted: Ledger[AcceptedMail] = Ledger(log)
        self.connections = 0
        self.signed_in_with: list[bytes] = []  # passwords it was told
        self.sender_reply = ""  # a refusal of every MAIL
        self.greeting = ""
        self.silent_at = ""  # a stage at which it says nothing
        self.drip_at, self.drip_seconds = "", 0.05  # a stage at which it says a byte at a time
        self.final_delay_seconds = 0.0
        self.cut_share = 0.0
        self.cut: list[str] = []  # who had a mail kept and not answered by that share
        self.says_354_to_all = False  # also where no recipient was accepted
        self.unwanted: list[bytes] = []  # what came then
        self._random = random.Random(seed)  # noqa: S311 - a schedule to be replayed
        self._at_recipient: defaultdict[str, deque[str]] = defaultdict(deque)
        self._at_text: defaultdict[str, deque[str]] = defaultdict(deque)
        self._refusals: dict[tuple[str, bool], str] = {}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()
        self._port_held: socket.socket | None = None

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port}"

    def script(self, to: str, *answers: str) -> None:
        """What the next tries to an address get, refused before any text is sent."""
        self._at_recipient[to.lower()].extend(answers)

    def script_text(self, to: str, *answers: str) -> None:
        """The same once the text is there."""
        self._at_text[to.lower()].extend(answers)

    def refuse(self, reply: str, *, domain: str = "", after_text: bool = False) -> None:
        """From now on, refuse every recipient of a domain (or of all); an empty reply takes it back."""
        self._refusals[domain.lower(), after_text] = reply

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._port_held is not None:
            self._port_held.close()

    async def unplug(self) -> None:
        """Refuse connections until the end, at a port that nobody else gets meanwhile."""
        await self.stop()
        self._port_held = kept_port(self.host, self.port)

    async def stop(self) -> None:
        """Refuse connections from now on and cut the open ones."""
        if self._server is None:
            return
        self._server.close()
        for transport in list(self._open):
            transport.abort()
        await self._server.wait_closed()
        self._server = None
        for _ in range(20):  # the loop has still to tell them that they are lost
            await asyncio.sleep(0)
            if not self._open:
                break
            await asyncio.sleep(0.01)

    def cut_all(self) -> None:
        """Hang up every open connection, as a server that restarts does."""
        for transport in list(self._open):
            transport.abort()

    def _protocol(self) -> SMTP:
        return _Protocol(
            self,
            _Handler(self),
            hostname="sink.example",
            enable_SMTPUTF8=self.utf8,
            loop=asyncio.get_running_loop(),
            tls_context=self.tls,
            auth_callback=self._sign_in,
        )

    def _sign_in(self, mechanism: str, login: bytes, password: bytes) -> bool:
        self.signed_in_with.append(password)
        return True

    # --- What the handler asks ------------------------------------------------------------

    def answer_recipient(self, to: str) -> str:
        waiting = self._at_recipient.get(to.lower())
        return waiting.popleft() if waiting else self._refusal(to, after_text=False)

    def answer_text(self, to: str) -> str:
        waiting = self._at_text.get(to.lower())
        if waiting:
            return waiting.popleft()
        if self.cut_share and self._random.random() < self.cut_share:
            self.cut.append(to)
            return Trouble.CUT_AFTER_DOT
        return self._refusal(to, after_text=True)

    def is_cut_at_text(self, to: str) -> bool:
        waiting = self._at_text.get(to.lower())
        if not waiting or waiting[0] != Trouble.CUT_AT_TEXT:
            return False
        waiting.popleft()
        return True

    def keep(self, sender: str, to: str, raw: bytes, options: tuple[str, ...] = ()) -> None:
        mail = AcceptedMail(sender=sender, to=to, raw=raw, options=options)
        message_id = str(mail.message["Message-ID"] or "")
        self.accepted.add(mail, {"from": sender, "to": to, "message_id": message_id, "octets": len(raw)})

    def taken(self) -> str:
        """The answer to a text that was just kept."""
        return f"250 2.0.0 ok: queued as Q{len(self.accepted)}"

    def _refusal(self, to: str, *, after_text: bool) -> str:
        domain = to.lower().rpartition("@")[2]
        return self._refusals.get((domain, after_text)) or self._refusals.get(("", after_text), "")


class _Protocol(SMTP):
    """Counts connections, remembers them so that they can be cut, and follows the mood at each stage.

    aiosmtpd reads commands said together one after another; it only has to be told to offer it (`handle_EHLO`).
    """

    def __init__(self, fake: FakeSmtp, handler: "_Handler", **options: Any) -> None:
        super().__init__(handler, **options)
        self._fake, self._stage = fake, "GREETING"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._original_transport is None:  # else it is the same one, now with TLS
            self._fake.connections += 1
            self._fake._open.add(cast(asyncio.Transport, transport))
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._fake._open.discard(cast(asyncio.Transport, self._original_transport or self.transport))
        super().connection_lost(error)

    async def push(self, status: str | bytes) -> None:
        """A server that says 421 hangs up."""
        said = status.encode() if isinstance(status, str) else status
        if self._fake.drip_at == self._stage:
            for octet in said:
                self._writer.write(bytes([octet]))
                await asyncio.sleep(self._fake.drip_seconds)
            said = b""
        await super().push(said)
        if said.startswith(b"421") and self.transport is not None:
            cast(asyncio.Transport, self.transport).close()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        await self._stand_still("DATA")
        recipients = self.envelope.rcpt_tos if self.envelope else []
        if recipients and self._fake.is_cut_at_text(recipients[0]):
            await _cut(self)
        elif recipients or not self._fake.says_354_to_all:
            await super().smtp_DATA(arg)
        else:
            await self.push("354 go ahead, for nobody")
            self._fake.unwanted.append(await self._reader.readuntil(b".\r\n"))
            self.envelope = self._create_envelope()
            await self.push("554 5.5.1 no valid recipients")

    async def _handle_client(self) -> None:
        match self._fake.greeting:
            case "":
                await self._stand_still("GREETING")
                await super()._handle_client()
            case Greeting.SILENT:
                await _silence()
            case Greeting.HUGE:
                for _ in range(160):
                    self._writer.write(b"2" * 65_536)
                    await self._writer.drain()
                await _silence()
            case reply:
                await self.push(reply)
                self._writer.close()

    async def _call_handler_hook(self, command: str, *arguments: Any) -> Any:
        await self._stand_still("." if command == "DATA" else command)
        return await super()._call_handler_hook(command, *arguments)

    async def _stand_still(self, stage: str) -> None:
        self._stage = stage
        if self._fake.silent_at == stage:
            await _silence()


class _Handler:
    """aiosmtpd's hooks; the names are its own."""

    def __init__(self, fake: FakeSmtp) -> None:
        self._fake = fake

    async def handle_EHLO(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, hostname: str, replies: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*replies[:1], *(["250-PIPELINING"] if self._fake.pipelining else []), *replies[1:]]

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self._fake.sender_reply:
            return self._fake.sender_reply
        envelope.mail_from, envelope.mail_options = address, options
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
            self._fake.keep(
                envelope.mail_from, to, bytes(envelope.original_content), tuple(envelope.mail_options)
            )
        if self._fake.final_delay_seconds:
            await asyncio.sleep(self._fake.final_delay_seconds)
        match answer:
            case "":
                return self._fake.taken()
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
