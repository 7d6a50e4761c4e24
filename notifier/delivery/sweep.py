"""Finds what was left: leases that ran out, attempts nobody settled, time that passed, messages at their end.

Runs in every process every few seconds; two at once are harmless, since each statement names the state it
starts from and passes over rows another holds. It looks at everything older than its time, never at a window,
a page at a time, and only through the indexes of what is open. Rows in flight stand among those that wait, so that a
claim writes to no index: to look for the ones that were lost is to read what is open, which costs 0.4 s a million.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, exists, func, literal, select, text, update

from notifier.db import Tx
from notifier.delivery import closing
from notifier.delivery.fast import POSTGRESQL
from notifier.delivery.record import follow_digests, note_events
from notifier.delivery.settle import DOUBT_WAIT
from notifier.delivery.shares import IS_LIVE
from notifier.models import (
    IS_IN_DOUBT,
    IS_IN_FLIGHT,
    IS_ON_ITS_WAY,
    IS_PENDING,
    Delivery,
    DeliveryState,
    IncomingRow,
    IncomingState,
    Lane,
    Message,
    MessageState,
)
from subscribers.models import Frequency

PAGE = 1000
MOST_RESCUES = 3
LOCK = 0x6E6F746966790001  # of the sweep, among PostgreSQL's advisory locks
ROUTED_AFTER = timedelta(seconds=2)
PASSED = "its time had passed"
LOST_STARTED = "the worker was lost after it started"
LOST_URGENT = "the worker was lost; tried again at once, perhaps a repeat"
LOST_OFTEN = f"its worker was lost {MOST_RESCUES} times"


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How many rows each part of a sweep touched. more: a page was full, so sweep again at once.

    unclosed: cancelled messages of which something still waits.
    """

    returned: int = 0
    doubted: int = 0
    held: int = 0
    expired: int = 0
    finished: int = 0
    more: bool = False
    unclosed: Sequence[UUID] = ()


async def sweep(tx: Tx, *, factor: float = 1.0) -> Swept:
    """One pass over everything that lapsed, a page of each. Nothing where another process is at it."""
    if tx.dialect == POSTGRESQL and not await tx.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
        return Swept()
    returned, doubted, held = await _recover(tx, factor)
    expired = await _expire(tx)
    await _begin_scheduled(tx)
    finished = await _finish_messages(tx)
    return Swept(
        returned=returned,
        doubted=doubted,
        held=held,
        expired=expired,
        finished=finished,
        more=max(returned + doubted + held, expired) >= PAGE,
        unclosed=await closing.unclosed(tx),
    )


async def rescue(tx: Tx, *, factor: float = 1.0, bulk: bool = True) -> Swept:
    """The leases that ran out, and nothing else. bulk: also those of bulk lanes, among which a million rows may wait."""
    if tx.dialect == POSTGRESQL and not await tx.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
        return Swept()
    alerts = select(Message.id).where(Message.lane == Lane.URGENT, IS_LIVE)
    returned = doubted = held = 0
    parts = [()] if bulk else [(Delivery.message_id.in_(alerts),), (Delivery.message_id.is_(None),)]
    for part in parts:
        more = await _recover(tx, factor, *part)
        returned, doubted, held = returned + more[0], doubted + more[1], held + more[2]
    return Swept(returned=returned, doubted=doubted, held=held)


async def forget_leases(tx: Tx) -> None:
    """Let every lease run out now: at the start of a process that is the only one to send."""
    await tx.execute(update(Delivery).where(IS_IN_FLIGHT).values(lease_until=tx.now - timedelta(seconds=1)))


async def forgotten(tx: Tx, lanes: Collection[Lane] = tuple(Lane)) -> list[tuple[str, str]]:
    """(job, id) of what stands undone in these lanes: approved messages not planned, incoming not routed.

    The doorbell may be lost with all of Redis; whoever finds work here does it, and two at once are harmless.
    A message that somebody is planning at this moment is left to them.
    """
    unplanned = (
        select(Message.id)
        .where(
            Message.state.in_([MessageState.APPROVED, MessageState.PLANNING]),
            Message.lane.in_([int(lane) for lane in lanes]),
        )
        .with_for_update(skip_locked=True)
    )
    plans = [("plan", str(id_)) for id_ in (await tx.execute(unplanned)).scalars()]
    if Lane.TRANSACTIONAL not in lanes:
        return plans
    unrouted = (
        select(IncomingRow.id)
        .where(
            IncomingRow.state == literal(IncomingState.STORED.value, literal_execute=True),
            IncomingRow.received_at < tx.now - ROUTED_AFTER,
        )
        .order_by(IncomingRow.received_at)
        .limit(PAGE)
    )
    return plans + [("route", str(id_)) for id_ in (await tx.execute(unrouted)).scalars()]


