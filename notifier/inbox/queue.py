"""What a team sees of its replies, and what it may do with them besides answering. Called by desk and API.

Every function takes the teams one may see and puts them into its statement: what lies outside is
NotFound, as if it were not there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, case, func, insert, or_, select, true, update

from channels.base import Medium
from notifier.db import Tx
from notifier.errors import Conflict, Invalid, NotFound
from notifier.inbox import conversations
from notifier.inbox.answer import CHANGED, Teams, in_scope
from notifier.inbox.conversations import BODY, TRIMMED
from notifier.models import (
    Conversation,
    ConversationEntry,
    ConversationState,
    Direction,
    Note,
    Officer,
    RoutingDecision,
    Team,
)
from subscribers.models import ContactPoint, Subscriber, new_id
from subscribers.subscriptions import NAME

NOTE = "notes.body"
PAGE, SNIPPET, LONGEST_NOTE = 50, 160, 10_000


class Show(StrEnum):
    """Which conversations of a queue."""

    TO_DO = "to_do"  # new, or written to since we answered
    WAITING = "waiting"  # for the resident
    RESOLVED = "resolved"
    ALL = "all"


_STATES = {
    Show.TO_DO: (ConversationState.NEW, ConversationState.OPEN),
    Show.WAITING: (ConversationState.WAITING,),
    Show.RESOLVED: (ConversationState.RESOLVED,),
    Show.ALL: tuple(ConversationState),
}


@dataclass(frozen=True, kw_only=True)
class QueueRow:
    """One line of a queue. name: of a known resident, or none. snippet: how their last words begin."""

    id: UUID
    reference: str
    team: UUID
    team_name: str
    name: str | None
    is_known: bool
    medium: Medium
    state: ConversationState
    urgent: bool
    subject: str | None
    snippet: str
    last_direction: Direction
    taken_by: UUID | None
    taken_by_name: str | None
    opened_at: datetime
    last_entry_at: datetime


async def team_queue(
    tx: Tx,
    teams: Teams,
    show: Show = Show.TO_DO,
    *,
    urgent_alone: bool = False,
    limit: int = PAGE,
    offset: int = 0,
) -> list[QueueRow]:
    """The queue: urgent first, then who has waited longest; what is done, newest first."""
    oldest_first = show is Show.TO_DO
    when = Conversation.last_entry_at
    urgent = Conversation.urgent.is_(True) if urgent_alone else true()
    statement = (
        _rows()
        .where(in_scope(teams), Conversation.state.in_(_STATES[show]), urgent)
        .order_by(Conversation.urgent.desc(), when.asc() if oldest_first else when.desc(), Conversation.id)
        .limit(limit)
        .offset(offset)
    )
    rows = (await tx.execute(statement)).all()
    return [_queue_row(tx, row) for row in rows]


async def counts(tx: Tx, teams: Teams) -> dict[Show, int]:
    """How many conversations each view of the queue holds."""
    rows = await tx.execute(
        select(Conversation.state, func.count().label("number"))
        .where(in_scope(teams))
        .group_by(Conversation.state)
    )
    of_state = {ConversationState(row.state): int(row.number) for row in rows}
    return {show: sum(of_state.get(state, 0) for state in states) for show, states in _STATES.items()}


@dataclass(frozen=True, kw_only=True)
class ToDo:
    """How many wait for us, by how long: less than a day, one to three days, longer; urgent ones counted in."""

    urgent: int
    under_a_day: int
    under_three_days: int
    older: int


async def to_do(tx: Tx, teams: Teams) -> ToDo:
    """What waits for an answer, by its age."""
    row, when = Conversation, Conversation.last_entry_at
    one, three = tx.now - timedelta(days=1), tx.now - timedelta(days=3)

    def counted(condition: ColumnElement[bool]) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    found = (
        await tx.execute(
            select(
                counted(row.urgent.is_(True)).label("urgent"),
                counted(when > one).label("under_a_day"),
                counted((when <= one) & (when > three)).label("under_three_days"),
                counted(when <= three).label("older"),
            ).where(in_scope(teams), row.state.in_(_STATES[Show.TO_DO]))
        )
    ).one()
    return ToDo(
        urgent=int(found.urgent),
        under_a_day=int(found.under_a_day),
        under_three_days=int(found.under_three_days),
        older=int(found.older),
    )


async def take(tx: Tx, conversation: UUID, officer: UUID, *, teams: Teams) -> None:
    """Look after it. Raises Conflict where a colleague does already. Safe to run twice."""
    row = Conversation
    taken = await tx.execute(
        update(row)
        .where(row.id == conversation, in_scope(teams), or_(row.taken_by.is_(None), row.taken_by == officer))
        .values(taken_by=officer, state=_opened())
    )
    if taken.rowcount == 0:
        await _require(tx, conversation, teams)
        raise Conflict("A colleague has taken this conversation.")


async def release(tx: Tx, conversation: UUID, officer: UUID, *, teams: Teams) -> None:
    """Give back what one took. Safe to run twice."""
    await _require(tx, conversation, teams)
    row = Conversation
    await tx.execute(update(row).where(row.id == conversation, row.taken_by == officer).values(taken_by=None))


async def hand_over(
    tx: Tx, conversation: UUID, to_team: UUID, officer: UUID, reason: str, *, teams: Teams
) -> UUID:
    """Give a conversation to another team; why it went to the first is corrected on record.

    Returns the conversation where its entries now stand: the one that team already has with the
    person, if there is one. Raises Invalid without a reason or for an unknown team.
    """
    why = _note_text(reason, "reason", "Say why it goes to another team")
    await _require(tx, conversation, teams)
    if await tx.scalar(select(Team.id).where(Team.id == to_team)) is None:
        raise Invalid({"team": "Choose a team from the list"})
    await tx.execute(
        update(RoutingDecision)
        .where(
            RoutingDecision.incoming_id.in_(_incoming_of(conversation)), RoutingDecision.team_id != to_team
        )
        .values(corrected_to=to_team)
    )
    await _add_note(tx, conversation, officer, why)
    await tx.execute(update(Conversation).where(Conversation.id == conversation).values(taken_by=None))
    return await conversations.move(tx, conversation, to_team)


async def resolve(tx: Tx, conversation: UUID, version: int, *, teams: Teams) -> None:
    """Nothing more is to be done. Raises Conflict where something has come since. Safe to run twice."""
    row = Conversation
    done = await tx.execute(
        update(row)
        .where(row.id == conversation, in_scope(teams), row.version == version)
        .values(state=ConversationState.RESOLVED, urgent=False)
    )
    if done.rowcount == 0:
        await _require(tx, conversation, teams)
        raise Conflict(CHANGED)


async def note(tx: Tx, conversation: UUID, officer: UUID, text: str, *, teams: Teams) -> UUID:
    """Leave a note for colleagues; it never leaves the building. Raises Invalid for the field `note`."""
    words = _note_text(text, "note", "Write a note")
    await _require(tx, conversation, teams)
    return await _add_note(tx, conversation, officer, words)


# --- Helpers ----------------------------------------------------------------------------------


def _rows() -> Select[*tuple[Any, ...]]:
    last = (
        select(ConversationEntry.id)
        .where(ConversationEntry.conversation_id == Conversation.id)
        .order_by(ConversationEntry.at.desc(), ConversationEntry.id.desc())
        .limit(1)
        .correlate(Conversation)
        .scalar_subquery()
    )
    return (
        select(
            Conversation.__table__,
            Team.name.label("team_name"),
            ContactPoint.medium,
            Subscriber.id.label("person"),
            Subscriber.name_sealed,
            Officer.name.label("taken_by_name"),
            ConversationEntry.id.label("entry_id"),
            ConversationEntry.direction,
            ConversationEntry.body_sealed,
            ConversationEntry.trimmed_sealed,
        )
        .join(Team, Team.id == Conversation.team_id)
        .join(ContactPoint, ContactPoint.id == Conversation.contact_point_id)
        .join(ConversationEntry, ConversationEntry.id == last)
        .outerjoin(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
        .outerjoin(Officer, Officer.id == Conversation.taken_by)
    )


def _queue_row(tx: Tx, row: Row[Any]) -> QueueRow:
    text = entry_text(tx, row.entry_id, row.body_sealed, row.trimmed_sealed)
    return QueueRow(
        id=row.id,
        reference=row.reference,
        team=row.team_id,
        team_name=row.team_name,
        name=tx.keys.open_text(NAME, row.person, row.name_sealed) if row.name_sealed else None,
        is_known=row.person is not None,
        medium=Medium(row.medium),
        state=ConversationState(row.state),
        urgent=row.urgent,
        subject=row.subject,
        snippet=" ".join(text[: SNIPPET * 4].split())[:SNIPPET],
        last_direction=Direction(row.direction),
        taken_by=row.taken_by,
        taken_by_name=row.taken_by_name,
        opened_at=row.opened_at,
        last_entry_at=row.last_entry_at,
    )


def entry_text(tx: Tx, entry: UUID, body_sealed: bytes, trimmed_sealed: bytes | None) -> str:
    """The new words of an entry, without quote and signature where they were told apart."""
    if trimmed_sealed is not None:
        return tx.keys.open_text(TRIMMED, entry, trimmed_sealed)
    return tx.keys.open_text(BODY, entry, body_sealed)


def _opened() -> Any:
    """State of a conversation once somebody looks after it: what was new is open."""
    from_new = Conversation.state == ConversationState.NEW
    return case((from_new, ConversationState.OPEN), else_=Conversation.state)


def _incoming_of(conversation: UUID) -> Select[*tuple[Any, ...]]:
    return select(ConversationEntry.incoming_id).where(
        ConversationEntry.conversation_id == conversation, ConversationEntry.incoming_id.is_not(None)
    )


async def _require(tx: Tx, conversation: UUID, teams: Teams) -> None:
    found = select(Conversation.id).where(Conversation.id == conversation, in_scope(teams))
    if await tx.scalar(found) is None:
        raise NotFound


def _note_text(text: str, field: str, missing: str) -> str:
    words = text.replace("\0", "").strip()
    if not words:
        raise Invalid({field: missing})
    if len(words) > LONGEST_NOTE:
        raise Invalid({field: f"Shorten it to {LONGEST_NOTE:,} characters"})
    return words


async def _add_note(tx: Tx, conversation: UUID, officer: UUID, text: str) -> UUID:
    made = new_id()
    sealed = tx.keys.seal(NOTE, made, text)
    await tx.execute(
        insert(Note).values(
            id=made, conversation_id=conversation, officer_id=officer, body_sealed=sealed, at=tx.now
        )
    )
    return made
