"""Somebody told a provider, and not us, that they want no more: nothing goes to that address from now on.

Called by the edge that takes the provider's calls, inside the transaction it commits before it says yes.
"""

from sqlalchemy import select

from channels.base import OptedOut
from notifier.db import Tx
from notifier.inbox import receive
from notifier.inbox.receive import Duplicate
from subscribers import standing
from subscribers.models import ContactPoint

WHY = "left at the provider"


async def keep(tx: Tx, channel: str, event: OptedOut) -> None:
    """Keep what was said, and stop that address as its owner's own stop would.

    Safe to run twice by (channel, event_id), so that a call repeated after they came back stops nothing. No notice:
    the provider would keep it back. An address of nobody here, or of a team, is left alone.
    """
    if isinstance(await receive.file_opt_out(tx, channel, event, reason=WHY), Duplicate):
        return
    address = receive.normalised(event.address, event.medium)
    found = await tx.scalar(
        select(ContactPoint.id).where(
            ContactPoint.medium == event.medium,
            ContactPoint.address_hash == tx.keys.address_hash(event.medium, address),
        )
    )
    if found is not None:
        await standing.ended_by_owner(tx, found, source="provider")