# --- leases and attempts ------------------------------------------------------------------------


async def _recover(tx: Tx, factor: float, *where: ColumnElement[bool]) -> tuple[int, int, int]:
    """(returned, doubted, held) of a page of the rows in flight whose lease ran out first."""
    found = (
        await tx.execute(
            select(Delivery.id, Delivery.lane, Delivery.maybe_repeat, Delivery.rescues, Delivery.state)
            .where(IS_IN_FLIGHT, Delivery.lease_until < tx.now, *where)
            .order_by(Delivery.lease_until)
            .limit(PAGE)
            .with_for_update(skip_locked=True)
        )
    ).all()
    leased = [row for row in found if row.state == DeliveryState.LEASED]
    started = [row for row in found if row.state != DeliveryState.LEASED]
    await _return_leases(tx, leased)
    return len(leased), *await _doubt_unsettled(tx, started, factor)


async def _return_leases(tx: Tx, rows: Sequence[Any]) -> None:
    """Claimed, never started: nothing left the house, so it is simply due again."""
    await _move(tx, [row.id for row in rows], DeliveryState.LEASED, state=DeliveryState.PENDING)
    _wake(tx, {row.lane for row in rows})


async def _doubt_unsettled(tx: Tx, rows: Sequence[Any], factor: float) -> tuple[int, int]:
    """Started, never settled: it may have left. An alert is tried again at once, flagged; others wait.

    A delivery that has lost its workers again and again may be what ends them: it is held for a person.
    """
    often = [row.id for row in rows if row.rescues + 1 >= MOST_RESCUES]
    urgent = [row.id for row in rows if row.lane == Lane.URGENT and not row.maybe_repeat]
    urgent = [id_ for id_ in urgent if id_ not in often]
    others = [row.id for row in rows if row.id not in often and row.id not in urgent]
    await _swept(tx, often, DeliveryState.HELD, LOST_OFTEN, maybe_repeat=True, reason=LOST_OFTEN)
    await _swept(tx, urgent, DeliveryState.PENDING, LOST_URGENT, maybe_repeat=True, due_at=tx.now)
    await _swept(tx, others, DeliveryState.IN_DOUBT, LOST_STARTED, due_at=tx.now + DOUBT_WAIT * factor)
    _wake(tx, {Lane.URGENT} if urgent else set())
    return len(urgent) + len(others), len(often)


async def _swept(tx: Tx, ids: Sequence[int], state: DeliveryState, said: str, **values: object) -> None:
    await _move(tx, ids, DeliveryState.STARTED, state=state, rescues=Delivery.rescues + 1, **values)
    await note_events(tx, ids, "swept", said, state=state)
    if state.is_terminal:
        await follow_digests(tx, ids)


async def _move(tx: Tx, ids: Sequence[int], before: DeliveryState, **values: object) -> None:
    if ids:
        await tx.execute(
            update(Delivery)
            .where(Delivery.id.in_(ids), Delivery.state == before)
            .values(lease_until=None, owner=None, **values)
            .execution_options(synchronize_session=False)
        )


def _wake(tx: Tx, lanes: Collection[int]) -> None:
    for lane in sorted(lanes):
        tx.on_commit("wake", lane=Lane(lane).name.lower())


# --- time that passed -----------------------------------------------------------------------------

# Each index of what waits begins with what it is grouped by, so that its groups are found by one probe each.
_MESSAGES_DUE = text(
    """
    WITH RECURSIVE found(message) AS (
      SELECT (SELECT message_id FROM deliveries
              WHERE queue = 1 AND digest IS NULL AND message_id IS NOT NULL
              ORDER BY message_id LIMIT 1)
      UNION ALL
      SELECT (SELECT message_id FROM deliveries
              WHERE queue = 1 AND digest IS NULL AND message_id > found.message
              ORDER BY message_id LIMIT 1)
      FROM found WHERE found.message IS NOT NULL
    )
    SELECT message FROM found WHERE message IS NOT NULL
    """
).columns(message=Uuid())

