"""Deliveries that wait for a person: `held` (cannot be written, or lost too many workers) and `unknown` (may have
arrived, and nobody can tell). The officer of the message sends them again or gives them up. Called by the desk.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, literal, select, update

from notifier.broadcast import report
from notifier.broadcast.kinds import life_of
from notifier.db import Tx
from notifier.errors import Conflict, NotFound
from notifier.models import Delivery, DeliveryEvent, DeliveryState, Lane, Message, MessageState
from subscribers.models import UTCDateTime

PAGE = 1000  # at a press
STATES = (DeliveryState.HELD, DeliveryState.UNKNOWN)
GIVEN_UP = "given up"
GIVEN_UP_UNKNOWN = "given up; it may have arrived"


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """Deliveries of one message that wait for a person for the same reason. example: the id of one."""

    state: DeliveryState
    reason: str
    number: int
    example: int


async def stuck(tx: Tx, message: UUID) -> list[Stuck]:
    """What of a message waits for a person, the most frequent reason first."""
    rows = await tx.execute(
        select(
            Delivery.state,
            Delivery.reason,
            func.count().label("number"),
            func.min(Delivery.id).label("example"),
        )
        .where(Delivery.message_id == message, Delivery.state.in_(STATES))
        .group_by(Delivery.state, Delivery.reason)
        .order_by(func.count().desc())
        .limit(20)
    )
    return [
        Stuck(state=DeliveryState(row.state), reason=row.reason or "", number=row.number, example=row.example)
        for row in rows
    ]


async def send_again(tx: Tx, message: UUID, *, team: UUID, state: DeliveryState, reason: str) -> int:
    """Let up to a thousand of one state and reason go out; how many. Those that may have arrived are flagged.

    Raises NotFound, and Conflict where the message was cancelled or its time has passed.
    """
    row = await _held_row(tx, message, team)
    if row.state == MessageState.CANCELLED:
        raise Conflict("This message was cancelled: nothing of it goes out any more.")
    ends = tx.now + life_of(Lane(row.lane))
    ends = min(ends, row.expires_at) if row.expires_at else ends
    if ends <= tx.now:
        raise Conflict("The time after which it is of no use has passed.")
    ids = await _page(tx, message, state, reason)
    repeat = {"maybe_repeat": True} if state is DeliveryState.UNKNOWN else {}
    detail = "sent again by an officer" + (", perhaps a repeat" if repeat else "")
    await _note(tx, ids, "released", detail, DeliveryState.PENDING)
    await tx.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids))
        .values(
            state=DeliveryState.PENDING,
            reason=None,
            due_at=tx.now,
            expires_at=ends,
            tries=0,
            checks=0,
            rescues=0,
            digest=None,
            digest_notice_id=None,
            **repeat,
        )
    )
    await tx.execute(
        update(Message)
        .where(Message.id == message, Message.state == MessageState.DONE)
        .values(state=MessageState.SENDING)
    )
    report.forget(message)
    tx.on_commit("wake")
    return len(ids)


async def give_up(tx: Tx, message: UUID, *, team: UUID, state: DeliveryState, reason: str) -> int:
    """End up to a thousand of one state and reason as failed; how many. Raises NotFound."""
    await _held_row(tx, message, team)
    ids = await _page(tx, message, state, reason)
    why = GIVEN_UP_UNKNOWN if state is DeliveryState.UNKNOWN else f"{GIVEN_UP}: {reason}"[:200]
    await _note(tx, ids, "given_up", why, DeliveryState.FAILED)
    await tx.execute(
        update(Delivery).where(Delivery.id.in_(ids)).values(state=DeliveryState.FAILED, reason=why)
    )
    report.forget(message)
    return len(ids)


async def _held_row(tx: Tx, message: UUID, team: UUID) -> Any:
    row = (
        await tx.execute(
            select(Message.state, Message.lane, Message.expires_at)
            .where(Message.id == message, Message.team_id == team)
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such message.")
    return row


async def _page(tx: Tx, message: UUID, state: DeliveryState, reason: str) -> Sequence[int]:
    if state not in STATES:
        raise NotFound("Nothing of that kind waits for you.")
    found = await tx.execute(
        select(Delivery.id)
        .where(
            Delivery.message_id == message,
            Delivery.state == state,
            func.coalesce(Delivery.reason, "") == reason,
        )
        .order_by(Delivery.id)
        .limit(PAGE)
        .with_for_update()
    )
    return found.scalars().all()


async def _note(tx: Tx, ids: Sequence[int], kind: str, detail: str, state: DeliveryState) -> None:
    await tx.execute(
        insert(DeliveryEvent).from_select(
            ["delivery_id", "at", "kind", "detail", "number", "state"],
            select(
                Delivery.id,
                literal(tx.now, UTCDateTime()),
                literal(kind),
                literal(detail[:200]),
                Delivery.fence,
                literal(state.value),
            ).where(Delivery.id.in_(ids)),
        )
    )
