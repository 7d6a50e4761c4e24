"""Takes work off the ledger: `claim` leases rows, `mark` writes the attempt before the provider is called.

Both are short transactions without network. A row is claimed under a lease and a fence; whoever
comes later with an older fence changes nothing. Called by `notifier.worker`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, insert, or_, select, tuple_, update

from notifier.db import Tx
from notifier.delivery.facts import case_of, facts_of, standing_holds
from notifier.delivery.permit import judge, turn_away
from notifier.delivery.policy import NO_RULES, Rules
from notifier.models import (
    IS_PENDING,
    Attempt,
    Delivery,
    DeliveryState,
    Hold,
    HoldScope,
    Lane,
    Message,
    MessageState,
)
from subscribers.contact_points import ADDRESS

LEASES = {Lane.URGENT: timedelta(seconds=10)}
BULK_LEASE = timedelta(seconds=60)
AFTER_TIMEOUT = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A row under our lease, not yet started."""

    id: int
    fence: int
    channel: str


@dataclass(frozen=True, kw_only=True)
class Started:
    """A row whose attempt is on record: it must be sent and settled, or it will be in doubt."""

    id: int
    number: int
    channel: str
    medium: str
    address: str
    language: str
    lane: Lane
    tries: int
    checks: int
    maybe_repeat: bool
    expires_at: datetime
    contact_point_id: UUID
    link_version: int
    message_id: UUID | None
    notice_id: UUID | None


async def claim(tx: Tx, lane: Lane, limit: int, owner: str, *, factor: float = 1.0) -> list[Claimed]:
    """Lease up to `limit` due rows of a lane, oldest first; rows another worker holds are passed over.

    A row of a paused message or a held channel is left alone. Crash after it: the lease runs out.
    """
    held = select(Hold.key).where(Hold.scope == HoldScope.CHANNEL)
    paused = select(Message.id).where(Message.state == MessageState.PAUSED)
    picked = (
        select(Delivery.id)
        .where(
            IS_PENDING,
            Delivery.digest.is_(None),
            Delivery.lane == lane,
            Delivery.due_at <= tx.now,
            Delivery.channel.not_in(held),
            or_(Delivery.message_id.is_(None), Delivery.message_id.not_in(paused)),
        )
        .order_by(Delivery.lane, Delivery.due_at, Delivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Delivery)
        .cte("picked")
        .prefix_with("MATERIALIZED")  # or the planner may lock more rows than it takes
    )
    leased = (
        update(Delivery)
        .where(Delivery.id.in_(select(picked.c.id)))
        .values(
            state=DeliveryState.LEASED,
            lease_until=tx.now + LEASES.get(lane, BULK_LEASE) * factor,
            owner=owner,
            fence=Delivery.fence + 1,
        )
        .returning(Delivery.id, Delivery.fence, Delivery.channel)
    )
    rows = (await tx.execute(leased)).all()
    return [Claimed(id=row.id, fence=row.fence, channel=row.channel) for row in sorted(rows)]


async def mark(
    tx: Tx,
    claimed: Sequence[Claimed],
    owner: str,
    *,
    timeout_seconds: float,
    factor: float = 1.0,
    rules: Rules = NO_RULES,
) -> list[Started]:
    """Write the attempt of every row that may start; the others get the state they deserve.

    Starts only rows still under this claim (fence) whose message is sending, whose channel is open,
    whose owner has not opted out, and whose time has not passed. Contact points are read FOR SHARE:
    an opt-out that has committed is seen, one that has not waits until these attempts are on record.
    """
    rows = (await tx.execute(facts_of([c.id for c in claimed]))).all()
    fences = {c.id: c.fence for c in claimed}
    held = await standing_holds(tx)
    cases = {
        row.id: case_of(row, tx.now, held)
        for row in rows
        if row.state == DeliveryState.LEASED and row.fence == fences[row.id]
    }
    permits = await judge(tx, cases, rules)
    await turn_away(tx, permits)
    going = [(id_, fences[id_]) for id_, permit in permits.items() if permit.starts]
    if not going:
        return []
    started = await _start(
        tx, going, owner, tx.now + (timedelta(seconds=timeout_seconds) + AFTER_TIMEOUT) * factor
    )
    return [_started(tx, row, fences[row.id]) for row in rows if row.id in started]


async def release(tx: Tx, owner: str) -> int:
    """Give back every row this worker leased and did not start, at an orderly stop."""
    given = await tx.execute(
        update(Delivery)
        .where(Delivery.owner == owner, Delivery.state == DeliveryState.LEASED)
        .values(state=DeliveryState.PENDING, lease_until=None, owner=None)
    )
    return given.rowcount


async def _start(tx: Tx, going: Sequence[tuple[int, int]], owner: str, lease_until: datetime) -> set[int]:
    rows = await tx.execute(
        update(Delivery)
        .where(
            tuple_(Delivery.id, Delivery.fence).in_(going),
            and_(Delivery.state == DeliveryState.LEASED, Delivery.owner == owner),
        )
        .values(state=DeliveryState.STARTED, lease_until=lease_until, tries=Delivery.tries + 1)
        .returning(Delivery.id, Delivery.fence)
    )
    started = [(row.id, row.fence) for row in rows]
    if started:
        await tx.execute(
            insert(Attempt),
            [
                {"delivery_id": id_, "number": fence, "started_at": tx.now, "owner": owner}
                for id_, fence in started
            ],
        )
    return {id_ for id_, _ in started}


def _started(tx: Tx, row: Row[Any], fence: int) -> Started:
    return Started(
        id=row.id,
        number=fence,
        channel=row.channel,
        medium=row.medium,
        address=tx.keys.open_text(ADDRESS, row.contact_point_id, row.address_sealed),
        language=row.language,
        lane=Lane(row.lane),
        tries=row.tries + 1,
        checks=row.checks,
        maybe_repeat=row.maybe_repeat,
        expires_at=row.expires_at,
        contact_point_id=row.contact_point_id,
        link_version=row.link_version or 0,
        message_id=row.message_id,
        notice_id=row.notice_id,
    )
