"""One conversation as an officer reads it: its entries opened, who it is with, why it came here.

Called by the desk's conversation page and the API. What came from another address than the one we wrote
to shows its new words alone: the quote below them is another person's mail.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from channels.base import Medium
from notifier.db import Tx
from notifier.inbox.answer import Teams, answerable, in_scope, why_not
from notifier.inbox.conversations import BODY
from notifier.inbox.pictures import PictureView, pictures_of
from notifier.inbox.queue import NOTE, entry_text
from notifier.models import (
    Conversation,
    ConversationEntry,
    ConversationState,
    Delivery,
    DeliveryState,
    Direction,
    IncomingRow,
    Note,
    Officer,
    RoutingDecision,
    Team,
)
from subscribers.contact_points import ADDRESS
from subscribers.models import ContactPoint, Subscriber
from subscribers.subscriptions import NAME, areas_of


@dataclass(frozen=True, kw_only=True)
class EntryView:
    """One message in or answer out. text: the new words. body: all of it, where it may be shown and differs.

    pictures: that came with a text.
    remark: what triage noted ("it may be a wish to stop"). delivery: state of an answer on its way, and its id.
    """

    id: UUID
    direction: Direction
    medium: Medium
    text: str
    body: str | None
    verified: bool
    officer: str | None
    remark: str | None
    delivery: DeliveryState | None
    delivery_id: int | None
    at: datetime
    pictures: tuple[PictureView, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NoteView:
    """A note between colleagues."""

    text: str
    officer: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class RoutingView:
    """Why a message went to a team, and where it was corrected to."""

    resolver: str
    reason: str
    confidence: float
    team_name: str
    corrected_to: str | None
    at: datetime


@dataclass(frozen=True, kw_only=True)
class ConversationView:
    """A conversation. why_not: the sentence that says why it cannot be answered, or nothing."""

    id: UUID
    reference: str
    team: UUID
    team_name: str
    state: ConversationState
    urgent: bool
    version: int
    subject: str | None
    message: UUID | None
    medium: Medium
    name: str | None
    is_known: bool
    shown_address: str
    language: str
    area_names: tuple[str, ...]
    taken_by: UUID | None
    opened_at: datetime
    last_entry_at: datetime
    entries: tuple[EntryView, ...]
    notes: tuple[NoteView, ...]
    routing: tuple[RoutingView, ...]
    why_not: str

    @property
    def can_answer(self) -> bool:
        return not self.why_not


async def conversation(tx: Tx, id_: UUID, teams: Teams) -> ConversationView | None:
    """One conversation of these teams, or None."""
    row = (
        await tx.execute(
            select(
                Conversation.__table__,
                Team.name.label("team_name"),
                ContactPoint.medium,
                ContactPoint.address_sealed,
                Subscriber.id.label("person"),
                Subscriber.name_sealed,
                Subscriber.language,
            )
            .join(Team, Team.id == Conversation.team_id)
            .join(ContactPoint, ContactPoint.id == Conversation.contact_point_id)
            .outerjoin(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
            .where(Conversation.id == id_, in_scope(teams))
        )
    ).one_or_none()
    if row is None:
        return None
    areas = await areas_of(tx, row.person) if row.person else {}
    entries = await _entries(tx, id_)
    pictures = await pictures_of(tx, [each.incoming_id for each in entries if each.incoming_id])
    medium = Medium(row.medium)
    return ConversationView(
        id=row.id,
        reference=row.reference,
        team=row.team_id,
        team_name=row.team_name,
        state=ConversationState(row.state),
        urgent=row.urgent,
        version=row.version,
        subject=row.subject,
        message=row.message_id,
        medium=medium,
        name=tx.keys.open_text(NAME, row.person, row.name_sealed) if row.name_sealed else None,
        is_known=row.person is not None,
        shown_address=masked(tx.keys.open_text(ADDRESS, row.contact_point_id, row.address_sealed), medium),
        language=row.language or "en",
        area_names=tuple(areas.values()),
        taken_by=row.taken_by,
        opened_at=row.opened_at,
        last_entry_at=row.last_entry_at,
        entries=tuple(_entry(tx, each, pictures.get(each.incoming_id, ())) for each in entries),
        notes=tuple([_note(tx, each) for each in await _notes(tx, id_)]),
        routing=tuple(await _routing(tx, id_)),
        why_not=why_not(await answerable(tx, id_), tx.carriers),
    )


def masked(address: str, medium: Medium) -> str:
    """Enough of an address to recognise it by, and no more; an account that wrote in public is public. Pure."""
    if medium is Medium.SOCIAL:
        return address
    if medium is Medium.EMAIL and "@" in address:
        local, _, domain = address.rpartition("@")
        return f"{local[:1]}…@{domain}"
    return f"…{address[-3:]}" if len(address) > 6 else address


async def _entries(tx: Tx, id_: UUID) -> list[Row[Any]]:
    rows = await tx.execute(
        select(
            ConversationEntry.__table__,
            Officer.name.label("officer"),
            IncomingRow.reason.label("remark"),
            Delivery.state.label("delivery"),
            Delivery.id.label("delivery_id"),
        )
        .outerjoin(Officer, Officer.id == ConversationEntry.officer_id)
        .outerjoin(IncomingRow, IncomingRow.id == ConversationEntry.incoming_id)
        .outerjoin(Delivery, Delivery.notice_id == ConversationEntry.notice_id)
        .where(ConversationEntry.conversation_id == id_)
        .order_by(ConversationEntry.at, ConversationEntry.id)
    )
    return list(rows)


def _entry(tx: Tx, row: Row[Any], pictures: tuple[PictureView, ...]) -> EntryView:
    text = entry_text(tx, row.id, row.body_sealed, row.trimmed_sealed)
    is_ours = row.direction == Direction.OUT
    body = tx.keys.open_text(BODY, row.id, row.body_sealed)
    return EntryView(
        id=row.id,
        direction=Direction(row.direction),
        medium=Medium(row.medium),
        text=text,
        body=body if body != text and (row.verified or is_ours) else None,
        verified=row.verified,
        officer=row.officer,
        remark=row.remark,
        delivery=DeliveryState(row.delivery) if row.delivery else None,
        delivery_id=row.delivery_id,
        at=row.at,
        pictures=pictures,
    )


async def _notes(tx: Tx, id_: UUID) -> list[Row[Any]]:
    rows = await tx.execute(
        select(Note.id, Note.body_sealed, Note.at, Officer.name)
        .join(Officer, Officer.id == Note.officer_id)
        .where(Note.conversation_id == id_)
        .order_by(Note.at, Note.id)
    )
    return list(rows)


def _note(tx: Tx, row: Row[Any]) -> NoteView:
    return NoteView(text=tx.keys.open_text(NOTE, row.id, row.body_sealed), officer=row.name, at=row.at)


async def _routing(tx: Tx, id_: UUID) -> list[RoutingView]:
    corrected = Team.__table__.alias("corrected")
    rows = await tx.execute(
        select(
            RoutingDecision.__table__,
            Team.name.label("team_name"),
            corrected.c.name.label("corrected_name"),
        )
        .join(ConversationEntry, ConversationEntry.incoming_id == RoutingDecision.incoming_id)
        .join(Team, Team.id == RoutingDecision.team_id)
        .outerjoin(corrected, corrected.c.id == RoutingDecision.corrected_to)
        .where(ConversationEntry.conversation_id == id_)
        .order_by(RoutingDecision.at, RoutingDecision.id)
    )
    return [
        RoutingView(
            resolver=row.resolver,
            reason=row.reason,
            confidence=row.confidence,
            team_name=row.team_name,
            corrected_to=row.corrected_name,
            at=row.at,
        )
        for row in rows
    ]
