"""Answers a resident from the desk: on the medium they wrote by, from the team, into the one ledger.

Called by the desk and the API. The answer's own reply address brings what they write back into the
same conversation.
"""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, select, true

from channels.base import Medium, without_holes
from channels.estimates import estimate
from channels.mailread import Mail
from notifier.broadcast.notices import notice
from notifier.db import Tx
from notifier.errors import Conflict, Invalid, NotFound
from notifier.inbox import conversations
from notifier.inbox.read import mail_of
from notifier.models import (
    Conversation,
    ConversationEntry,
    Direction,
    IncomingRow,
    NoticeKind,
    Officer,
    Team,
)
from subscribers.models import ContactPoint, ContactPointState, Subscriber, new_id
from templates import render

Teams = Collection[UUID] | None  # whose conversations one may see; None: every team's
TEMPLATE = "answer"
MOST_PARTS = 6  # of one answer by text
MOST_CHARACTERS = 20_000  # of one answer by mail
MOST_REFERENCES, LONGEST_SUBJECT = 10, 200

WRITE_AN_ANSWER = "Write an answer"
CHANGED = "Something new has come in, or a colleague has answered. Read it before you send."
STOPPED = "They asked us to stop, and have not written since. You cannot write to them."
BOUNCED = "What we send there comes back, and they have not written since. You cannot write to them."
NO_WAY_BACK = "They wrote from a number or address that cannot take an answer."
IN_PUBLIC = "They wrote in public. Answer them there, from the team’s own account."
NO_CHANNEL = "No channel carries {medium} here, so an answer cannot be sent."


@dataclass(frozen=True, kw_only=True)
class Answerable:
    """What decides whether a conversation can be answered. wrote_at: when its own address last wrote."""

    medium: Medium
    state: ContactPointState
    can_reply: bool
    stopped_at: datetime | None
    wrote_at: datetime | None


def why_not(who: Answerable, carried: Collection[str]) -> str:
    """The sentence that says why no answer can go there, or nothing. Pure."""
    if who.medium is Medium.SOCIAL:
        return IN_PUBLIC
    if not who.can_reply:
        return NO_WAY_BACK
    if who.medium not in carried:
        return NO_CHANNEL.format(medium={Medium.SMS: "texts"}.get(who.medium, who.medium.value))
    off = who.state in (ContactPointState.STOPPED, ContactPointState.BOUNCED)
    wrote_since = who.wrote_at and who.stopped_at and who.wrote_at > who.stopped_at
    if not off or wrote_since:
        return ""
    return STOPPED if who.state is ContactPointState.STOPPED else BOUNCED


