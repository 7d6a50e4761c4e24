"""What happened to one delivery, from every table that knows of it: step by step, and why it is as it is.

Called by the desk, the API and `notifier explain`. It shows ids and states, never an address or a text.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, func, select, true

from notifier.db import Tx
from notifier.delivery.facts import standing_holds
from notifier.delivery.permit import DIGEST, LATER
from notifier.delivery.record import IN_DIGEST
from notifier.delivery.why import Known, Why, masked, why
from notifier.models import (
    Attempt,
    BreakerRow,
    BreakerState,
    Delivery,
    DeliveryEvent,
    DeliveryState,
    Hold,
    HoldScope,
    Lane,
    Message,
    MessageState,
    Notice,
    ReceiptRow,
)
from subscribers.models import ContactPoint

GOOD = ("accepted",)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that happened."""

    at: datetime
    what: str


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A delivery and its steps. why: the rule that decided, and the sentence that says so."""

    id: int
    message_id: UUID | None
    notice_id: UUID | None
    notice_kind: str | None
    channel: str
    medium: str
    lane: Lane
    state: DeliveryState
    reason: str
    tries: int
    maybe_repeat: bool
    due_at: datetime
    team_id: UUID | None
    steps: Sequence[Step]
    why: Why


@dataclass(frozen=True, kw_only=True)
class _History:
    attempts: Sequence[Row[Any]]
    events: Sequence[Row[Any]]
    receipts: Sequence[Row[Any]]


async def timeline(
    tx: Tx, delivery: int, *, zone: ZoneInfo, teams: Collection[UUID] | None = None
) -> Timeline | None:
    """What happened to a delivery, or None. teams: whose deliveries may be seen; None: everybody's."""
    team = func.coalesce(Message.team_id, Notice.team_id)
    row = (
        await tx.execute(
            select(
                Delivery,
                ContactPoint.medium,
                team.label("team_id"),
                Message.frozen_at,
                Message.state.label("message_state"),
                Message.send_at,
                Message.canary,
                Message.paused_reason,
                Message.override_reason,
                Notice.kind,
                Notice.created_at.label("asked_at"),
            )
            .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
            .outerjoin(Message, Message.id == Delivery.message_id)
            .outerjoin(Notice, Notice.id == Delivery.notice_id)
            .where(Delivery.id == delivery, true() if teams is None else team.in_(list(teams)))
        )
    ).first()
    if row is None:
        return None
    history = await _history(tx, delivery)
    return Timeline(
        id=row.id,
        message_id=row.message_id,
        notice_id=row.notice_id,
        notice_kind=row.kind,
        channel=row.channel,
        medium=row.medium,
        lane=Lane(row.lane),
        state=DeliveryState(row.state),
        reason=masked(row.reason or ""),
        tries=row.tries,
        maybe_repeat=row.maybe_repeat,
        due_at=row.due_at,
        team_id=row.team_id,
        steps=_steps(row.frozen_at or row.asked_at, history),
        why=why(await _known(tx, row, history, zone)),
    )


async def _history(tx: Tx, delivery: int) -> _History:
    attempts = select(Attempt.__table__).where(Attempt.delivery_id == delivery).order_by(Attempt.number)
    events = select(DeliveryEvent.__table__).where(DeliveryEvent.delivery_id == delivery)
    receipts = select(ReceiptRow.__table__).where(ReceiptRow.delivery_id == delivery)
    return _History(
        attempts=(await tx.execute(attempts)).all(),
        events=(await tx.execute(events.order_by(DeliveryEvent.id))).all(),
        receipts=(await tx.execute(receipts.order_by(ReceiptRow.id))).all(),
    )


async def _known(tx: Tx, row: Row[Any], history: _History, zone: ZoneInfo) -> Known:
    last = history.attempts[-1] if history.attempts else None
    failed = last is not None and last.settled_at is not None and last.outcome not in GOOD
    shut = await _shut(tx, row.channel)
    digest_state, digest_sent = await _digest(tx, row.digest_notice_id)
    return Known(
        now=tx.now,
        zone=zone,
        state=DeliveryState(row.state),
        due_at=row.due_at,
        expires_at=row.expires_at,
        reason=row.reason or "",
        tries=row.tries,
        maybe_repeat=row.maybe_repeat,
        digest=row.digest,
        digest_state=digest_state,
        message_state=MessageState(row.message_state) if row.message_state else None,
        send_at=row.send_at,
        canary=row.canary,
        paused_reason=row.paused_reason or "",
        override_reason=row.override_reason or "",
        sent_at=last.started_at if last else digest_sent,
        said_at=next((each.at for each in reversed(history.receipts) if each.progress == row.state), None),
        fault=" ".join(part for part in (last.reason, last.code) if part) if last and failed else "",
        waited=[
            event.detail
            for event in history.events
            if event.kind in (LATER, DIGEST) and event.detail != IN_DIGEST
        ],
        held=await _held(tx, row),
        shut=(shut.reason or "trouble with its provider") if shut else "",
        shut_until=shut.probe_at if shut else None,
    )


async def _held(tx: Tx, row: Row[Any]) -> Sequence[tuple[str, str]]:
    """(scope, reason) of the holds that stand for this delivery, the widest first."""
    standing = await standing_holds(tx)
    places = [(HoldScope.SYSTEM, ""), (HoldScope.CHANNEL, row.channel), (HoldScope.TEAM, str(row.team_id))]
    found = []
    for scope, key in places:
        if (scope, key) in standing:
            reason = await tx.scalar(select(Hold.reason).where(Hold.scope == scope, Hold.key == key))
            found.append((str(scope), reason or ""))
    return found


async def _shut(tx: Tx, channel: str) -> Row[Any] | None:
    """The channel's breaker, where it is not closed."""
    breaker = select(BreakerRow.reason, BreakerRow.probe_at).where(
        BreakerRow.channel == channel, BreakerRow.domain == "", BreakerRow.state != BreakerState.CLOSED
    )
    return (await tx.execute(breaker)).first()


async def _digest(tx: Tx, notice: UUID | None) -> tuple[DeliveryState | None, datetime | None]:
    """The state of the digest's own delivery, and when its latest attempt started."""
    if notice is None:
        return None, None
    begun = select(func.max(Attempt.started_at)).where(Attempt.delivery_id == Delivery.id).scalar_subquery()
    row = (
        await tx.execute(select(Delivery.state, begun.label("at")).where(Delivery.notice_id == notice))
    ).first()
    return (DeliveryState(row.state), row.at) if row else (None, None)


def _steps(begun: datetime | None, history: _History) -> list[Step]:
    steps = [Step(at=begun, what="planned")] if begun else []
    for row in history.attempts:
        steps.append(Step(at=row.started_at, what=f"attempt {row.number} started"))
        if row.settled_at:
            words = masked(" ".join(part for part in (row.reason, row.code) if part))
            said = f": {words}" if words else f" as {row.provider_id}" if row.provider_id else ""
            steps.append(Step(at=row.settled_at, what=f"attempt {row.number} {row.outcome}{said}"))
    steps += [Step(at=row.at, what=masked(f"{row.kind}: {row.detail}")) for row in history.events]
    for row in history.receipts:
        code = f" ({row.code})" if row.code else ""
        steps.append(Step(at=row.at, what=f"the provider says {row.progress}{code}"))
    return sorted(steps, key=lambda step: step.at)
