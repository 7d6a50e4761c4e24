"""Ends what a cancelled message has not started: page by page, an event beside each row.

Nothing of a cancelled message starts anyway (`permit`); this is what makes its counts say so. A page that a crash
took back is closed again. What comes back later (a lease that ran out, a try that failed) is found by `unclosed`.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, insert, literal, or_, select, update

from notifier.db import Tx
from notifier.models import IS_PENDING, Delivery, DeliveryEvent, DeliveryState, Message, MessageState
from subscribers.models import UTCDateTime

PAGE = 5000
REASON = "the message was cancelled"
LONGEST_LIFE = timedelta(days=10)  # after its time, no delivery of a message is pending any more


async def close_page(tx: Tx, message: UUID, *, page: int = PAGE) -> bool:
    """Cancel a page of what waits of a cancelled message; True once nothing of it waits.

    Rows that a worker is taking at this moment are passed over: its mark turns them away. What stands in a
    digest that is on its way is taken out of it at the mark.
    """
    waiting = [Delivery.message_id == message, IS_PENDING, Delivery.digest_notice_id.is_(None)]
    ids: list[int] = []
    for part in (Delivery.digest.is_(None), Delivery.digest.in_(["daily", "weekly"])):  # one index each
        if len(ids) < page:
            found = select(Delivery.id).where(*waiting, part).limit(page - len(ids))
            ids += (await tx.execute(found.with_for_update(skip_locked=True))).scalars().all()
    await cancel_rows(tx, ids)
    if len(ids) == page:
        return False
    await _count_what_was_planned(tx, message)
    return True


async def cancel_rows(tx: Tx, ids: Sequence[int]) -> None:
    """Rows that wait, ended with their events."""
    if not ids:
        return
    await tx.execute(
        insert(DeliveryEvent).from_select(
            ["delivery_id", "at", "kind", "detail", "number", "state"],
            select(
                Delivery.id,
                literal(tx.now, UTCDateTime()),
                literal("cancelled"),
                literal(REASON),
                Delivery.fence,
                literal(DeliveryState.CANCELLED.value),
            ).where(Delivery.id.in_(ids), IS_PENDING),
        )
    )
    await tx.execute(
        update(Delivery)
        .where(Delivery.id.in_(ids), IS_PENDING)
        .values(state=DeliveryState.CANCELLED, reason=REASON)
    )


async def unclosed(tx: Tx) -> Sequence[UUID]:
    """Cancelled messages of which something still waits: the job that closes them was lost, or rows came back."""
    waits = select(Delivery.id).where(
        Delivery.message_id == Message.id, IS_PENDING, Delivery.digest_notice_id.is_(None)
    )
    in_digest = Delivery.digest.in_(["daily", "weekly"])
    found = await tx.execute(
        select(Message.id).where(
            Message.state == MessageState.CANCELLED,
            Message.frozen_at.is_not(None),
            func.coalesce(Message.send_at, Message.frozen_at) > tx.now - LONGEST_LIFE,
            or_(waits.where(Delivery.digest.is_(None)).exists(), waits.where(in_digest).exists()),
        )
    )
    return found.scalars().all()


async def _count_what_was_planned(tx: Tx, message: UUID) -> None:
    """A message cancelled while it was being planned: its audience is what stands in the ledger."""
    planned = select(func.count()).where(Delivery.message_id == message).scalar_subquery()
    await tx.execute(
        update(Message)
        .where(
            Message.id == message,
            Message.state == MessageState.CANCELLED,
            Message.frozen_at.is_not(None),
            Message.audience_count.is_(None),
        )
        .values(audience_count=planned)
        .execution_options(synchronize_session=False)
    )
