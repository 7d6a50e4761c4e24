"""Opens a stored message: its words, whom it is from and to, and what triage takes it for.

Called by `handle`, before anything is locked or decided, and by `answer` for the ids of a resident's mail.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select

from channels.base import Medium
from channels.mailread import Mail, read_head, read_mail
from notifier.db import Tx
from notifier.delivery.tokens import read_bounce_address
from notifier.inbox import triage
from notifier.inbox.conversations import Words
from notifier.inbox.reader import CHEAP
from notifier.inbox.receive import HEADERS_ALONE, RAW, SENDER, TEXT, normalised
from notifier.inbox.thread import is_marked_reply
from notifier.inbox.triage import Triage
from notifier.models import IncomingRow, IncomingState


@dataclass(frozen=True, kw_only=True)
class Received:
    """A stored message, opened. sender and recipients are in their normal spelling.

    is_doubtful: its sender cannot be believed: no From, several, or our own domain.
    answers: the provider's id of the post of ours that it answers.
    """

    id: UUID
    channel: str
    event_id: str
    medium: Medium
    sender: str
    recipients: tuple[str, ...]
    words: Words
    triage: Triage
    raw: bytes
    mail: Mail | None = None
    is_doubtful: bool = False
    answers: str = ""

    @property
    def text(self) -> str:
        """The words that are new."""
        return self.words.body if self.words.new is None else self.words.new


def open_row(tx: Tx, row: Row[Any], *, mail_domain: str, mail: Mail | None = None) -> Received:
    """The row of one incoming message, opened and read. mail: where it was read already."""
    raw = tx.keys.open(RAW, row.id, row.raw_sealed)
    sender = tx.keys.open_text(SENDER, row.id, row.sender_sealed)
    medium = Medium(row.medium)
    if medium is Medium.EMAIL:
        if mail is None:
            mail = read_head(raw) if row.reason == HEADERS_ALONE else read_mail(raw)
        return _mail(tx, row, raw, sender, mail, mail_domain)
    text = tx.keys.open_text(TEXT, row.id, row.text_sealed)
    return Received(
        id=row.id,
        channel=row.channel,
        event_id=row.event_id,
        medium=medium,
        sender=sender,
        recipients=(normalised(row.recipient, medium),) if row.recipient else (),
        words=Words(body=text),
        triage=triage.of_post(text) if medium is Medium.SOCIAL else triage.of_text(text),
        raw=raw,
        answers=row.in_reply_to or "",
    )


async def mail_of(tx: Tx, incoming: UUID) -> Mail | None:
    """The headers of the mail an entry came from, read again; None where it was no mail or is gone."""
    row = (
        await tx.execute(
            select(IncomingRow.id, IncomingRow.medium, IncomingRow.raw_sealed).where(
                IncomingRow.id == incoming
            )
        )
    ).one_or_none()
    if row is None or row.medium != Medium.EMAIL:
        return None
    return read_head(tx.keys.open(RAW, row.id, row.raw_sealed))


async def waiting_mail(tx: Tx, incoming: UUID) -> bytes | None:
    """A stored mail, raw, that has not been handled; None where that is done, or it is no mail to be read whole."""
    row = (
        await tx.execute(
            select(IncomingRow.id, IncomingRow.raw_sealed).where(
                IncomingRow.id == incoming,
                IncomingRow.state == IncomingState.STORED,
                IncomingRow.medium == Medium.EMAIL,
                func.coalesce(IncomingRow.reason, "") != HEADERS_ALONE,
                func.length(IncomingRow.raw_sealed) > CHEAP,
            )
        )
    ).one_or_none()
    return tx.keys.open(RAW, row.id, row.raw_sealed) if row is not None else None


def _mail(tx: Tx, row: Row[Any], raw: bytes, sender: str, mail: Mail, mail_domain: str) -> Received:
    from_us = mail.sender.rpartition("@")[2] == mail_domain.lower()
    named = [row.recipient, *mail.recipients] if row.recipient else list(mail.recipients)
    to_return_path = any(read_bounce_address(tx.keys, each) is not None for each in named)
    return Received(
        id=row.id,
        channel=row.channel,
        event_id=row.event_id,
        medium=Medium.EMAIL,
        sender=normalised(mail.sender, Medium.EMAIL) if mail.sender else sender,
        recipients=tuple(dict.fromkeys(each.strip().lower() for each in named)),
        words=_words(mail, unread=HEADERS_ALONE if row.reason == HEADERS_ALONE else ""),
        triage=triage.of_mail(mail, mail.new, to_return_path=to_return_path),
        raw=raw,
        mail=mail,
        is_doubtful=len(mail.senders) != 1 or from_us,
    )


def _words(mail: Mail, *, unread: str) -> Words:
    """Subject, text, and the names of what was attached; the new part is what the desk shows first."""
    is_reply = mail.in_reply_to or mail.references or is_marked_reply(mail.subject)
    subject = "" if is_reply else mail.subject
    attached = "\n".join(f"[attached: {name}]" for name in mail.attachments) or (
        f"[{unread}]" if unread else ""
    )
    body = "\n\n".join(part for part in (mail.subject, mail.text, attached) if part)
    shown = "\n\n".join(part for part in (subject, mail.new, attached) if part)
    return Words(body=body, new=shown)
