"""The timeline of one delivery, from every table that knows of it, in the order things happened."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, true

from notifier.db import Tx
from notifier.models import Attempt, Delivery, DeliveryEvent, DeliveryState, Lane, Message, Notice, ReceiptRow


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that happened."""

    at: datetime
    what: str


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A delivery and its steps. It shows ids and states, never an address or a text."""

    id: int
    message_id: UUID | None
    notice_id: UUID | None
    notice_kind: str | None
    channel: str
    lane: Lane
    state: DeliveryState
    reason: str
    tries: int
    maybe_repeat: bool
    due_at: datetime
    team_id: UUID | None
    steps: Sequence[Step]


async def timeline(tx: Tx, delivery: int, *, teams: Collection[UUID] | None = None) -> Timeline | None:
    """What happened to a delivery, or None. teams: whose deliveries may be seen; None: everybody's."""
    team = func.coalesce(Message.team_id, Notice.team_id)
    row = (
        await tx.execute(
            select(
                Delivery,
                team.label("team_id"),
                Message.frozen_at,
                Notice.kind,
                Notice.created_at.label("asked_at"),
            )
            .outerjoin(Message, Message.id == Delivery.message_id)
            .outerjoin(Notice, Notice.id == Delivery.notice_id)
            .where(Delivery.id == delivery, true() if teams is None else team.in_(list(teams)))
        )
    ).first()
    if row is None:
        return None
    begun = row.frozen_at or row.asked_at
    steps = [Step(at=begun, what="planned")] if begun else []
    steps += await _attempts(tx, delivery)
    steps += await _events(tx, delivery)
    steps += await _receipts(tx, delivery)
    return Timeline(
        id=row.id,
        message_id=row.message_id,
        notice_id=row.notice_id,
        notice_kind=row.kind,
        channel=row.channel,
        lane=Lane(row.lane),
        state=DeliveryState(row.state),
        reason=row.reason or "",
        tries=row.tries,
        maybe_repeat=row.maybe_repeat,
        due_at=row.due_at,
        team_id=row.team_id,
        steps=sorted(steps, key=lambda step: step.at),
    )


async def _attempts(tx: Tx, delivery: int) -> list[Step]:
    rows = await tx.execute(select(Attempt).where(Attempt.delivery_id == delivery))
    steps = []
    for row in rows:
        steps.append(Step(at=row.started_at, what=f"attempt {row.number} started"))
        if row.settled_at:
            why = " ".join(part for part in (row.reason, row.code) if part)
            said = f": {why}" if why else f" as {row.provider_id}" if row.provider_id else ""
            steps.append(Step(at=row.settled_at, what=f"attempt {row.number} {row.outcome}{said}"))
    return steps


async def _events(tx: Tx, delivery: int) -> list[Step]:
    rows = await tx.execute(select(DeliveryEvent).where(DeliveryEvent.delivery_id == delivery))
    return [Step(at=row.at, what=f"{row.kind}: {row.detail}") for row in rows]


async def _receipts(tx: Tx, delivery: int) -> list[Step]:
    rows = await tx.execute(select(ReceiptRow).where(ReceiptRow.delivery_id == delivery))
    return [
        Step(at=row.at, what=f"the provider says {row.progress}" + (f" ({row.code})" if row.code else ""))
        for row in rows
    ]
