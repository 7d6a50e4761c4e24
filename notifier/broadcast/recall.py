"""Pause, resume and cancel a message. Nothing starts after the commit; what is started is finished.

The message's state is read at the mark, so at most the rows a slot has already started can still leave.
"""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import update

from notifier.broadcast.report import counts
from notifier.db import Tx
from notifier.delivery.record import note_events
from notifier.errors import Conflict
from notifier.models import IS_PENDING, Delivery, DeliveryState, Message, MessageState

CAN_PAUSE = (MessageState.SENDING, MessageState.SCHEDULED)
CAN_CANCEL = (
    MessageState.DRAFT,
    MessageState.APPROVED,
    MessageState.PLANNING,
    MessageState.SCHEDULED,
    MessageState.SENDING,
    MessageState.PAUSED,
)


async def pause(tx: Tx, message: UUID, *, team: UUID) -> Mapping[str, int]:
    """Stop starting deliveries; the counts as they stand. Raises Conflict where nothing is under way."""
    await _move(tx, message, team, CAN_PAUSE, MessageState.PAUSED, "Only a message on its way can be paused.")
    return await counts(tx, message)


async def resume(tx: Tx, message: UUID, *, team: UUID) -> Mapping[str, int]:
    """Go on where it stopped: nobody who was reached is reached again. Raises Conflict."""
    await _move(
        tx, message, team, (MessageState.PAUSED,), MessageState.SENDING, "This message is not paused."
    )
    tx.on_commit("wake")
    return await counts(tx, message)


async def cancel(tx: Tx, message: UUID, *, team: UUID) -> Mapping[str, int]:
    """End a message: what has not started never will. Raises Conflict where it is over already."""
    await _move(tx, message, team, CAN_CANCEL, MessageState.CANCELLED, "This message is over already.")
    stopped = await tx.execute(
        update(Delivery)
        .where(Delivery.message_id == message, IS_PENDING)
        .values(state=DeliveryState.CANCELLED, reason="the message was cancelled")
        .returning(Delivery.id)
    )
    await note_events(tx, stopped.scalars().all(), "cancelled", "the message was cancelled")
    return await counts(tx, message)


async def _move(
    tx: Tx, message: UUID, team: UUID, before: tuple[MessageState, ...], after: MessageState, sentence: str
) -> None:
    moved = await tx.execute(
        update(Message)
        .where(Message.id == message, Message.team_id == team, Message.state.in_(before))
        .values(state=after)
    )
    if not moved.rowcount:
        raise Conflict(sentence)
