"""Pause, resume and cancel a message. Nothing starts after the commit; what is started is finished.

The message's state is read at the mark, so at most the rows a slot has already started can still leave. The
press itself touches one row, and a page of deliveries where there is something to cancel: it answers at once.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import case, update

from notifier.broadcast import report
from notifier.db import Tx
from notifier.delivery.alarms import AlarmKind, clear_alarm
from notifier.delivery.closing import close_page
from notifier.errors import Conflict
from notifier.models import Canary, Message, MessageState

CAN_PAUSE = (MessageState.SENDING, MessageState.SCHEDULED)
CAN_CANCEL = (
    MessageState.DRAFT,
    MessageState.APPROVED,
    MessageState.PLANNING,
    MessageState.SCHEDULED,
    MessageState.SENDING,
    MessageState.PAUSED,
)


async def pause(tx: Tx, message: UUID, *, team: UUID) -> None:
    """Stop starting deliveries. Raises Conflict where nothing is under way."""
    values = {"state": MessageState.PAUSED, "paused_reason": None}
    await _move(tx, message, team, CAN_PAUSE, values, "Only a message on its way can be paused.")


async def resume(tx: Tx, message: UUID, *, team: UUID) -> None:
    """Go on where it stopped: nobody who was reached is reached again. Raises Conflict.

    A message that had paused itself goes on with all the rest. One whose time is still to come waits for it.
    """
    values = {
        "state": case(
            (Message.send_at > tx.now, MessageState.SCHEDULED.value), else_=MessageState.SENDING.value
        ),
        "paused_reason": None,
        "canary": case((Message.canary == Canary.FAILED, Canary.PASSED.value), else_=Message.canary),
    }
    await _move(tx, message, team, (MessageState.PAUSED,), values, "This message is not paused.")
    await clear_alarm(tx, AlarmKind.MESSAGE, str(message))
    tx.on_commit("wake")


async def cancel(tx: Tx, message: UUID, *, team: UUID) -> None:
    """End a message: what has not started never will. Raises Conflict where it is over already.

    Before the first claim it is taken back whole, after it in part. A large one is closed by a job.
    """
    values = {"state": MessageState.CANCELLED, "paused_reason": None}
    await _move(tx, message, team, CAN_CANCEL, values, "This message is over already.")
    await clear_alarm(tx, AlarmKind.MESSAGE, str(message))
    if not await close_page(tx, message):
        tx.on_commit("close", str(message))


async def _move(
    tx: Tx,
    message: UUID,
    team: UUID,
    before: tuple[MessageState, ...],
    values: Mapping[str, Any],
    sentence: str,
) -> None:
    moved = await tx.execute(
        update(Message)
        .where(Message.id == message, Message.team_id == team, Message.state.in_(before))
        .values(**values)
    )
    if not moved.rowcount:
        raise Conflict(sentence)
    report.forget(message)