def check_text(text: str, medium: Medium, *, team_name: str = "") -> str:
    """The words as they will be sent. Raises Invalid with a sentence for the field `text`. Pure."""
    kept = without_holes(text).replace("\r\n", "\n").replace("\r", "\n")
    clean = "".join(c for c in kept if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs")).strip()
    if not clean:
        raise Invalid({"text": WRITE_AN_ANSWER})
    if len(clean) > MOST_CHARACTERS:
        raise Invalid({"text": f"Shorten it to {MOST_CHARACTERS:,} characters"})
    if medium is Medium.SMS:
        words = {"body": clean, "team_name": team_name, "service_name": team_name}
        parts = estimate(render.notice(TEMPLATE, medium, "en", words)).parts
        if parts > MOST_PARTS:
            raise Invalid(
                {"text": f"That would be {parts} texts. Shorten it to {MOST_PARTS}, or ask them to ring"}
            )
    return clean


async def answer(tx: Tx, conversation: UUID, officer: UUID, text: str, version: int, *, teams: Teams) -> UUID:
    """Plan an answer; the id of its entry.

    version: of the conversation as the officer saw it. Raises NotFound outside `teams`, Conflict where
    something has come since, Invalid for the text, or where the person cannot be written to.
    """
    row = await _held(tx, conversation, teams)
    if row.version != version:
        raise Conflict(CHANGED)
    who = await answerable(tx, conversation)
    refused = why_not(who, tx.carriers)
    if refused:
        raise Invalid({"text": refused})
    words = check_text(text, who.medium, team_name=row.team_name)
    if not await conversations.reopen(tx, conversation):
        raise Conflict("They have a newer conversation with this team. Answer there.")
    entry = new_id()
    planned = await notice(
        tx,
        row.contact_point_id,
        kind=NoticeKind.ANSWER,
        template=TEMPLATE,
        variables={
            "body": words,
            "team_name": row.team_name,
            "officer_name": await tx.scalar(select(Officer.name).where(Officer.id == officer)) or "",
            "reference": row.reference,
            **await _threading(tx, conversation, row.subject, who.medium),
        },
        language=row.language or "en",
        team=row.team_id,
        entry=entry,
    )
    if planned is None:
        raise Conflict(CHANGED)
    await conversations.add_answer(
        tx, conversation, words, medium=who.medium, officer=officer, entry=entry, notice=planned
    )
    return entry


async def answerable(tx: Tx, conversation: UUID) -> Answerable:
    """What `why_not` needs to know of a conversation."""
    wrote_at = (
        select(func.max(ConversationEntry.at))
        .join(IncomingRow, IncomingRow.id == ConversationEntry.incoming_id)
        .where(
            ConversationEntry.conversation_id == conversation,
            ConversationEntry.direction == Direction.IN,
            IncomingRow.contact_point_id == Conversation.contact_point_id,
        )
        .correlate(Conversation)
        .scalar_subquery()
    )
    row = (
        await tx.execute(
            select(
                ContactPoint.medium,
                ContactPoint.state,
                ContactPoint.can_reply,
                ContactPoint.stopped_at,
                wrote_at.label("wrote_at"),
            )
            .join(Conversation, Conversation.contact_point_id == ContactPoint.id)
            .where(Conversation.id == conversation)
        )
    ).one()
    return Answerable(
        medium=Medium(row.medium),
        state=ContactPointState(row.state),
        can_reply=row.can_reply,
        stopped_at=row.stopped_at,
        wrote_at=row.wrote_at,
    )


def in_scope(teams: Teams) -> ColumnElement[bool]:
    """The part of a statement that keeps one team out of another's conversations."""
    return true() if teams is None else Conversation.team_id.in_(list(teams))


async def _held(tx: Tx, conversation: UUID, teams: Teams) -> Row[Any]:
    columns = (
        Conversation.version,
        Conversation.reference,
        Conversation.subject,
        Conversation.contact_point_id,
        Conversation.team_id,
        Team.name.label("team_name"),
        Subscriber.language,
    )
    statement = (
        select(*columns)
        .join(Team, Team.id == Conversation.team_id)
        .join(ContactPoint, ContactPoint.id == Conversation.contact_point_id)
        .outerjoin(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
        .where(Conversation.id == conversation, in_scope(teams))
        .with_for_update(of=Conversation)
    )
    row = (await tx.execute(statement)).one_or_none()
    if row is None:
        raise NotFound
    return row


async def _threading(tx: Tx, conversation: UUID, subject: str | None, medium: Medium) -> dict[str, str]:
    """What makes their program show the answer under their own mail; for a text, the number it comes from."""
    row = (
        await tx.execute(
            select(ConversationEntry.incoming_id, IncomingRow.recipient)
            .join(IncomingRow, IncomingRow.id == ConversationEntry.incoming_id)
            .where(ConversationEntry.conversation_id == conversation, IncomingRow.medium == medium)
            .order_by(ConversationEntry.at.desc(), ConversationEntry.id.desc())
            .limit(1)
        )
    ).one_or_none()
    if row is None:
        return {"subject": subject or ""}
    if medium is Medium.SMS:
        return {"from_number": row.recipient} if row.recipient else {}
    mail = await mail_of(tx, row.incoming_id)
    return headers_for(mail, subject or "") if mail else {"subject": subject or ""}


def headers_for(mail: Mail, subject: str) -> dict[str, str]:
    """Subject, In-Reply-To and References of an answer to that mail (RFC 5322 §3.6.4). Pure."""
    earlier = [each for each in mail.references if _is_writable(each)][-MOST_REFERENCES:]
    about = mail.subject[:LONGEST_SUBJECT] or subject
    answered = about if about.lower().startswith("re:") or not about else f"Re: {about}"
    if not _is_writable(mail.message_id):
        return {"subject": answered}
    return {
        "subject": answered,
        "in_reply_to": mail.message_id,
        "references": " ".join([*earlier, mail.message_id]),
    }


def _is_writable(message_id: str) -> bool:
    return 2 < len(message_id) <= 900 and message_id.isascii() and message_id.isprintable()
