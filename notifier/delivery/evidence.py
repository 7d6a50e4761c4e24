"""Whose is a text that a look-up found, where two messages with the same words went to one address?

Called in the transaction that records what a look-up found.
"""

from uuid import UUID

from sqlalchemy import or_, select

from channels.base import Accepted, Outcome, Unknown
from notifier.db import Tx
from notifier.models import Attempt, Delivery
from subscribers.models import ContactPoint

ANOTHERS = Unknown(reason="what was found is another message's")


async def unclaimed(tx: Tx, found: Outcome | None, *, delivery: int, contact_point: UUID) -> Outcome | None:
    """What was found, or no evidence where another delivery to that address holds it by now.

    Two look-ups at the same time may both have found the one text there is; it is the first one's who comes here.
    The contact point is held, so that two workers cannot both be the first.
    """
    if not isinstance(found, Accepted) or not found.provider_id:
        return found
    await tx.execute(
        select(ContactPoint.id).where(ContactPoint.id == contact_point).with_for_update(key_share=True)
    )
    holder = await tx.scalar(
        select(Delivery.id)
        .outerjoin(Attempt, Attempt.delivery_id == Delivery.id)
        .where(
            Delivery.contact_point_id == contact_point,
            Delivery.id != delivery,
            or_(Delivery.provider_id == found.provider_id, Attempt.provider_id == found.provider_id),
        )
        .limit(1)
    )
    return found if holder is None else ANOTHERS
