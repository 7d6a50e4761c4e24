"""What became of a message: counts that sum to its audience, and what a person can read of one delivery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from notifier.db import Tx
from notifier.models import Delivery, DeliveryState, Message, MessageState
from subscribers.models import ContactPoint

WAITING_FOR_DIGEST = "waiting_for_digest"
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
    """Deliveries by state; those held for a digest under `waiting_for_digest`."""
    found: dict[str, int] = {}
    for by_state in (await _counted(tx, message)).values():
        for state, number in by_state.items():
            found[state] = found.get(state, 0) + number
    return found


async def progress(tx: Tx, message: UUID) -> Progress | None:
    """How far a message is, or None."""
    row = (await tx.execute(select(Message).where(Message.id == message))).first()
    if row is None:
        return None
    repeats = await tx.scalar(
        select(func.count()).where(Delivery.message_id == message, Delivery.maybe_repeat.is_(True))
    )
    by_medium = await _counted(tx, message)
    return Progress(
        id=row.id,
        state=MessageState(row.state),
        audience=row.audience_count,
        counts=await counts(tx, message),
        possible_repeats=repeats or 0,
        by_medium=by_medium,
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


async def _counted(tx: Tx, message: UUID) -> dict[str, dict[str, int]]:
    waits = (Delivery.state == DeliveryState.PENDING) & Delivery.digest.is_not(None)
    rows = await tx.execute(
        select(ContactPoint.medium, Delivery.state, waits.label("waits"), func.count().label("number"))
        .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
        .where(Delivery.message_id == message)
        .group_by(ContactPoint.medium, Delivery.state, waits)
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        state = WAITING_FOR_DIGEST if row.waits else row.state
        by_state = found.setdefault(row.medium, {})
        by_state[state] = by_state.get(state, 0) + row.number
    return found
