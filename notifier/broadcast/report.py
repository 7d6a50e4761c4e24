"""What became of a message: counts that sum to its audience, and what a person can read of one delivery."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, case, func, select
from sqlalchemy.orm import InstrumentedAttribute

from notifier.db import Tx
from notifier.models import Delivery, DeliveryState, Message, MessageState
from subscribers.models import ContactPoint

WAITING_FOR_DIGEST = "waiting_for_digest"
QUICK_SECONDS = 0.05  # what is counted in less is counted each time
KEPT_TIMES = 20
MOST_KEPT = 200
REACHED = (DeliveryState.ACCEPTED, DeliveryState.DELIVERED)
UNDER_WAY = (DeliveryState.PENDING, DeliveryState.LEASED, DeliveryState.STARTED, DeliveryState.IN_DOUBT)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A message's state and its counts by delivery state; `waiting_for_digest` is counted apart."""

    id: UUID
    state: MessageState
    audience: int | None
    counts: Mapping[str, int]
    possible_repeats: int
    by_medium: Mapping[str, Mapping[str, int]]
    send_at: datetime | None

    @property
    def reached(self) -> int:
        return sum(self.counts.get(state, 0) for state in REACHED)

    @property
    def under_way(self) -> int:
        return sum(self.counts.get(state, 0) for state in UNDER_WAY)

    @property
    def stopped(self) -> int:
        """Ended before they began, since somebody took the message back."""
        return self.counts.get(DeliveryState.CANCELLED, 0)

    @property
    def in_flight(self) -> int:
        """Begun and not settled: what can still leave once a message is stopped."""
        return self.counts.get(DeliveryState.STARTED, 0)

    @property
    def waits_for_digest(self) -> int:
        return self.counts.get(WAITING_FOR_DIGEST, 0)

    @property
    def sums_up(self) -> bool:
        """Do the counts add up to the frozen audience?"""
        return self.audience is None or sum(self.counts.values()) == self.audience

    @property
    def is_over(self) -> bool:
        """Nothing more will happen but the digests that wait for their hour."""
        planned = self.audience is not None or self.state in (MessageState.CANCELLED, MessageState.DONE)
        return planned and self.under_way == 0


async def counts(tx: Tx, message: UUID) -> Mapping[str, int]:
    """Deliveries by state, counted now; those held for a digest under `waiting_for_digest`."""
    found = await progress(tx, message)
    return found.counts if found else {}


async def progress(tx: Tx, message: UUID) -> Progress | None:
    """How far a message is, counted now, or None."""
    row = (await tx.execute(select(Message).where(Message.id == message))).first()
    return _progress(row, await _count(tx, row)) if row else None


async def glance(tx: Tx, message: UUID) -> Progress | None:
    """How far a message is, for pages that many look at again and again, or None.

    Counting a million rows takes a while: what took long is kept in this process for twenty times as long, so
    that however many look, a twentieth of one processor is the most it costs. What is quick is never kept.
    """
    row = (await tx.execute(select(Message).where(Message.id == message))).first()
    if row is None:
        return None
    kept = _KEPT.get(message)
    if kept is None or kept.until < time.monotonic():
        before = time.monotonic()
        counted = await _count(tx, row)
        took = time.monotonic() - before
        kept = _Kept(counted=counted, until=time.monotonic() + took * KEPT_TIMES)
        if took >= QUICK_SECONDS:
            _KEPT[message] = kept
            while len(_KEPT) > MOST_KEPT:
                _KEPT.pop(next(iter(_KEPT)))
    return _progress(row, kept.counted)


def forget(message: UUID) -> None:
    """Count anew at the next glance: somebody has just done something to it."""
    _KEPT.pop(message, None)


