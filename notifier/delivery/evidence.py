"""What a look-up at the provider may use as evidence: whose texts are whose, where two have the same words.

Called by the worker around the look-ups of deliveries in doubt: `known` before them, `unclaimed` after them, in the
transaction that records what they found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select

from channels.base import Accepted, Outcome, Unknown
from notifier.db import Tx
from notifier.models import Attempt, Delivery
from subscribers.models import ContactPoint

LOOK_BACK = timedelta(days=4)  # the longest life of a message, and a day


@dataclass(frozen=True, kw_only=True)
class Known:
    """since: when the delivery's first attempt in doubt began. claimed: ids that other deliveries hold there."""

    since: datetime
    claimed: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a look-up said of a delivery."""

    delivery: int
    contact_point_id: UUID
    outcome: Outcome | None


async def known(tx: Tx, deliveries: Sequence[int]) -> Mapping[int, Known]:
    """What each delivery's look-up must be told. A delivery without an attempt in doubt is left out."""
    doubt = or_(Attempt.outcome.is_(None), Attempt.outcome == "unknown")
    begun = await tx.execute(
        select(Attempt.delivery_id, func.min(Attempt.started_at).label("since"), Delivery.contact_point_id)
        .join(Delivery, Delivery.id == Attempt.delivery_id)
        .where(Attempt.delivery_id.in_(list(deliveries)), doubt)
        .group_by(Attempt.delivery_id, Delivery.contact_point_id)
    )
    rows = begun.all()
    held = await _held(tx, [row.contact_point_id for row in rows])
    return {
        row.delivery_id: Known(
            since=row.since,
            claimed=frozenset(
                name
                for name, holder in held.get(row.contact_point_id, {}).items()
                if holder != row.delivery_id
            ),
        )
        for row in rows
    }


async def unclaimed(tx: Tx, answers: Sequence[Answer]) -> list[Outcome | None]:
    """The outcomes, in their order, without what another delivery to that address holds by now.

    Two look-ups at the same time may both have found the one text there is: it is the first one's, and for the
    other there is no evidence. Contact points are held, so that two workers cannot both be the first.
    """
    points = [each.contact_point_id for each in answers if isinstance(each.outcome, Accepted)]
    if not points:
        return [each.outcome for each in answers]
    await tx.execute(
        select(ContactPoint.id)
        .where(ContactPoint.id.in_(points))
        .order_by(ContactPoint.id)
        .with_for_update(key_share=True)
    )
    held = await _held(tx, points)
    found: list[Outcome | None] = []
    for each in answers:
        outcome = each.outcome
        if isinstance(outcome, Accepted) and outcome.provider_id:
            names = held.setdefault(each.contact_point_id, {})
            if names.setdefault(outcome.provider_id, each.delivery) != each.delivery:
                outcome = Unknown(reason="what was found is another message's")
        found.append(outcome)
    return found


async def _held(tx: Tx, contact_points: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Contact point → provider's id → the delivery that holds it, of the last days."""
    if not contact_points:
        return {}
    held: dict[UUID, dict[str, int]] = {}
    of_rows = select(Delivery.contact_point_id, Delivery.id, Delivery.provider_id).where(
        Delivery.contact_point_id.in_(contact_points),
        Delivery.provider_id.is_not(None),
        Delivery.due_at > tx.now - LOOK_BACK,
    )
    of_attempts = (
        select(Delivery.contact_point_id, Delivery.id, Attempt.provider_id)
        .join(Attempt, Attempt.delivery_id == Delivery.id)
        .where(
            Delivery.contact_point_id.in_(contact_points),
            Attempt.provider_id.is_not(None),
            Attempt.started_at > tx.now - LOOK_BACK,
        )
    )
    for query in (of_rows, of_attempts):
        for row in await tx.execute(query):
            held.setdefault(row.contact_point_id, {}).setdefault(row.provider_id, row.id)
    return held
