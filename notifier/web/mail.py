"""The mail listener: takes replies and bounces by LMTP or SMTP, beside the web server in its loop.

Called by `serve` and `demo`. It answers 250 once the mail is committed and 451 for any fault of ours, so
that the server before us keeps the mail and tries again. Recipients at other domains are refused (550).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from notifier.inbox import receive
from notifier.runtime import Service
from notifier.web.mail_data import Wholesale

log = structlog.get_logger()

MAX_OCTETS = 25 * 1024 * 1024
MOST_RECIPIENTS = 100
MAX_LINE = 1024 * 1024  # RFC 5321 allows 1,000 octets; real mail has longer lines, and a no is for good
IDLE_SECONDS = 120
logging.getLogger("mail.log").setLevel(logging.ERROR)  # it writes addresses

TRY_AGAIN = "451 4.3.0 Try again later"
NOT_OURS = "550 5.7.1 We take mail for our own domain only"
TOO_MANY = "452 4.5.3 Too many recipients"


class _Smtp(Wholesale):
    line_length_limit = MAX_LINE


class _Lmtp(Wholesale, LMTP):
    line_length_limit = MAX_LINE


class Handler:
    """What aiosmtpd calls. One mail is one transaction."""

    def __init__(self, service: Service, *, is_lmtp: bool) -> None:
        self._service, self._is_lmtp = service, is_lmtp
        self._domain = service.settings.mail_domain.lower()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Ours by domain alone: who may be behind a local part is nobody's to find out."""
        if address.rpartition("@")[2].lower().rstrip(".") != self._domain:
            return NOT_OURS
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return TOO_MANY
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Store, commit, answer; over LMTP one line for each recipient (RFC 2033 §4.2)."""
        content: bytes = envelope.original_content or b""
        sender = (envelope.mail_from or "").removeprefix("<>")  # how aiosmtpd spells the null return path
        event = receive.mail_event(content, mail_from=sender, recipients=[*envelope.rcpt_tos])
        try:
            async with self._service.db.transaction(point="C7") as tx:
                kept = await receive.store(tx, receive.MAIL, event)
        except Exception as error:  # an edge: whatever it was, each recipient is to be offered again
            log.warning("mail_not_stored", error=type(error).__name__)
            answer = TRY_AGAIN
        else:
            answer = "250 2.0.0 Kept"
            log.info("mail_stored", incoming=str(kept.id), again=isinstance(kept, receive.Duplicate))
        return "\r\n".join([answer] * (len(envelope.rcpt_tos) if self._is_lmtp else 1))

    async def handle_exception(self, error: Exception) -> str:
        """aiosmtpd would say 500, a permanent no, and the mail would be lost."""
        log.warning("mail_session_failed", error=type(error).__name__)
        return TRY_AGAIN


@asynccontextmanager
async def listen(service: Service, url: str) -> AsyncIterator[int]:
    """Listen at `lmtp://HOST:PORT` or `smtp://HOST:PORT` until the block ends; the port (0: a free one)."""
    parts = urlsplit(url)
    is_lmtp = parts.scheme == "lmtp"
    handler = Handler(service, is_lmtp=is_lmtp)
    loop = asyncio.get_running_loop()
    sessions: WeakSet[SMTP] = WeakSet()

    def protocol() -> SMTP:
        options: dict[str, Any] = {
            "hostname": service.settings.mail_domain,
            "ident": "mail",
            "data_size_limit": MAX_OCTETS,
            "enable_SMTPUTF8": True,
            "timeout": IDLE_SECONDS,
            "loop": loop,
        }
        session = (_Lmtp if is_lmtp else _Smtp)(handler, **options)
        sessions.add(session)
        return session

    server = await loop.create_server(protocol, parts.hostname or "127.0.0.1", parts.port or 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for session in list(sessions):
            if session.transport is not None:
                session.transport.close()
        await server.wait_closed()
