"""Email through any SMTP server.

One recipient a transaction, over kept connections (`smtp_pool`, `smtp_pipeline`): before the text is handed over a
break means that nothing was sent, after it nobody knows. What replies mean is in `smtp_replies`.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Self

import aiosmtplib

from channels import addresses, estimates
from channels.base import (
    Capabilities,
    Content,
    Errand,
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
from channels.mime import compile_mail, date_line, envelope
from channels.one_medium import OneMedium
from channels.smtp_pipeline import Ended, Reply, Stage
from channels.smtp_pool import Connection, Pool, Server
from channels.smtp_replies import connection_failed, outcome
from channels.smtp_runs import Alone, Mails, OwnMail

CONNECTIONS = 16
MOST_CONNECTIONS = 256
if TYPE_CHECKING:
    from channels.dkim_signing import Signer

END = b".\r\n"  # what `mime` makes ends with a line break, and no line of it begins with a dot

_OUR_ID = re.compile(r"<?d\.([a-z2-7.]{1,120})@", re.IGNORECASE)
# Already in its one spelling: such an address needs no second reading, which takes longer than sending it.
_ATOMS = b"abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+/=?^_`{|}~-."
_LABEL = r"(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+([a-z]{{2,63}})")


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
    variables: ClassVar[Sequence[Variable]] = (
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
            name="NOTIFIER_DKIM_SELECTOR",
            meaning="Sign mail ourselves (DKIM): the name of the key in DNS, as in NAME._domainkey.example.org",
        ),
        Variable(
            name="NOTIFIER_DKIM_KEY_FILE",
            meaning="Sign mail ourselves (DKIM): file with the private key, PEM, RSA of 2048 bits or Ed25519",
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
        recycle_after: int = 500,
        connect_seconds: float = 30,
        command_seconds: float = 60,
        final_seconds: float = 600,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """command_seconds: for all before the text, a new connection included. final_seconds: for the answer to it."""
        self._domain, self._mail_from = domain, mail_from or f"notices@{domain}"
        self.signer: Signer | None = None  # signs each mail with DKIM, where we do it ourselves
        self._command_seconds, self._now = command_seconds, now
        self._dated, self._dated_until = "", float("-inf")
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
        domain = domain.lower()
        mail_from = env.get("NOTIFIER_MAIL_FROM", "") or f"notices@{domain}"
        name, _, host = mail_from.rpartition("@")
        if not _is_path(mail_from) or not name or not host:
            raise NotConfigured(cls.name, "NOTIFIER_MAIL_FROM", "must look like notices@example.org")
        signer = _signer(env, host.lower())
        made = cls(server, domain, mail_from=mail_from, connections=connections)
        made.signer = signer
        return made

    async def close(self) -> None:
        await self._pool.close()

    def estimate(self, content: Content) -> Estimate:
        return estimates.estimate(content)

    def prepare(self, content: Content) -> Prepared:
        self.require_fit(content)
        return compile_mail(content)

    async def send(self, message: Outgoing) -> Outcome:
        """Message-ID comes from the delivery's token, the envelope sender from `return_path`."""
        alone = Alone(message)
        await self.run(alone.next, urgent=message.urgent)
        return alone.outcome

    async def run(self, following: Callable[[], Errand | None], *, urgent: bool = False) -> None:
        """One after the other over one connection; so many as a slot may hold, where others wait for their turn at it."""
        place = self._pool.place(urgent=urgent)
        mails = Mails(self._mail_of, following, place, most=self.capabilities.slot_rows)
        async with place:
            is_first = True
            while (first := mails.next()) is not None:
                until = asyncio.get_running_loop().time() + self._command_seconds
                try:
                    kept = self._pool.kept() if is_first else None
                    connection = kept or await self._pool.open(until=until)
                except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                    mails.fail(first, connection_failed(error))
                    return
                is_first = False
                mails.back(first)
                await self._carry(connection, mails, until)

    async def _carry(self, connection: Connection, mails: "Mails", until: float) -> None:
        """One run; what found its kept connection closed before the text goes again, over a new one."""
        pipeline = connection.pipeline

        def heard(mail: OwnMail, ended: Ended) -> None:
            if pipeline.carried and not mail.is_again and _was_closed(ended):
                mail.is_again = True
                mails.back(mail)
                return
            mail.errand.ended(self.outcome_of(ended, mail.own_id))

        following = mails.next if connection.takes_utf8 else mails.next_in_ascii
        try:
            await pipeline.carry(following, heard, most=self._pool.left(connection), until=until)
        finally:
            await self._pool.give_back(connection)

    def further_headers(self, message: Outgoing) -> Mapping[str, str]:
        """Beside the channel's own. A provider's channel adds those its provider reads."""
        return message.headers

    def outcome_of(self, ended: Ended, own_id: str) -> Outcome:
        """What a transaction's end means. A provider's channel knows where its provider says the mail's id."""
        return outcome(ended, own_id)

    def _mail_of(self, errand: Errand) -> "OwnMail | Refused":
        """The errand's message as mail, or why it is none."""
        message = errand.message
        sender = message.sender or self._mail_from
        path = message.return_path or sender
        own_id = message_id(message.delivery, self._domain)
        try:
            to = _one_spelling(message.to)
            own = envelope(
                sender=sender,
                to=to,
                message_id=own_id,
                date=self._date(),
                reply_to=message.reply_to,
                headers=self.further_headers(message),
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
        if self.signer is not None:
            copy = self.signer.signed(copy)
        return OwnMail(path, to, copy + END, errand, own_id)

    def composed(self, message: Outgoing) -> bytes | Refused:
        """The octets that `send` would hand over, for whoever looks at mail before it leaves. Nothing is sent."""
        mail = self._mail_of(Alone(message))
        return mail if isinstance(mail, Refused) else mail.text.removesuffix(END)

    def _date(self) -> str:
        """The header's line, of this second or the one before: thousands of mails have the same."""
        now = time.monotonic()
        if now >= self._dated_until:
            self._dated, self._dated_until = date_line(self._now()), now + 1
        return self._dated


def _signer(env: Mapping[str, str], domain: str) -> "Signer | None":
    """Who signs our mail, where we do it ourselves. NotConfigured where half of it is said, or the key is no good."""
    selector, path = env.get("NOTIFIER_DKIM_SELECTOR", ""), env.get("NOTIFIER_DKIM_KEY_FILE", "")
    if not selector and not path:
        return None
    for name, value in (("NOTIFIER_DKIM_SELECTOR", selector), ("NOTIFIER_DKIM_KEY_FILE", path)):
        if not value:
            raise NotConfigured(EmailSmtp.name, name, "is not set, and signing mail (DKIM) needs it")
    from channels.dkim_signing import Signer  # noqa: PLC0415  # its arithmetic is loaded where it is asked for

    try:
        return Signer.of_file(domain, selector.lower(), path)
    except ValueError as error:
        raise NotConfigured(EmailSmtp.name, "NOTIFIER_DKIM_KEY_FILE", str(error)) from error


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
    """Whether it may stand between the angle brackets of MAIL: one word of visible ASCII that does not close them."""
    is_word = path.isascii() and path.isprintable() and not (" " in path or "<" in path or ">" in path)
    return is_word and 0 < len(path) <= addresses.LONGEST_EMAIL


def _was_closed(ended: Ended) -> bool:
    """Whether a kept connection had ended before the text, so that it costs no attempt."""
    if isinstance(ended, Reply):
        return ended.code == 421 and ended.stage is not Stage.TEXT
    return not ended.handed_over and not ended.is_late


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