def _progress(row: Row[Any], counted: "_Counted") -> Progress:
    counts: dict[str, int] = {}
    for by_state in counted.by_medium.values():
        for state, number in by_state.items():
            counts[state] = counts.get(state, 0) + number
    return Progress(
        id=row.id,
        state=MessageState(row.state),
        audience=row.audience_count,
        counts=counts,
        possible_repeats=counted.possible_repeats,
        by_medium=counted.by_medium,
        send_at=row.send_at,
    )


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Deliveries that ended badly for one reason. examples: a few of their ids."""

    state: DeliveryState
    reason: str
    medium: str
    number: int
    examples: Sequence[int]


async def troubles(tx: Tx, message: UUID) -> list[Trouble]:
    """Why some were not reached: by state, reason and medium, the most frequent first."""
    bad = [state for state in DeliveryState if state.is_terminal and state not in REACHED]
    rows = await tx.execute(
        select(
            Delivery.state,
            Delivery.reason,
            ContactPoint.medium,
            func.count().label("number"),
            func.min(Delivery.id).label("first"),
            func.max(Delivery.id).label("last"),
        )
        .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
        .where(Delivery.message_id == message, Delivery.state.in_(bad))
        .group_by(Delivery.state, Delivery.reason, ContactPoint.medium)
        .order_by(func.count().desc())
        .limit(50)
    )
    return [
        Trouble(
            state=DeliveryState(row.state),
            reason=row.reason or "",
            medium=row.medium,
            number=row.number,
            examples=tuple(dict.fromkeys((row.first, row.last))),
        )
        for row in rows
    ]


async def repeats(tx: Tx, message: UUID, *, limit: int = 20) -> list[int]:
    """Deliveries of a message that may have arrived twice."""
    rows = await tx.execute(
        select(Delivery.id)
        .where(Delivery.message_id == message, Delivery.maybe_repeat.is_(True))
        .order_by(Delivery.id)
        .limit(limit)
    )
    return list(rows.scalars())


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """by_medium: medium → state (or `waiting_for_digest`) → deliveries."""

    by_medium: Mapping[str, Mapping[str, int]]
    possible_repeats: int


@dataclass(frozen=True, kw_only=True)
class _Kept:
    counted: _Counted
    until: float


_KEPT: dict[UUID, _Kept] = {}


async def _count(tx: Tx, row: Row[Any]) -> _Counted:
    """One pass over a message's deliveries. A channel that carries one of its media alone says which it is."""
    media = [medium for medium in tx.carriers if medium in row.criteria.get("media", ())]
    ways = [(carrier.channel, medium) for medium in media for carrier in tx.carriers.all_of(medium)]
    of_channel = dict(ways)
    if len(of_channel) == len(ways):
        rows = (await tx.execute(_grouped(row.id, Delivery.channel))).all()
        if all(found.way in of_channel for found in rows):
            return _summed([(of_channel[found.way], found) for found in rows])
    joined = _grouped(row.id, ContactPoint.medium).join(
        ContactPoint, ContactPoint.id == Delivery.contact_point_id
    )
    return _summed([(found.way, found) for found in await tx.execute(joined)])


def _grouped(message: UUID, way: ColumnElement[str] | InstrumentedAttribute[str]) -> Select[*tuple[Any, ...]]:
    waits = (Delivery.state == DeliveryState.PENDING) & Delivery.digest.is_not(None)
    return (
        select(
            way.label("way"),
            Delivery.state,
            waits.label("waits"),
            func.count().label("number"),
            func.sum(case((Delivery.maybe_repeat.is_(True), 1), else_=0)).label("repeats"),
        )
        .select_from(Delivery)
        .where(Delivery.message_id == message)
        .group_by(way, Delivery.state, waits)
    )


def _summed(rows: Sequence[tuple[str, Row[Any]]]) -> _Counted:
    by_medium: dict[str, dict[str, int]] = {}
    for medium, found in rows:
        state = WAITING_FOR_DIGEST if found.waits else found.state
        by_state = by_medium.setdefault(medium, {})
        by_state[state] = by_state.get(state, 0) + found.number
    return _Counted(by_medium=by_medium, possible_repeats=sum(found.repeats for _, found in rows))
