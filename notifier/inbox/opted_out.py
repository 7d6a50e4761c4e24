"""Somebody told a provider, and not us, that they want no more: nothing goes to that address from now on.

Called by the edge that takes the provider's calls, inside the transaction it commits before it says yes.
"""

from sqlalchemy import select

from channels.base import OptedOut
from notifier.db import Tx
from notifier.inbox import receive
from notifier.inbox.receive import Duplicate
from subscribers import contact_points, sign_ups, suppression
from subscribers.models import ContactPoint

WHY = "left at the provider"


async def keep(tx: Tx, channel: str, event: OptedOut) -> bool:
    """Keep what was said, and stop that address. False where nothing had to stop.

    Safe to run twice by (channel, event_id), so that a call repeated after they came back stops nothing. No notice:
    the provider would keep it back. An address of nobody here, or of a team, is left alone.
    """
    if isinstance(await receive.file_opt_out(tx, channel, event, reason=WHY), Duplicate):
        return False
    address = receive.normalised(event.address, event.medium)
    found = await tx.scalar(
        select(ContactPoint.id).where(
            ContactPoint.medium == event.medium,
            ContactPoint.address_hash == tx.keys.address_hash(event.medium, address),
        )
    )
    contact = await contact_points.hold(tx, found) if found is not None else None
    if contact is None or (contact.subscriber is None and contact.is_active):
        return False
    await sign_ups.forget(tx, contact.id)
    return await suppression.stop(tx, contact, source="provider", actor="provider")
