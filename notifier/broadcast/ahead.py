"""Is so much waiting to be sent that a large message had better not be planned further yet?

Rows that wait cost every index they stand in, and the providers are the limit. Nothing is counted beyond the figures.
"""

from typing import Any

from sqlalchemy import ColumnElement, Row, func, select

from notifier.db import Tx
from notifier.models import IS_PENDING, Delivery, Lane, Message, MessageState

SMALL = 20_000
MOST_AHEAD = 200_000


async def is_full(tx: Tx, row: Row[Any], *, most: int = MOST_AHEAD, small: int = SMALL) -> bool:
    """Are more than `most` deliveries ready that go before this message's, or with them? row: of `messages`.

    Never for alerts and for the first `small` deliveries of a message: or a ward's would wait behind a bulletin to a
    million. What is paused or held for later does not count; it may stay for ever.
    """
    if row.lane < Lane.WARD or row.planned_to is None:
        return False
    under_way = (
        Message.state == MessageState.SENDING,
        Message.id != row.id,
        Message.lane <= row.lane,
    )
    planned = await tx.scalar(select(func.sum(Message.audience_count)).where(*under_way))
    if (planned or 0) <= most or not await _are_more(tx, small, Delivery.message_id == row.id):
        return False
    messages = (await tx.execute(select(Message.id).where(*under_way))).scalars().all()
    return await _are_more(
        tx,
        most,
        Delivery.message_id.in_(messages),
        IS_PENDING,
        Delivery.digest.is_(None),
        Delivery.due_at <= tx.now,
    )


async def _are_more(tx: Tx, number: int, *where: ColumnElement[bool]) -> bool:
    """Without counting them all."""
    return await tx.scalar(select(1).select_from(Delivery).where(*where).offset(number).limit(1)) is not None
