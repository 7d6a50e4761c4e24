"""Messages as lists and as one: drafts, what is on its way, what was sent. Called by the desk and the API.

Every statement here holds the teams whose messages may be seen: what lies outside is not found.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, case, func, select, true

from notifier.broadcast import narrow, report
from notifier.broadcast.narrow import Narrow
from notifier.broadcast.report import REACHED, UNDER_WAY
from notifier.db import Tx
from notifier.errors import NotFound
from notifier.models import (
    Delivery,
    DeliveryState,
    Kind,
    Lane,
    Message,
    MessageState,
    MessageText,
    Officer,
    Team,
)

LARGE = 20_000
Teams = Collection[UUID] | None  # whose messages one may see; None: every team's
ON_THE_WAY = (
    MessageState.APPROVED,
    MessageState.PLANNING,
    MessageState.SCHEDULED,
    MessageState.SENDING,
    MessageState.PAUSED,
)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One line of a list. at: when it was published, will be, or was begun. audience: None until planned.

    reached, under_way, in_digest: deliveries; the last wait for a digest and are not under way. waits_for_second: one officer has approved it, another must.
    paused_reason: why it paused itself, in words.
    """

    id: UUID
    team_id: UUID
    team_name: str
    kind: Kind
    state: MessageState
    title: str
    at: datetime
    author: str
    audience: int | None
    reached: int
    under_way: int
    in_digest: int
    waits_for_second: bool
    paused_reason: str


@dataclass(frozen=True, kw_only=True)
class Written:
    """A message as it stands. texts: language → (title, body). areas: as chosen, without what is inside them.

    narrow: whom of those who follow them, where not all. paused_reason: why it paused itself, in words; empty where an
    officer did it.
    """

    id: UUID
    team_id: UUID
    team_name: str
    author_id: UUID | None
    kind: Kind
    lane: Lane
    state: MessageState
    texts: Mapping[str, tuple[str, str]]
    areas: tuple[str, ...]
    topics: tuple[str, ...]
    media: tuple[str, ...]
    narrow: Narrow | None
    send_at: datetime | None
    reply_by: datetime | None
    expires_at: datetime | None
    override_reason: str
    consultation_id: UUID | None
    corrects_id: UUID | None
    doubles_id: UUID | None
    paused_reason: str
    created_at: datetime
    frozen_at: datetime | None
    approved_by: UUID | None
    second_approver: UUID | None

    @property
    def title(self) -> str:
        return self.texts["en"][0]

    @property
    def fingerprint(self) -> str:
        """Of everything an approval covers: another one means that it has changed since it was looked at."""
        whole = [
            self.kind,
            sorted((language, *text) for language, text in self.texts.items()),
            [sorted(part) for part in (self.areas, self.topics, self.media)],
            [str(self.send_at), str(self.reply_by), str(self.expires_at), self.override_reason],
            str(self.narrow),
        ]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:32]


async def drafts(tx: Tx, teams: Teams) -> list[Summary]:
    """Drafts, the newest first."""
    return await _summaries(tx, _lines(teams).where(Message.state == MessageState.DRAFT).limit(50))


async def on_the_way(tx: Tx, teams: Teams) -> list[Summary]:
    """Approved, and neither over nor cancelled."""
    return await _summaries(tx, _lines(teams).where(Message.state.in_(ON_THE_WAY)).limit(50))


async def ended(tx: Tx, teams: Teams, *, limit: int = 5) -> list[Summary]:
    """Done or cancelled, the newest first."""
    over = (MessageState.DONE, MessageState.CANCELLED)
    return await _summaries(tx, _lines(teams).where(Message.state.in_(over)).limit(limit))


async def page(tx: Tx, teams: Teams, *, after: UUID | None, limit: int) -> list[Summary]:
    """Every message, newest first, a page at a time; `after`: the last one of the page before."""
    lines = _lines(teams).limit(limit)
    return await _summaries(tx, lines.where(Message.id < after) if after else lines)


