"""Fair shares of a lane: which messages have rows due, and how many each may have of the next claim.

Teams take turns with equal shares, and so do the messages of one team. Notices are a team of their own.
The order moves on with every claim, so that a hundred wards posting at once all move on together.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Uuid,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
)

from notifier.db import Tx
from notifier.delivery.canary import room
from notifier.delivery.fast import Shape, given, is_one_of
from notifier.delivery.gate import shut_channels
from notifier.models import (
    IS_ON_ITS_WAY,
    IS_PENDING,
    Canary,
    Delivery,
    DeliveryState,
    Hold,
    HoldScope,
    Lane,
    Message,
    MessageState,
)
from subscribers.models import UTCDateTime

T = TypeVar("T")
FIRST_ROWS = 1000  # of a message, among which its canary's are: what is due first is claimed first
IS_LIVE: ColumnElement[bool] = literal_column("messages.state NOT IN ('draft', 'done', 'cancelled')")


@dataclass(frozen=True, kw_only=True)
class Live:
    """A message with rows due, or (no message) the lane's notices. most: of its rows, where it has a canary."""

    message: UUID | None
    team: UUID | None = None
    most: int | None = None


@dataclass(frozen=True, kw_only=True)
class Closed:
    """What is held or shut just now."""

    system: bool
    channels: tuple[str, ...]
    teams: frozenset[str]


async def closed(tx: Tx) -> Closed:
    """Every hold, and the channels whose breaker is open, in one statement."""
    rows = await _CLOSED.rows(tx, now=tx.now)
    places = [(row.scope, row.key) for row in rows]
    return Closed(
        system=any(scope == HoldScope.SYSTEM for scope, _ in places),
        channels=tuple(sorted({key for scope, key in places if scope == HoldScope.CHANNEL})),
        teams=frozenset(key for scope, key in places if scope == HoldScope.TEAM),
    )


async def live(tx: Tx, lane: Lane, now_closed: Closed, lately: Collection[UUID] = ()) -> list[Live]:
    """What may be claimed in a lane now: a probe of the index for each live message, never a count.

    lately: messages that had rows a moment ago. They are not probed, for that meets every row taken since.
    """
    rows = await _LIVE.rows(tx, lane=int(lane), now=tx.now, lately=list(lately))
    found = []
    for row in rows:
        if row.id is None:
            found.append(Live(message=None))
            continue
        if str(row.team_id) in now_closed.teams:
            continue
        most = await _room(tx, row.id, row.canary_seen) if row.canary == Canary.WAITING else None
        if most != 0:
            found.append(Live(message=row.id, team=row.team_id, most=most))
    return found


def shares(found: Sequence[Live], limit: int, turn: int) -> list[tuple[UUID | None, int]]:
    """(message, most rows) of the next claim. Pure.

    Row by row, as cards are dealt: claim number `turn` goes on where the one before it ended.
    """
    teams: dict[UUID | None, list[Live]] = {}
    for each in found:
        teams.setdefault(each.team, []).append(each)
    groups = _turned(list(teams.values()), turn * limit)
    parts: list[tuple[UUID | None, int]] = []
    for number, group in enumerate(groups):
        share = limit // len(groups) + (number < limit % len(groups))
        for at, each in enumerate(_turned(group, turn)):
            own = -(-share // (len(group) - at))
            own = min(own, each.most) if each.most is not None else own
            share -= own
            if own > 0:
                parts.append((each.message, own))
    return parts


async def _room(tx: Tx, message: UUID, seen: str) -> int:
    """How many more rows a message may lease whose canary is still out: its first ones are, and no others."""
    first = (
        select(Delivery.state)
        .where(IS_ON_ITS_WAY, Delivery.digest.is_(None), Delivery.message_id == message)
        .order_by(Delivery.lane, Delivery.due_at, Delivery.id)
        .limit(FIRST_ROWS)
        .subquery()
    )
    in_flight = select(func.count()).where(first.c.state != DeliveryState.PENDING)
    return room(seen, await tx.scalar(in_flight) or 0)


def _turned(items: Sequence[T], turn: int) -> list[T]:
    at = turn % len(items) if items else 0
    return [*items[at:], *items[:at]]


# --- the statements ------------------------------------------------------------------------------


def _closed(_of: str) -> Executable:
    shut = shut_channels(given("now", UTCDateTime())).subquery()
    return union_all(
        select(Hold.scope, Hold.key),
        select(literal_column(f"'{HoldScope.CHANNEL}'"), shut.c.channel),
    )


def _live(of: str) -> Executable:
    now, lane = given("now", UTCDateTime()), given("lane", Integer)
    due = (IS_PENDING, Delivery.digest.is_(None), Delivery.lane == lane, Delivery.due_at <= now)
    messages = select(Message.id, Message.team_id, Message.canary, Message.canary_seen).where(
        IS_LIVE,
        Message.lane == lane,
        or_(
            Message.state == MessageState.SENDING,
            (Message.state == MessageState.SCHEDULED) & (Message.send_at <= now),
        ),
        or_(
            is_one_of(Message.id, "lately", of, Uuid), exists().where(Delivery.message_id == Message.id, *due)
        ),
    )
    notices: Any = select(null(), null(), null(), literal_column("''")).where(
        exists().where(Delivery.message_id.is_(None), *due)
    )
    return union_all(messages, notices)


_CLOSED, _LIVE = Shape(_closed), Shape(_live)
