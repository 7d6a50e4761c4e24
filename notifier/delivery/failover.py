"""Moves what waits for a channel that is out of order to another that carries its medium and works.

Never what may have arrived: what is in doubt, may be a repeat, is leased or started, or had a try whose end nobody
knows, stays where it is. Only texts and mail, for any of their channels reaches the same addresses. What was moved
stays there when the first channel works again. Called by the worker's `detours`, a page a transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select, tuple_, update

from channels.base import Medium
from notifier.db import Tx
from notifier.delivery.gate import TAKES_NOTHING
from notifier.delivery.numbers import asks_for_replies, senders_of
from notifier.delivery.record import note_events
from notifier.delivery.replay import NOT_TAKEN
from notifier.delivery.shares import IS_LIVE
from notifier.delivery.standing import STATE_WORDS
from notifier.models import (
    IS_PENDING,
    Attempt,
    BreakerRow,
    BreakerState,
    Delivery,
    DeliveryEvent,
    Hold,
    HoldScope,
    Lane,
    Message,
    MessageState,
)
from subscribers.models import ContactPoint

MEDIA = (Medium.EMAIL.value, Medium.SMS.value)
MOVED = "moved"
PAGE = 1000
# Ends of an attempt after which it may have arrived, beside none at all.
UNSURE = ("unknown", "accepted")

Cursor = tuple[datetime, int]


@dataclass(frozen=True, kw_only=True)
class Detour:
    """A channel out of order, since when and why, and those that work and carry the same medium, in order.

    alone: it carries that medium and no other here.
    """

    medium: str
    channel: str
    others: Sequence[str]
    since: datetime
    why: str
    alone: bool


@dataclass(frozen=True, kw_only=True)
class Group:
    """What is moved together: a message's deliveries, or (no message) a lane's notices. to: the channel they go by."""

    detour: Detour
    to: str
    lane: Lane
    message: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A page of it. cursor: where the next one begins; none: there is no more."""

    number: int
    cursor: Cursor | None


async def detours(tx: Tx) -> list[Detour]:
    """The channels out of order now that others can stand in for. Nothing is read where each medium has one channel."""
    several = [medium for medium in MEDIA if len(tx.carriers.all_of(medium)) > 1]
    if not several:
        return []
    troubles, shut = await _troubles(tx)
    carried = tx.carriers.by_channel()
    found = []
    for medium in several:
        ways = [each.channel for each in tx.carriers.all_of(medium)]
        works = [each for each in ways if each not in troubles]
        found += [
            Detour(
                medium=medium,
                channel=each,
                others=works,
                since=troubles[each][0],
                why=troubles[each][1],
                alone=len(carried[each]) == 1,
            )
            for each in ways
            if each in shut and works
        ]
    return found


async def groups(tx: Tx, found: Sequence[Detour], *, bulk: bool, after: timedelta) -> list[Group]:
    """What may be moved, alerts first. bulk: all but alerts, of channels out of order for as long as `after`.

    A message that asks for replies goes only by a channel on which its team's texts can be answered.
    """
    old = [detour for detour in found if not bulk or tx.now - detour.since >= after]
    if not old:
        return []
    is_alert = Message.lane == Lane.URGENT
    rows = await tx.execute(
        select(Message.id, Message.team_id, Message.lane, Message.kind, Message.reply_by)
        .where(IS_LIVE, Message.state == MessageState.SENDING, ~is_alert if bulk else is_alert)
        .order_by(Message.lane, Message.id)
    )
    made = []
    if bulk:
        made += [Group(detour=each, to=each.others[0], lane=Lane.TRANSACTIONAL) for each in old]
        made += [Group(detour=each, to=each.others[0], lane=Lane.BULLETIN) for each in old]
    for row in rows.all():
        for detour in old:
            asks = detour.medium == Medium.SMS and asks_for_replies(row.kind, row.reply_by)
            to = await _answerable(tx, row.team_id, detour.others) if asks else detour.others[0]
            if to:
                made.append(Group(detour=detour, to=to, lane=Lane(row.lane), message=row.id))
    return sorted(made, key=lambda group: group.lane)