_MESSAGES_IN_DIGESTS = text(
    """
    WITH RECURSIVE found(message) AS (
      SELECT (SELECT message_id FROM deliveries
              WHERE queue = 1 AND digest IS NOT NULL AND digest = :digest
              ORDER BY message_id LIMIT 1)
      UNION ALL
      SELECT (SELECT message_id FROM deliveries
              WHERE queue = 1 AND digest IS NOT NULL AND digest = :digest AND message_id > found.message
              ORDER BY message_id LIMIT 1)
      FROM found WHERE found.message IS NOT NULL
    )
    SELECT message FROM found WHERE message IS NOT NULL
    """
).columns(message=Uuid())


Group = tuple[Sequence[Any], Sequence[Any]]


async def _expire(tx: Tx) -> int:
    """What waits though its time has passed: of each group the oldest rows alone are looked at, for they pass first."""
    ids: list[int] = []
    for rows, oldest_first in await _groups(tx):
        head = select(Delivery.expires_at).where(*rows).order_by(*oldest_first).limit(1)
        first = await tx.scalar(head)
        if first is None or first > tx.now:
            continue
        oldest = (
            select(Delivery.id)
            .where(*rows)
            .order_by(*oldest_first)
            .limit(PAGE - len(ids))
            .with_for_update(skip_locked=True)
            .subquery()
        )
        late = select(Delivery.id).where(Delivery.id.in_(select(oldest.c.id)), Delivery.expires_at <= tx.now)
        ids += (await tx.execute(late)).scalars().all()
        if len(ids) >= PAGE:
            break
    if ids:
        await _move(tx, ids, DeliveryState.PENDING, state=DeliveryState.EXPIRED, reason=PASSED)
        await note_events(tx, ids, "expired", PASSED, state=DeliveryState.EXPIRED)
        await follow_digests(tx, ids)
    return len(ids)


async def _groups(tx: Tx) -> list[Group]:
    """(rows, order of their index): each message that waits, each lane's notices, each message in digests."""
    at_once = (IS_PENDING, Delivery.digest.is_(None))
    by_time = (Delivery.lane, Delivery.due_at, Delivery.id)
    found: list[Group] = [
        ((*at_once, Delivery.message_id == message), by_time)
        for message in (await tx.execute(_MESSAGES_DUE)).scalars().all()
    ]
    found += [
        ((*at_once, Delivery.message_id.is_(None), Delivery.lane == lane), by_time)
        for lane in (Lane.TRANSACTIONAL, Lane.BULLETIN)
    ]
    for digest in Frequency.DAILY, Frequency.WEEKLY:
        waiting = (IS_PENDING, Delivery.digest.is_not(None), Delivery.digest == digest)
        messages = (await tx.execute(_MESSAGES_IN_DIGESTS, {"digest": digest.value})).scalars().all()
        found += [
            (
                (*waiting, Delivery.message_id == message, Delivery.digest_notice_id.is_(None)),
                (Delivery.contact_point_id,),
            )
            for message in messages
        ]
    return found


# --- messages ------------------------------------------------------------------------------------


async def _begin_scheduled(tx: Tx) -> None:
    begun = await tx.execute(
        update(Message)
        .where(Message.state == MessageState.SCHEDULED, Message.send_at <= tx.now)
        .values(state=MessageState.SENDING)
        .returning(Message.lane)
    )
    _wake(tx, set(begun.scalars()))


async def _finish_messages(tx: Tx) -> int:
    """Done only when no delivery is open: never inferred from an empty claim. One probe of each index of open rows."""
    waits = exists().where(Delivery.message_id == Message.id, IS_ON_ITS_WAY, Delivery.digest.is_(None))
    in_digest = exists().where(
        Delivery.message_id == Message.id,
        IS_ON_ITS_WAY,
        Delivery.digest.is_not(None),
        Delivery.digest.in_([Frequency.DAILY, Frequency.WEEKLY]),
    )
    of_a_message = Delivery.message_id.is_not(None)
    in_doubt = select(Delivery.message_id).where(
        IS_IN_DOUBT, Delivery.due_at > datetime(1970, 1, 1, tzinfo=UTC), of_a_message
    )
    done = await tx.execute(
        update(Message)
        .where(
            Message.state == MessageState.SENDING,
            Message.audience_count.is_not(None),
            ~waits,
            ~in_digest,
            Message.id.not_in(in_doubt),
        )
        .values(state=MessageState.DONE)
        .execution_options(synchronize_session=False)
    )
    return done.rowcount
