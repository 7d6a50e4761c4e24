"""Email through any SMTP server.

One recipient a transaction, over kept connections (`smtp_pool`, `smtp_pipeline`): before the text is handed over a
break means that nothing was sent, after it nobody knows. What replies mean is in `smtp_replies`.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Self

import aiosmtplib

from channels import addresses, estimates
from channels.base import (
    Accepted,
    Capabilities,
    Content,
    Estimate,
    Idempotency,
    Medium,
    Outcome,
    Outgoing,
    Prepared,
    Refusal,
    Refused,
    Variable,
    filled,
)
from channels.errors import BadAddress, NotConfigured
from channels.mime import compile_mail, envelope
from channels.one_medium import OneMedium
from channels.smtp_pipeline import Broken, Ended, Reply, Stage
from channels.smtp_pool import Connection, Pool, Server
from channels.smtp_replies import connection_failed, outcome

CONNECTIONS = 16
MOST_CONNECTIONS = 256

_OUR_ID = re.compile(r"<?d\.([a-z2-7.]{1,120})@", re.IGNORECASE)
# Already in its one spelling: such an address needs no second reading, which takes longer than sending it.
_ATOMS = b"abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+/=?^_`{|}~-."
_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+([a-z]{{2,63}})")
# What may stand between the angle brackets of MAIL: one word of visible ASCII that does not close them.
_IN_PATH = bytes(octet for octet in range(0x21, 0x7F) if octet not in b"<>")


def message_id(delivery: str, domain: str) -> str:
    """The Message-ID of a delivery: the same on every try, so that a second copy can be seen to be one."""
    return f"<d.{delivery}@{domain}>"


def delivery_of(found_id: str) -> str | None:
    """The delivery's token in a Message-ID of ours, as In-Reply-To and References bring it back."""
    found = _OUR_ID.match(found_id.strip())
    return found[1].lower() if found else None


