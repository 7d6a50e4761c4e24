"""Finds what was left: leases that ran out, attempts nobody settled, time that passed, messages at their end.

Runs in every process every few seconds; two at once are harmless, since each statement names the
state it starts from. It looks at everything older than its time, never at a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, exists, literal, select, update

from channels.base import Idempotency, Medium
from notifier.db import Tx
from notifier.delivery import closing
from notifier.delivery.record import follow_digests, note_events
from notifier.delivery.settle import BETWEEN_LOOK_UPS, DOUBT_WAIT, Tried
from notifier.models import (
    IS_IN_DOUBT,
    IS_PENDING,
    Delivery,
    DeliveryState,
    IncomingRow,
    IncomingState,
    Lane,
    Message,
    MessageState,
)
from subscribers.contact_points import ADDRESS
from subscribers.models import ContactPoint

PAGE = 1000
NOT_TERMINAL = [state for state in DeliveryState if not state.is_terminal]


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How many rows each part of a sweep touched; unclosed: cancelled messages of which something still waits."""

    returned: int
    doubted: int
    expired: int
    finished: int
    unclosed: Sequence[UUID] = ()


@dataclass(frozen=True, kw_only=True)
class InDoubt:
    """A delivery in doubt whose wait is over, with what a look-up needs."""

    tried: Tried
    channel: str
    medium: Medium
    address: str
    language: str
    message_id: UUID | None
    notice_id: UUID | None


async def sweep(tx: Tx, *, factor: float = 1.0) -> Swept:
    """One pass over everything that lapsed."""
    returned = await _return_leases(tx)
    doubted = await _doubt_unsettled(tx, factor)
    expired = await _expire(tx)
    await _begin_scheduled(tx)
    finished = await _finish_messages(tx)
    return Swept(
        returned=returned,
        doubted=doubted,
        expired=expired,
        finished=finished,
        unclosed=await closing.unclosed(tx),
    )


async def forget_leases(tx: Tx) -> None:
    """Let every lease run out now: at the start of a process that is the only one to send."""
    await tx.execute(
        update(Delivery)
        .where(Delivery.lease_until.is_not(None))
        .values(lease_until=tx.now - timedelta(seconds=1))
    )


async def take_doubtful(
    tx: Tx, idempotency: dict[str, Idempotency], *, limit: int = 50, factor: float = 1.0
) -> list[InDoubt]:
    """Deliveries in doubt that are due for a look-up; each is put off first, so that one process looks."""
    due = (
        select(Delivery.id)
        .where(IS_IN_DOUBT, Delivery.due_at <= tx.now)
        .order_by(Delivery.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = (await tx.execute(due)).scalars().all()
    if not ids:
        return []
    await tx.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids))
        .values(due_at=tx.now + BETWEEN_LOOK_UPS * factor, checks=Delivery.checks + 1)
    )
    rows = await tx.execute(
        select(Delivery, ContactPoint.medium, ContactPoint.address_sealed)
        .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
        .where(Delivery.id.in_(ids))
    )
    return [
        InDoubt(
            tried=Tried(
                id=row.id,
                number=row.fence,
                lane=Lane(row.lane),
                tries=row.tries,
                checks=row.checks,
                maybe_repeat=row.maybe_repeat,
                expires_at=row.expires_at,
                idempotency=idempotency.get(row.channel, Idempotency.NONE),
                contact_point_id=row.contact_point_id,
            ),
            channel=row.channel,
            medium=Medium(row.medium),
            address=tx.keys.open_text(ADDRESS, row.contact_point_id, row.address_sealed),
            language=row.language,
            message_id=row.message_id,
            notice_id=row.notice_id,
        )
        for row in rows
    ]


async def forgotten(tx: Tx) -> list[tuple[str, str]]:
    """(job, id) of what stands undone: approved messages not yet planned, incoming not yet routed.

    The doorbell may be lost with all of Redis; whoever finds work here does it, and two at once are harmless.
    """
    unplanned = select(Message.id).where(Message.state.in_([MessageState.APPROVED, MessageState.PLANNING]))
    unrouted = (
        select(IncomingRow.id)
        .where(
            IncomingRow.state == literal(IncomingState.STORED.value, literal_execute=True),
            IncomingRow.received_at < tx.now - timedelta(seconds=2),
        )
        .order_by(IncomingRow.received_at)
        .limit(PAGE)
    )
    plans = [("plan", str(id_)) for id_ in (await tx.execute(unplanned)).scalars()]
    return plans + [("route", str(id_)) for id_ in (await tx.execute(unrouted)).scalars()]


async def _return_leases(tx: Tx) -> int:
    """Claimed, never started: nothing left the house, so it is simply due again."""
    done = await tx.execute(
        update(Delivery)
        .where(Delivery.lease_until < tx.now, Delivery.state == DeliveryState.LEASED)
        .values(state=DeliveryState.PENDING, lease_until=None, owner=None)
    )
    if done.rowcount:
        tx.on_commit("wake")
    return done.rowcount


async def _doubt_unsettled(tx: Tx, factor: float) -> int:
    """Started, never settled: it may have left. An alert is tried again at once, flagged; others wait."""
    lapsed = (Delivery.lease_until < tx.now, Delivery.state == DeliveryState.STARTED)
    urgent = await _move(
        tx,
        [*lapsed, Delivery.lane == Lane.URGENT, Delivery.maybe_repeat.is_(False)],
        state=DeliveryState.PENDING,
        maybe_repeat=True,
        due_at=tx.now,
    )
    others = await _move(tx, lapsed, state=DeliveryState.IN_DOUBT, due_at=tx.now + DOUBT_WAIT * factor)
    await note_events(tx, urgent, "swept", "the worker was lost; tried again at once, perhaps a repeat")
    await note_events(tx, others, "swept", "the worker was lost after it started")
    if urgent:
        tx.on_commit("wake")
    return len(urgent) + len(others)


async def _expire(tx: Tx) -> int:
    late = (
        select(Delivery.id)
        .where(IS_PENDING, Delivery.expires_at <= tx.now, Delivery.digest_notice_id.is_(None))
        .limit(PAGE)
    )
    ids = (await tx.execute(late)).scalars().all()
    if ids:
        done = await _move(
            tx, [Delivery.id.in_(ids), IS_PENDING], state=DeliveryState.EXPIRED, reason="its time had passed"
        )
        await note_events(tx, done, "expired", "its time had passed")
        await follow_digests(tx, done)
    return len(ids)


async def _begin_scheduled(tx: Tx) -> None:
    begun = await tx.execute(
        update(Message)
        .where(Message.state == MessageState.SCHEDULED, Message.send_at <= tx.now)
        .values(state=MessageState.SENDING)
    )
    if begun.rowcount:
        tx.on_commit("wake")


async def _finish_messages(tx: Tx) -> int:
    """Done only when no delivery is open: never inferred from an empty claim."""
    still_open = exists().where(Delivery.message_id == Message.id, Delivery.state.in_(NOT_TERMINAL))
    done = await tx.execute(
        update(Message)
        .where(Message.state == MessageState.SENDING, Message.audience_count.is_not(None), ~still_open)
        .values(state=MessageState.DONE)
        .execution_options(synchronize_session=False)
    )
    return done.rowcount


async def _move(tx: Tx, where: Sequence[ColumnElement[bool]], **values: object) -> Sequence[int]:
    moved = await tx.execute(
        update(Delivery).where(*where).values(lease_until=None, owner=None, **values).returning(Delivery.id)
    )
    return moved.scalars().all()
