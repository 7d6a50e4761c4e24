"""Deliveries in doubt whose wait is over: hands them to a look-up, with what the provider must be asked.

And the same of those that are tried again and may have arrived.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select, update

from channels.base import Doubt
from notifier.db import Tx
from notifier.delivery.claim import Claimed
from notifier.delivery.record import note_events
from notifier.delivery.settle import BETWEEN_LOOK_UPS
from notifier.models import IS_IN_DOUBT, Attempt, Delivery, DeliveryState, Lane, Message, Notice
from subscribers.contact_points import ADDRESS
from subscribers.models import ContactPoint, Subscriber
from subscribers.signing import CannotOpen

NEWEST = 200  # of an address's deliveries, those whose provider ids a look-up must not take for this one's


class InDoubt(NamedTuple):
    """A delivery in doubt, as it was started. since: when its first try that may have arrived began."""

    started: Claimed
    since: datetime | None


async def take_doubtful(tx: Tx, *, limit: int = 50, factor: float = 1.0) -> list[InDoubt]:
    """Deliveries in doubt that are due for a look-up; each is put off first, so that one process looks.

    One whose address does not open cannot be looked up: it is held for a person.
    """
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
    since = (
        select(func.min(Attempt.started_at))
        .where(Attempt.delivery_id == Delivery.id, _may_have_arrived())
        .scalar_subquery()
    )
    rows = await tx.execute(
        select(
            Delivery,
            ContactPoint.medium,
            ContactPoint.address_sealed,
            func.coalesce(Subscriber.link_version, 0).label("link_version"),
            func.coalesce(Message.team_id, Notice.team_id).label("team_id"),
            since.label("since"),
        )
        .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
        .outerjoin(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
        .outerjoin(Message, Message.id == Delivery.message_id)
        .outerjoin(Notice, Notice.id == Delivery.notice_id)
        .where(Delivery.id.in_(ids))
    )
    found = []
    for row in rows.all():
        try:
            address = tx.keys.open_text(ADDRESS, row.contact_point_id, row.address_sealed)
        except (CannotOpen, UnicodeError):
            await _hold(tx, row.id)
            continue
        found.append(InDoubt(_as_started(row, address), row.since))
    return found


async def doubts_of(tx: Tx, rows: Sequence[Claimed]) -> dict[int, Doubt]:
    """By delivery, of those that may have arrived already, what a look-up has to know."""
    by_id = {row.id: row for row in rows}
    if not by_id:
        return {}
    found = await tx.execute(
        select(Attempt.delivery_id, func.min(Attempt.started_at).label("since"))
        .where(Attempt.delivery_id.in_(by_id), _may_have_arrived())
        .group_by(Attempt.delivery_id)
    )
    return {
        row.delivery_id: Doubt(
            since=row.since, claimed=frozenset(await claimed_by_others(tx, by_id[row.delivery_id]))
        )
        for row in found.all()
    }


def _may_have_arrived() -> ColumnElement[bool]:
    return func.coalesce(Attempt.outcome, "unknown").in_(["unknown", "accepted"])


def _as_started(row: Any, address: str) -> Claimed:
    """As its worker had it; `tries` holds the one in doubt already."""
    return Claimed(
        id=row.id,
        fence=row.fence,
        channel=row.channel,
        medium=row.medium,
        address=address,
        language=row.language,
        lane=Lane(row.lane),
        tries=row.tries,
        checks=row.checks,
        maybe_repeat=row.maybe_repeat,
        expires_at=row.expires_at,
        contact_point_id=row.contact_point_id,
        link_version=row.link_version,
        message_id=row.message_id,
        notice_id=row.notice_id,
        team_id=row.team_id,
    )


async def claimed_by_others(tx: Tx, delivery: Claimed) -> Sequence[str]:
    """The provider's ids that other deliveries to the same address hold: they are not this one's."""
    rows = await tx.execute(
        select(Delivery.id, Delivery.provider_id)
        .where(Delivery.contact_point_id == delivery.contact_point_id)
        .order_by(Delivery.id.desc())
        .limit(NEWEST)
    )
    return [row.provider_id for row in rows if row.provider_id and row.id != delivery.id]


async def _hold(tx: Tx, delivery: int) -> None:
    reason = "in doubt, and its address cannot be opened to look it up"
    await tx.execute(
        update(Delivery).where(Delivery.id == delivery).values(state=DeliveryState.HELD, reason=reason)
    )
    await note_events(tx, [delivery], "held", reason, state=DeliveryState.HELD)