async def move_page(tx: Tx, group: Group, after: Cursor | None = None, *, page: int = PAGE) -> Moved:
    """Move the next page of a group. Safe to run twice, and in two processes at once: a row another holds is left.

    No try is spent. What was put back because the channel takes nothing, or is to be tried again, is due at once.
    """
    row, channel = Delivery, group.detour.channel
    rows = (
        await tx.execute(
            select(row.id, row.due_at)
            .where(
                IS_PENDING,
                row.digest.is_(None),
                row.message_id == group.message if group.message else row.message_id.is_(None),
                row.lane == group.lane,
                row.channel == channel,
                row.maybe_repeat.is_(False),
                ~_may_have_arrived(),
                *([] if group.detour.alone else [_is_of(group.detour.medium)]),
                *([] if after is None else [tuple_(row.due_at, row.id) > tuple_(*after)]),
            )
            .order_by(row.lane, row.due_at, row.id)
            .limit(page)
            .with_for_update(skip_locked=True)
        )
    ).all()
    ids = [each.id for each in rows]
    if not ids:
        return Moved(number=0, cursor=None)
    waits_for_it = or_(row.reason == TAKES_NOTHING.format(channel), row.tries > 0) & (row.due_at > tx.now)
    await tx.execute(
        update(row)
        .where(row.id.in_(ids), IS_PENDING, row.channel == channel)
        .values(
            channel=group.to,
            due_at=case((waits_for_it, tx.now), else_=row.due_at),
            reason=case((waits_for_it, None), else_=row.reason),
        )
        .execution_options(synchronize_session=False)
    )
    await note_events(tx, ids, MOVED, f"from {channel} to {group.to}: {group.detour.why}")
    tx.on_commit("wake", lane=group.lane.name.lower())
    last = rows[-1]
    return Moved(number=len(ids), cursor=(last.due_at, last.id) if len(ids) == page else None)


async def _troubles(tx: Tx) -> tuple[dict[str, tuple[datetime, str]], set[str]]:
    """Channel → since when and why it does not work; and those of which nothing may start just now.

    One whose breaker is due for a probe has trouble, but what it probes with must stay.
    """
    troubles: dict[str, tuple[datetime, str]] = {}
    shut: set[str] = set()
    breakers = select(BreakerRow.__table__).where(
        BreakerRow.domain == "", BreakerRow.state != BreakerState.CLOSED
    )
    for row in await tx.execute(breakers):
        troubles[row.channel] = (row.opened_at or tx.now, STATE_WORDS[BreakerState(row.state)])
        if row.probe_at and row.probe_at > tx.now:
            shut.add(row.channel)
    for row in await tx.execute(select(Hold.key, Hold.since).where(Hold.scope == HoldScope.CHANNEL)):
        troubles[row.key] = (row.since, "held")
        shut.add(row.key)
    return troubles, shut


async def _answerable(tx: Tx, team: UUID, channels: Sequence[str]) -> str:
    for each in channels:
        if (await senders_of(tx, team, each)).can_reply:
            return each
    return ""


def _may_have_arrived() -> ColumnElement[bool]:
    """Some try had no end, or one that leaves it open, and its provider has not said since that it never had it."""
    denied = exists().where(
        DeliveryEvent.delivery_id == Attempt.delivery_id,
        DeliveryEvent.kind == NOT_TAKEN,
        DeliveryEvent.number >= Attempt.number,
    )
    return exists().where(
        Attempt.delivery_id == Delivery.id,
        func.coalesce(Attempt.outcome, UNSURE[0]).in_(UNSURE),
        ~denied.correlate(Attempt),
    )


def _is_of(medium: str) -> Any:
    return exists().where(and_(ContactPoint.id == Delivery.contact_point_id, ContactPoint.medium == medium))