class EmailSmtp(OneMedium):
    """Sends mail; answers come to the service's own listener. Reads NOTIFIER_MAIL_DOMAIN beside its own variables."""

    name = "email_smtp"
    medium, called = Medium.EMAIL, "email"
    capabilities = Capabilities(
        media=frozenset({Medium.EMAIL}),
        replies=True,
        receipts=False,
        html=True,
        max_text=None,
        idempotency=Idempotency.NONE,
        slot_rows=5,
        timeout_seconds=660,  # before the text, and after it
        names_attempt=False,
    )
    variables = (
        Variable(
            name="NOTIFIER_SMTP_URL",
            meaning="Mail server: smtp://user:password@host:587 or smtps://…; ?starttls=never|always|auto",
            secret=True,
            required=True,
        ),
        Variable(
            name="NOTIFIER_MAIL_FROM",
            meaning="Address all mail is sent from; default: notices@ the mail domain",
        ),
        Variable(
            name="NOTIFIER_SMTP_CONNECTIONS",
            meaning=f"Connections kept to the mail server by each process, 1 to {MOST_CONNECTIONS}",
            default=str(CONNECTIONS),
        ),
    )

    def __init__(
        self,
        server: Server,
        domain: str,
        *,
        mail_from: str = "",
        connections: int = CONNECTIONS,
        recycle_after: int = 100,
        connect_seconds: float = 30,
        command_seconds: float = 60,
        final_seconds: float = 600,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """command_seconds: for all before the text, a new connection included. final_seconds: for the answer to it."""
        self._domain, self._mail_from = domain, mail_from or f"notices@{domain}"
        self._command_seconds, self._now = command_seconds, now
        self._pool = Pool(
            server,
            domain,
            size=connections,
            recycle_after=recycle_after,
            connect_seconds=connect_seconds,
            command_seconds=command_seconds,
            final_seconds=final_seconds,
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        url, domain = env.get("NOTIFIER_SMTP_URL", ""), env.get("NOTIFIER_MAIL_DOMAIN", "")
        if not url:
            raise NotConfigured(cls.name, "NOTIFIER_SMTP_URL")
        if not domain:
            raise NotConfigured(cls.name, "NOTIFIER_MAIL_DOMAIN")
        try:
            server = Server.of(url)
        except ValueError as error:
            raise NotConfigured(cls.name, "NOTIFIER_SMTP_URL", str(error)) from error
        connections = _whole(env.get("NOTIFIER_SMTP_CONNECTIONS") or str(CONNECTIONS))
        if not 1 <= connections <= MOST_CONNECTIONS:
            why = f"must be a whole number from 1 to {MOST_CONNECTIONS}"
            raise NotConfigured(cls.name, "NOTIFIER_SMTP_CONNECTIONS", why)
        mail_from = env.get("NOTIFIER_MAIL_FROM", "")
        return cls(server, domain.lower(), mail_from=mail_from, connections=connections)

    async def close(self) -> None:
        await self._pool.close()

    def estimate(self, content: Content) -> Estimate:
        return estimates.estimate(content)

    def prepare(self, content: Content) -> Prepared:
        self.require_fit(content)
        return compile_mail(content)

    async def send(self, message: Outgoing) -> Outcome:
        """Message-ID comes from the delivery's token, the envelope sender from `return_path`."""
        sender = message.sender or self._mail_from
        path = message.return_path or sender
        own_id = message_id(message.delivery, self._domain)
        try:
            to = _one_spelling(message.to)
            own = envelope(
                sender=sender,
                to=to,
                message_id=own_id,
                at=self._now(),
                reply_to=message.reply_to,
                headers=message.headers,
            )
        except BadAddress as error:
            return Refused(why=Refusal.BAD_ADDRESS, reason=str(error))
        except ValueError as error:
            return Refused(why=Refusal.CONTENT, reason=str(error))
        if not _is_path(path):
            return Refused(why=Refusal.CONTENT, reason="the return path is no address")
        copy = filled(message, own)
        if isinstance(copy, Refused):
            return copy
        came = await self._attempt(path, to, copy, urgent=message.urgent)
        return Accepted(provider_id=own_id) if isinstance(came, Accepted) and not came.provider_id else came

    # --- One transaction ------------------------------------------------------------------

    async def _attempt(self, sender: str, to: str, copy: bytes, *, urgent: bool) -> Outcome:
        """One transaction; over a new connection if a kept one turns out to have been closed before the text."""
        async with self._pool.place(urgent=urgent):
            until = asyncio.get_running_loop().time() + self._command_seconds
            try:
                connection = self._pool.kept()
                if connection is not None:
                    ended = await self._transact(connection, sender, to, copy, until)
                    if not _was_closed(ended):
                        return outcome(ended)
                connection = await self._pool.open(until=until)
            except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                return connection_failed(error)
            return outcome(await self._transact(connection, sender, to, copy, until))

    async def _transact(
        self, connection: Connection, sender: str, to: str, copy: bytes, until: float
    ) -> Ended:
        try:
            return await connection.pipeline.transact(sender, to, copy, until=until)
        finally:
            await self._pool.give_back(connection)


def _one_spelling(address: str) -> str:
    """As `addresses.email`, and at once for what is in its one spelling. BadAddress for any other."""
    return address if _is_one_spelling(address) else addresses.email(address)


def _is_one_spelling(address: str) -> bool:
    """Whether it surely is; what is odd is not."""
    name, _, domain = address.rpartition("@")
    is_short = len(address) <= addresses.LONGEST_EMAIL and len(name) <= addresses.LONGEST_LOCAL_PART
    has_atoms = name.isascii() and not name.encode().translate(None, _ATOMS) and "" not in name.split(".")
    return is_short and has_atoms and _is_usual_domain(domain)


@lru_cache(maxsize=1024)
def _is_usual_domain(domain: str) -> bool:
    """Most people's are a few."""
    found = _DOMAIN.fullmatch(domain)
    return found is not None and found[1] not in addresses.NEVER_MAILED


def _is_path(path: str) -> bool:
    is_short = 0 < len(path) <= addresses.LONGEST_EMAIL
    return is_short and path.isascii() and not path.encode().translate(None, _IN_PATH)


def _was_closed(ended: Ended) -> bool:
    """Whether a kept connection had ended before the text, so that it costs no attempt."""
    match ended:
        case Broken(handed_over=handed_over, is_late=is_late):
            return not handed_over and not is_late
        case Reply(stage=stage, code=code):
            return code == 421 and stage is not Stage.TEXT


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
