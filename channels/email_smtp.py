"""Email through any SMTP server.

One recipient a transaction, over kept connections. `mail`, `rcpt` and `data` are said one by one, because what a
break means depends on where it comes: before the text is handed over nothing was sent, after it nobody knows.
Sources: RFC 5321 (replies), 3463 (status codes), 1047 (the final dot's window).
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

import aiosmtplib

from channels import addresses, estimates
from channels.base import (
    Accepted,
    Capabilities,
    Content,
    Estimate,
    Failed,
    Idempotency,
    Medium,
    Outcome,
    Outgoing,
    Prepared,
    Refusal,
    Refused,
    Throttled,
    Unknown,
    Variable,
    filled,
)
from channels.errors import BadAddress, NotConfigured
from channels.mime import compile_mail, envelope
from channels.one_medium import OneMedium
from channels.smtp_pool import Connection, Pool, Server

WAIT_SECONDS = 60.0  # after a 421 or a rate limit that names no time

_STATUS = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_QUEUED = re.compile(r"queued as ([\w.-]{1,60})", re.IGNORECASE)
_WITH_ADDRESS = re.compile(r"\S*@\S*")
_OUR_ID = re.compile(r"<?d\.([a-z2-7.]{1,120})@", re.IGNORECASE)


class Stage(StrEnum):
    """Where in a transaction a reply came."""

    SENDER = "MAIL"
    RECIPIENT = "RCPT"
    TEXT = "DATA"


# What a permanent reply means, by its status (first match), else by its number, at each stage.
_BY_STATUS = (
    ("5.1.7", Refusal.NOT_ALLOWED),  # the sender's address is bad
    ("5.1.8", Refusal.NOT_ALLOWED),
    ("5.1.", Refusal.BAD_ADDRESS),
    ("5.2.1", Refusal.BAD_ADDRESS),  # the mailbox is closed
    ("5.7.8", Refusal.NOT_ALLOWED),  # our credentials
    ("5.7.9", Refusal.NOT_ALLOWED),
    ("5.7.", Refusal.CONTENT),
)
_BY_NUMBER = {
    Stage.SENDER: {552: Refusal.CONTENT},
    Stage.RECIPIENT: dict.fromkeys((521, 550, 551, 553, 556), Refusal.BAD_ADDRESS),
    Stage.TEXT: {550: Refusal.CONTENT},
}
_CREDENTIALS = (530, 534, 535, 538)
_OTHERWISE = {
    Stage.SENDER: Refusal.NOT_ALLOWED,
    Stage.RECIPIENT: Refusal.CONTENT,
    Stage.TEXT: Refusal.CONTENT,
}


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
        timeout_seconds=600,
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
    )

    def __init__(
        self,
        server: Server,
        domain: str,
        *,
        mail_from: str = "",
        connections: int = 8,
        recycle_after: int = 100,
        connect_seconds: float = 30,
        command_seconds: float = 60,
        final_seconds: float = 600,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._domain, self._mail_from = domain, mail_from or f"notices@{domain}"
        self._final_seconds, self._now = final_seconds, now
        self._pool = Pool(
            server,
            domain,
            size=connections,
            recycle_after=recycle_after,
            connect_seconds=connect_seconds,
            command_seconds=command_seconds,
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        url, domain = env.get("NOTIFIER_SMTP_URL", ""), env.get("NOTIFIER_MAIL_DOMAIN", "")
        if not url:
            raise NotConfigured(cls.name, "NOTIFIER_SMTP_URL")
        if not domain:
            raise NotConfigured(cls.name, "NOTIFIER_MAIL_DOMAIN")
        try:
            return cls(Server.of(url), domain.lower(), mail_from=env.get("NOTIFIER_MAIL_FROM", ""))
        except ValueError as error:
            raise NotConfigured(cls.name, "NOTIFIER_SMTP_URL", str(error)) from error

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
        try:
            addresses.email(message.to)
            own = envelope(
                sender=sender,
                to=message.to,
                message_id=message_id(message.delivery, self._domain),
                at=self._now(),
                reply_to=message.reply_to,
                headers=message.headers,
            )
        except BadAddress as error:
            return Refused(why=Refusal.BAD_ADDRESS, reason=str(error))
        except ValueError as error:
            return Refused(why=Refusal.CONTENT, reason=str(error))
        copy = filled(message, own)
        if isinstance(copy, Refused):
            return copy
        outcome = await self._attempt(message.return_path or sender, message.to, copy, urgent=message.urgent)
        if isinstance(outcome, Accepted) and not outcome.provider_id:
            return Accepted(provider_id=message_id(message.delivery, self._domain))
        return outcome

    # --- One transaction ------------------------------------------------------------------

    async def _attempt(self, sender: str, to: str, copy: bytes, *, urgent: bool) -> Outcome:
        """One transaction; over a new connection if a kept one turns out to have gone quiet before the text."""
        try:
            async with self._pool.lent(urgent=urgent) as connection:
                was_used = connection.is_used
                outcome = await self._transact(connection, sender, to, copy)
            if outcome is not None:
                return outcome
            if not was_used:
                return Failed(reason="the connection broke before the text")
            async with self._pool.lent(fresh=True, urgent=urgent) as connection:
                again = await self._transact(connection, sender, to, copy)
            return again or Failed(reason="the connection broke before the text")
        except aiosmtplib.SMTPAuthenticationError as error:
            return _sign_in_refused(error)
        except aiosmtplib.SMTPNotSupported:
            return Refused(why=Refusal.NOT_ALLOWED, reason="the server offers no TLS or sign-in")
        except aiosmtplib.SMTPResponseException as error:
            return _not_now(error.code, error.message) or Failed(
                reason="greeted with a refusal", code=str(error.code)
            )
        except TimeoutError:
            return Failed(reason="no connection in time")
        except OSError:
            return Failed(reason="no connection")
        except (aiosmtplib.SMTPException, ValueError):
            return Failed(reason="no agreement with the server on TLS or sign-in")

    async def _transact(self, connection: Connection, sender: str, to: str, copy: bytes) -> Outcome | None:
        """None: the connection broke while nothing had been handed over."""
        client, stage = connection.client, Stage.SENDER
        try:
            await client.mail(sender)
            stage = Stage.RECIPIENT
            await client.rcpt(to)
        except aiosmtplib.SMTPResponseException as error:
            if error.code == 421 and connection.is_used:
                return None
            connection.is_clean = error.code != 421 and await _reset(client)
            return _refused(stage, error.code, error.message)
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError):
            return None
        try:
            reply = await client.data(copy, timeout=self._final_seconds)
        except aiosmtplib.SMTPDataError as error:
            connection.is_clean = error.code != 421
            return _refused(Stage.TEXT, error.code, error.message)
        except TimeoutError:
            return Unknown(reason="no answer to the text in time")
        except (aiosmtplib.SMTPException, OSError, ValueError):
            return Unknown(reason="the connection broke after the text was begun")
        connection.is_clean = True
        queued = _QUEUED.search(reply.message)
        return Accepted(provider_id=queued[1] if queued else "")


async def _reset(client: aiosmtplib.SMTP) -> bool:
    """Whether the connection is ready for another transaction."""
    try:
        await client.rset()
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        return False
    return True


def _sign_in_refused(error: aiosmtplib.SMTPAuthenticationError) -> Outcome:
    if 400 <= error.code < 500:
        return Failed(reason="sign-in failed for now", code=str(error.code))
    return Refused(why=Refusal.NOT_ALLOWED, reason="the server refused our sign-in", code=str(error.code))


def _refused(stage: Stage, number: int, text: str) -> Outcome:
    """A reply that says no, at a stage of the transaction."""
    later = _not_now(number, text)
    if later is not None:
        return later
    status = _status(text)
    reason = f"{stage}: {_without_addresses(text)}"
    why = next((why for prefix, why in _BY_STATUS if status.startswith(prefix)), None)
    if number in _CREDENTIALS or "relay" in text.lower():
        why = Refusal.NOT_ALLOWED
    why = why or _BY_NUMBER[stage].get(number) or _OTHERWISE[stage]
    return Refused(why=why, reason=reason, code=f"{number} {status}".strip())


def _not_now(number: int, text: str) -> Outcome | None:
    """A transient reply: too fast, or certainly not taken; none for any other."""
    if not 400 <= number < 500:
        return None
    status = _status(text)
    code = f"{number} {status}".strip()
    if number == 421 or status.startswith("4.7."):
        return Throttled(after_seconds=WAIT_SECONDS, reason=_without_addresses(text), code=code)
    return Failed(reason=_without_addresses(text), code=code)


def _status(text: str) -> str:
    found = _STATUS.search(text[:200])
    return found[1] if found else ""


def _without_addresses(text: str) -> str:
    """A server's words, safe to keep: one line, short, no address."""
    return _WITH_ADDRESS.sub("…", " ".join(text.split()))[:160]
