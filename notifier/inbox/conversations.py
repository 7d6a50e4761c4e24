"""Conversations and their entries: opened, added to, moved. Called by `handle`, `answer` and `queue`.

One live conversation for each contact point and team, whatever comes at once: the unique index says so,
and the sender's row is locked by whoever handles their message.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, insert, literal, or_, select, update

from channels.base import Medium
from notifier.db import Tx
from notifier.errors import Conflict
from notifier.models import (
    Conversation,
    ConversationEntry,
    ConversationState,
    Direction,
    Note,
)
from subscribers.dialects import insert_for
from subscribers.models import new_id

BODY, TRIMMED = "conversation_entries.body", "conversation_entries.trimmed"
_LETTERS = "23456789BCDFGHJKLMNPQRSTVWXZ"  # none that are read as another, none that make words


@dataclass(frozen=True, kw_only=True)
class Words:
    """What was written. new: the part without quote and signature, where that differs."""

    body: str
    new: str | None = None


async def live(tx: Tx, contact_point: UUID, team: UUID) -> UUID | None:
    """The conversation of a contact point with a team that is not resolved."""
    found: UUID | None = await tx.scalar(
        select(Conversation.id).where(
            Conversation.contact_point_id == contact_point,
            Conversation.team_id == team,
            Conversation.state != ConversationState.RESOLVED,
        )
    )
    return found


async def live_or_new(
    tx: Tx,
    contact_point: UUID,
    team: UUID,
    *,
    subscriber: UUID | None,
    message: UUID | None = None,
    subject: str | None = None,
) -> UUID:
    """That conversation, opened where there is none. subject: a title of ours, never a resident's words."""
    made = new_id()
    await tx.execute(
        insert_for(tx, Conversation)
        .on_conflict_do_nothing()
        .values(
            id=made,
            reference=_reference(),
            contact_point_id=contact_point,
            team_id=team,
            subscriber_id=subscriber,
            message_id=message,
            subject=subject,
            state=ConversationState.NEW,
            version=1,
            opened_at=tx.now,
            last_entry_at=tx.now,
        )
    )
    found = await live(tx, contact_point, team)
    if found is None:  # a reference drawn twice: once in 10^11
        raise Conflict
    return found


async def reopen(tx: Tx, conversation: UUID) -> bool:
    """A resolved conversation, alive again; False where another of the same two is alive already."""
    row = (
        await tx.execute(
            select(Conversation.contact_point_id, Conversation.team_id, Conversation.state).where(
                Conversation.id == conversation
            )
        )
    ).one()
    if row.state != ConversationState.RESOLVED:
        return True
    if await live(tx, row.contact_point_id, row.team_id) is not None:
        return False
    await tx.execute(
        update(Conversation).where(Conversation.id == conversation).values(state=ConversationState.OPEN)
    )
    return True


async def add_incoming(
    tx: Tx,
    conversation: UUID,
    words: Words,
    *,
    medium: Medium,
    incoming: UUID,
    verified: bool,
    urgent: bool,
) -> UUID:
    """The entry of an incoming message. Safe to run twice by the incoming id."""
    earlier: UUID | None = await tx.scalar(
        select(ConversationEntry.id).where(ConversationEntry.incoming_id == incoming)
    )
    if earlier is not None:
        return earlier
    made = await _add(
        tx,
        conversation,
        words,
        entry=new_id(),
        medium=medium,
        direction=Direction.IN,
        incoming_id=incoming,
        verified=verified,
    )
    row = Conversation
    await tx.execute(
        update(row)
        .where(row.id == conversation, row.state == ConversationState.WAITING)
        .values(state=ConversationState.OPEN)
    )
    if urgent:
        await tx.execute(update(row).where(row.id == conversation).values(urgent=True))
    return made


async def add_answer(
    tx: Tx, conversation: UUID, body: str, *, medium: Medium, officer: UUID, entry: UUID, notice: UUID
) -> None:
    """The entry of an officer's answer; the conversation then waits for the resident."""
    await _add(
        tx,
        conversation,
        Words(body=body),
        medium=medium,
        direction=Direction.OUT,
        entry=entry,
        notice_id=notice,
        officer_id=officer,
        verified=True,
    )
    await tx.execute(
        update(Conversation)
        .where(Conversation.id == conversation)
        .values(state=ConversationState.WAITING, urgent=False)
    )


async def move(tx: Tx, conversation: UUID, to_team: UUID) -> UUID:
    """Hand a conversation to another team; into the one it has with that person already, if there is one.

    Returns the conversation where the entries now stand.
    """
    row = (
        await tx.execute(
            select(
                Conversation.contact_point_id,
                Conversation.team_id,
                Conversation.urgent,
                Conversation.last_entry_at,
            )
            .where(Conversation.id == conversation)
            .with_for_update()
        )
    ).one()
    if row.team_id == to_team:
        return conversation
    target = await live(tx, row.contact_point_id, to_team)
    if target is None:
        await tx.execute(
            update(Conversation)
            .where(Conversation.id == conversation)
            .values(team_id=to_team, version=Conversation.version + 1)
        )
        return conversation
    for table in (ConversationEntry, Note):
        moved = update(table).where(table.conversation_id == conversation).values(conversation_id=target)
        await tx.execute(moved)
    await tx.execute(
        update(Conversation)
        .where(Conversation.id == conversation)
        .values(state=ConversationState.RESOLVED, urgent=False, version=Conversation.version + 1)
    )
    await _join(tx, target, last_entry_at=row.last_entry_at, urgent=row.urgent)
    return target


async def _join(tx: Tx, target: UUID, *, last_entry_at: datetime, urgent: bool) -> None:
    """What a conversation takes over from one that was merged into it."""
    row = Conversation
    await tx.execute(
        update(row)
        .where(row.id == target)
        .values(
            version=row.version + 1,
            last_entry_at=case((row.last_entry_at < last_entry_at, last_entry_at), else_=row.last_entry_at),
            urgent=or_(row.urgent, literal(urgent)),
        )
    )


async def _add(tx: Tx, conversation: UUID, words: Words, *, entry: UUID, **columns: object) -> UUID:
    await tx.execute(
        insert(ConversationEntry).values(
            id=entry,
            conversation_id=conversation,
            body_sealed=tx.keys.seal(BODY, entry, words.body),
            trimmed_sealed=None if words.new is None else tx.keys.seal(TRIMMED, entry, words.new),
            at=tx.now,
            **columns,
        )
    )
    await tx.execute(
        update(Conversation)
        .where(Conversation.id == conversation)
        .values(version=Conversation.version + 1, last_entry_at=tx.now)
    )
    return entry


def _reference() -> str:
    drawn = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return f"{drawn[:4]}-{drawn[4:]}"
