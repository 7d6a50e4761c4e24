"""Alerts as warning systems ask for them: each as it stands now, what it replaces, and whether it was withdrawn.

An alert is a message of that kind; a correction of one, or of its correction, updates it. One that was stopped after
it went out is withdrawn: the area's page no longer shows it, and whoever took it from a feed must be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, or_, select
from sqlalchemy.orm import aliased

from notifier.broadcast.kinds import life_of
from notifier.db import Tx
from notifier.models import AuditEvent, Kind, Lane, Message, MessageArea, MessageState, MessageText, Team
from notifier.web.public import places
from notifier.web.public.places import PUBLISHED, Place, TeamCard
from subscribers.models import Area

MOST_ALERTS, MOST_BEFORE = 20, 20
SHOWN_FOR = timedelta(days=30)


class MessageType(StrEnum):
    """What an alert message does (CAP 1.2, section 3.2.1)."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """An earlier message of the same chain."""

    id: UUID
    sender: str
    sent: datetime


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert message. texts: (language, title, body), English first. areas: (code, name). sender: the team's slug.

    sent: when it was published, or withdrawn. before: what it updates or cancels, the oldest first.
    """

    id: UUID
    type: MessageType
    sender: str
    team: TeamCard
    sent: datetime
    expires: datetime
    texts: Sequence[tuple[str, str, str]]
    areas: Sequence[tuple[str, str]]
    before: Sequence[Reference] = ()


async def of_place(tx: Tx, place: Place) -> list[Alert]:
    """Of an area and the one it lies in, the newest first, of each chain only what holds now."""
    codes = [place.code, place.within_code]
    later = aliased(Message)
    replaced = select(later.corrects_id).where(
        later.corrects_id.is_not(None), later.state.in_(PUBLISHED), later.published_at <= tx.now
    )
    rows = await tx.execute(
        _messages(tx)
        .where(
            Message.id.in_(select(MessageArea.message_id).where(MessageArea.area_code.in_(codes))),
            Message.kind.in_([Kind.ALERT, Kind.CORRECTION]),
            Message.published_at > tx.now - SHOWN_FOR,
            Message.id.not_in(replaced),
        )
        .order_by(Message.published_at.desc(), Message.id.desc())
        .limit(MOST_ALERTS)
    )
    found = [await _alert(tx, row) for row in rows.all()]
    return sorted((each for each in found if each), key=lambda each: each.sent, reverse=True)


async def one(tx: Tx, message: UUID) -> Alert | None:
    """One alert by its id; None where there is none, or none that anybody may read."""
    row = (await tx.execute(_messages(tx).where(Message.id == message))).one_or_none()
    return await _alert(tx, row) if row else None


def _messages(tx: Tx) -> Select[*tuple[Any, ...]]:
    """Messages that went out, with their team; stopped ones too."""
    return (
        select(
            Message.id,
            Message.kind,
            Message.state,
            Message.lane,
            Message.criteria,
            Message.published_at,
            Message.expires_at,
            Message.corrects_id,
            Team.id.label("team_id"),
            Team.name,
            Team.slug,
        )
        .join(Team, Team.id == Message.team_id)
        .where(
            or_(Message.state.in_(PUBLISHED), Message.state == MessageState.CANCELLED),
            Message.published_at <= tx.now,
        )
    )


async def _alert(tx: Tx, row: Row[Any]) -> Alert | None:
    """The alert of a message; None where it is none, or was stopped before it went out."""
    before = await _before(tx, row)
    kinds = {Kind(each.kind) for each in (before[:1] or [row])}
    if kinds != {Kind.ALERT}:
        return None
    sent, kind = row.published_at, MessageType.UPDATE if before else MessageType.ALERT
    if row.state == MessageState.CANCELLED:
        withdrawn = await _stopped_at(tx, row)
        if withdrawn < row.published_at:
            return None
        sent, kind, before = withdrawn, MessageType.CANCEL, [row]
    texts = await tx.execute(
        select(MessageText.language, MessageText.title, MessageText.body)
        .where(MessageText.message_id == row.id)
        .order_by(MessageText.language != "en", MessageText.language)
    )
    return Alert(
        id=row.id,
        type=kind,
        sender=row.slug,
        team=await places.card(tx, _TeamRow(id=row.team_id, name=row.name, slug=row.slug)),
        sent=sent,
        expires=row.expires_at or row.published_at + life_of(Lane(row.lane)),
        texts=[(text.language, text.title, text.body) for text in texts],
        areas=await _areas(tx, row),
        before=[Reference(id=each.id, sender=each.slug, sent=each.published_at) for each in before],
    )


@dataclass(frozen=True, kw_only=True)
class _TeamRow:
    id: UUID
    name: str
    slug: str


async def _before(tx: Tx, row: Row[Any]) -> list[Row[Any]]:
    """What a correction corrects, and what that corrected: the first message first."""
    found: list[Row[Any]] = []
    wanted = row.corrects_id
    while wanted is not None and len(found) < MOST_BEFORE:
        earlier = (await tx.execute(_messages(tx).where(Message.id == wanted))).one_or_none()
        if earlier is None:
            break
        found.insert(0, earlier)
        wanted = earlier.corrects_id
    return found


async def _stopped_at(tx: Tx, row: Row[Any]) -> datetime:
    """When somebody stopped it, from the record of who did what; as it was published where that says nothing."""
    found = await tx.scalar(
        select(AuditEvent.at)
        .where(
            AuditEvent.object_kind == Message.__tablename__,
            AuditEvent.object_id == str(row.id),
            AuditEvent.action == "cancelled",
        )
        .order_by(AuditEvent.id.desc())
        .limit(1)
    )
    stopped: datetime = found or row.published_at
    return stopped


async def _areas(tx: Tx, row: Row[Any]) -> list[tuple[str, str]]:
    """The areas it names, not all that lie inside them."""
    codes = row.criteria.get("areas") or select(MessageArea.area_code).where(MessageArea.message_id == row.id)
    rows = await tx.execute(select(Area.code, Area.name).where(Area.code.in_(codes)).order_by(Area.name))
    return [(area.code, area.name) for area in rows]
