"""What the public pages read about places: wards to choose from, and all that an area page shows.

Takes an open read-only transaction and gives plain values; nothing here writes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import aliased

from channels import addresses
from channels.base import Medium
from notifier.db import Tx
from notifier.models import (
    Consultation,
    ConsultationState,
    Kind,
    Message,
    MessageArea,
    MessageState,
    MessageText,
    Team,
    TeamArea,
    TeamContactPoint,
    TeamUse,
    WardPriority,
)
from subscribers import contact_points
from subscribers.models import Area, AreaKind, ContactPoint

PUBLISHED = (MessageState.SENDING, MessageState.PAUSED, MessageState.DONE)
MOST_MESSAGES = 10


@dataclass(frozen=True, kw_only=True)
class Place:
    """An area that people may follow, with the one it lies in."""

    code: str
    name: str
    kind: str
    within: str = ""
    within_code: str = ""


@dataclass(frozen=True, kw_only=True)
class AccountCard:
    """An account of a team, the network it is on, and where anybody can read it."""

    name: str
    network: str
    url: str


@dataclass(frozen=True, kw_only=True)
class TeamCard:
    """A team as residents meet it: its name and the ways to reach it."""

    name: str
    slug: str
    emails: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    accounts: tuple[AccountCard, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PublishedMessage:
    """A message as it stands on an area page. body: limited Markdown."""

    id: str
    kind: Kind
    team_name: str
    title: str
    body: str
    published_at: datetime


@dataclass(frozen=True, kw_only=True)
class AreaNews:
    """All that an area page shows."""

    place: Place
    teams: Sequence[TeamCard]
    priorities: Sequence[Any]
    messages: Sequence[PublishedMessage]
    open_consultations: Sequence[Any]
    closed_consultations: Sequence[Any]
    parts: Sequence[Place]


async def place(tx: Tx, code: str) -> Place | None:
    """An area we serve, by its code."""
    rows = await _places(tx, _served().where(Area.code == code))
    return rows[0] if rows else None


async def places(tx: Tx, codes: Collection[str]) -> list[Place]:
    """Those of these areas that we serve, by name."""
    return await _places(tx, _served().where(Area.code.in_(list(codes))))


async def wards(tx: Tx, within: Collection[str] | None = None) -> list[Place]:
    """Wards people may choose, by borough and name; within: only those of these boroughs."""
    statement = _served().where(Area.kind.in_([AreaKind.WARD, AreaKind.CUSTOM]))
    if within is not None:
        statement = statement.where(Area.parent_code.in_(list(within)))
    return await _places(tx, statement)


async def teams_of(tx: Tx, code: str) -> list[TeamCard]:
    """The teams that cover an area now, else those of the area it lies in."""
    parent = select(Area.parent_code).where(Area.code == code).scalar_subquery()
    for where in (TeamArea.area_code == code, TeamArea.area_code == parent):
        rows = await tx.execute(
            select(Team.id, Team.name, Team.slug)
            .join(TeamArea, TeamArea.team_id == Team.id)
            .where(where, TeamArea.since <= tx.now, or_(TeamArea.until.is_(None), TeamArea.until > tx.now))
            .distinct()
            .order_by(Team.name)
        )
        found = [await card(tx, row) for row in rows.all()]
        if found:
            return found
    return []


async def news(tx: Tx, found: Place) -> AreaNews:
    """Everything on one area's page."""
    consultations = (
        await tx.execute(
            select(Consultation.__table__, Team.name.label("team_name"))
            .join(Team, Team.id == Consultation.team_id)
            .where(Consultation.area_code.in_([found.code, found.within_code]), Consultation.opens <= tx.now)
            .order_by(Consultation.closes.desc())
        )
    ).all()
    is_open = [c for c in consultations if c.state == ConsultationState.OPEN and c.closes > tx.now]
    priorities = await tx.execute(
        select(WardPriority.__table__)
        .where(WardPriority.area_code == found.code)
        .order_by(WardPriority.agreed_on.desc(), WardPriority.title)
    )
    return AreaNews(
        place=found,
        teams=await teams_of(tx, found.code),
        priorities=priorities.all(),
        messages=await messages_of(tx, found),
        open_consultations=is_open,
        closed_consultations=[c for c in consultations if c not in is_open],
        parts=await _places(tx, _served().where(Area.parent_code == found.code)),
    )


async def messages_of(tx: Tx, found: Place) -> list[PublishedMessage]:
    """The latest messages to an area or to the one it lies in, newest first, in English."""
    rows = await tx.execute(
        select(Message.id, Message.kind, Message.published_at, MessageText.title, MessageText.body, Team.name)
        .join(MessageText, (MessageText.message_id == Message.id) & (MessageText.language == "en"))
        .join(Team, Team.id == Message.team_id)
        .where(
            Message.id.in_(
                select(MessageArea.message_id).where(
                    MessageArea.area_code.in_([found.code, found.within_code])
                )
            ),
            is_published(tx.now),
        )
        .order_by(Message.published_at.desc(), Message.id.desc())
        .limit(MOST_MESSAGES)
    )
    return [
        PublishedMessage(
            id=str(row.id),
            kind=Kind(row.kind),
            team_name=row.name,
            title=row.title,
            body=row.body,
            published_at=row.published_at,
        )
        for row in rows
    ]


def is_published(now: datetime) -> ColumnElement[bool]:
    """Of a message: anybody may read it. One that is paused before its time is not."""
    return Message.state.in_(PUBLISHED) & (Message.published_at <= now)


def _served() -> Select[*tuple[Any, ...]]:
    """Areas people may follow today, each with its parent."""
    above = aliased(Area)
    return (
        select(Area.code, Area.name, Area.kind, above.name.label("within"), above.code.label("within_code"))
        .outerjoin(above, above.code == Area.parent_code)
        .where(Area.served.is_(True), Area.valid_to.is_(None))
        .order_by(above.name, Area.name, Area.code)
    )


async def _places(tx: Tx, statement: Select[*tuple[Any, ...]]) -> list[Place]:
    return [
        Place(
            code=row.code,
            name=row.name,
            kind=row.kind,
            within=row.within or "",
            within_code=row.within_code or "",
        )
        for row in await tx.execute(statement)
    ]


async def card(tx: Tx, team: Any) -> TeamCard:
    """A team as residents meet it. team: a row with its id, name and slug."""
    rows = (
        await tx.execute(
            select(TeamContactPoint.contact_point_id, TeamContactPoint.use, ContactPoint.medium)
            .join(ContactPoint, ContactPoint.id == TeamContactPoint.contact_point_id)
            .where(TeamContactPoint.team_id == team.id)
            .order_by(TeamContactPoint.contact_point_id)
        )
    ).all()
    opened = await contact_points.addresses(tx, [row.contact_point_id for row in rows])

    def of(medium: Medium, *uses: TeamUse) -> tuple[str, ...]:
        chosen = [row for row in rows if row.medium == medium and row.use in uses]
        return tuple(dict.fromkeys(opened[row.contact_point_id] for row in chosen))

    return TeamCard(
        name=team.name,
        slug=team.slug,
        emails=of(Medium.EMAIL, TeamUse.REPLY),
        numbers=of(Medium.SMS, TeamUse.SENDER, TeamUse.REPLY),
        accounts=tuple(_account(each) for each in of(Medium.SOCIAL, TeamUse.POST)),
    )


def _account(name: str) -> AccountCard:
    network = addresses.network_of(name)
    return AccountCard(name=name, network=network or "", url=addresses.page_of(name))