async def get(tx: Tx, message: UUID, teams: Teams, *, hold: bool = False) -> Written:
    """One message. hold: nobody else may change it until this transaction ends. Raises NotFound."""
    statement = (
        select(Message.__table__, Team.name.label("team_name"))
        .join(Team, Team.id == Message.team_id)
        .where(Message.id == message, in_scope(teams))
    )
    if hold:
        statement = statement.with_for_update(of=Message)
    row = (await tx.execute(statement)).one_or_none()
    if row is None:
        raise NotFound("There is no such message.")
    texts = await tx.execute(
        select(MessageText.language, MessageText.title, MessageText.body)
        .where(MessageText.message_id == message)
        .order_by(MessageText.language)
    )
    return Written(
        id=row.id,
        team_id=row.team_id,
        team_name=row.team_name,
        author_id=row.author_id,
        kind=Kind(row.kind),
        lane=Lane(row.lane),
        state=MessageState(row.state),
        texts={text.language: (text.title, text.body) for text in texts},
        areas=tuple(row.criteria["areas"]),
        topics=tuple(row.criteria["topics"]),
        media=tuple(row.criteria["media"]),
        narrow=narrow.read(row.criteria),
        send_at=row.send_at,
        reply_by=row.reply_by,
        expires_at=row.expires_at,
        override_reason=row.override_reason or "",
        consultation_id=row.consultation_id,
        corrects_id=row.corrects_id,
        doubles_id=row.doubles_id,
        paused_reason=row.paused_reason or "",
        created_at=row.created_at,
        frozen_at=row.frozen_at,
        approved_by=row.approved_by,
        second_approver=row.second_approver,
    )


def in_scope(teams: Teams) -> ColumnElement[bool]:
    """The part of a statement that keeps one team out of another's messages."""
    return true() if teams is None else Message.team_id.in_(list(teams))


def _lines(teams: Teams) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Message.id,
            Message.team_id,
            Team.name.label("team_name"),
            Message.kind,
            Message.state,
            MessageText.title,
            func.coalesce(Message.published_at, Message.send_at, Message.created_at).label("at"),
            Officer.name.label("author"),
            Message.audience_count,
            Message.approved_by,
            Message.paused_reason,
        )
        .join(Team, Team.id == Message.team_id)
        .join(MessageText, (MessageText.message_id == Message.id) & (MessageText.language == "en"))
        .outerjoin(Officer, Officer.id == Message.author_id)
        .where(in_scope(teams))
        .order_by(Message.id.desc())
    )


async def _summaries(tx: Tx, lines: Select[*tuple[Any, ...]]) -> list[Summary]:
    rows = (await tx.execute(lines)).all()
    counted = await _counted(tx, [row for row in rows if row.state != MessageState.DRAFT])
    return [
        Summary(
            id=row.id,
            team_id=row.team_id,
            team_name=row.team_name,
            kind=Kind(row.kind),
            state=MessageState(row.state),
            title=row.title,
            at=row.at,
            author=row.author or "",
            audience=row.audience_count,
            reached=counted.get(row.id, _NOTHING)[0],
            under_way=counted.get(row.id, _NOTHING)[1],
            in_digest=counted.get(row.id, _NOTHING)[2],
            waits_for_second=row.state == MessageState.DRAFT and row.approved_by is not None,
            paused_reason=row.paused_reason or "",
        )
        for row in rows
    ]


async def _counted(tx: Tx, rows: Sequence[Row[Any]]) -> dict[UUID, tuple[int, int, int]]:
    """Deliveries reached, under way, and waiting for a digest, for each message that has any.

    Large ones one by one, so that what was counted lately need not be counted again.
    """
    large = [row.id for row in rows if (row.audience_count or 0) > LARGE]
    found = await _count_together(tx, [row.id for row in rows if row.id not in large])
    for id_ in large:
        progress = await report.glance(tx, id_)
        if progress:
            found[id_] = (progress.reached, progress.under_way, progress.waits_for_digest)
    return found


async def _count_together(tx: Tx, messages: Sequence[UUID]) -> dict[UUID, tuple[int, int, int]]:
    waits = (Delivery.state == DeliveryState.PENDING) & Delivery.digest.is_not(None)
    rows = await tx.execute(
        select(
            Delivery.message_id,
            func.sum(case((Delivery.state.in_(REACHED), 1), else_=0)).label("reached"),
            func.sum(case((waits, 0), (Delivery.state.in_(UNDER_WAY), 1), else_=0)).label("under_way"),
            func.sum(case((waits, 1), else_=0)).label("in_digest"),
        )
        .where(Delivery.message_id.in_(messages))
        .group_by(Delivery.message_id)
    )
    return {row.message_id: (int(row.reached), int(row.under_way), int(row.in_digest)) for row in rows}


_NOTHING = (0, 0, 0)
