"""What mail systems say of our mail: bounces and complaints change a delivery and an address's standing.

Called by `handle`. Only a name we signed (the return path, or the Message-ID of the mail that came back)
says which delivery is meant; a report without one is filed and changes nothing.
"""

from channels.base import Progress, Receipt
from channels.bounce_reasons import Failure
from channels.delivery_fields import Bounce
from notifier.db import Tx
from notifier.delivery import receipts
from notifier.delivery.tokens import read_bounce_address
from notifier.inbox.read import Received
from notifier.inbox.thread import message_id_in
from subscribers import standing

GONE, REFUSED, UNSAID = "5.1.1", "5.7.1", "5.0.0"  # RFC 3463


async def bounced(tx: Tx, received: Received) -> str:
    """Record a bounce; what came of it, in words. Safe to run twice by the event id of the receipt."""
    delivery = _delivery(tx, received)
    bounces = received.mail.bounces if received.mail else ()
    worst = max(bounces, key=lambda each: (not each.delayed, each.permanent), default=None)
    if delivery is None or worst is None:
        return "a delivery report that names no failed delivery of ours"
    if worst.delayed:
        return "a delivery of ours is delayed"
    receipt = _receipt(received, Progress.BOUNCED, code=code_of(worst), permanent=ends_address(worst))
    await receipts.record(tx, received.channel, receipt, delivery=delivery)
    return "a delivery of ours bounced"


async def complained(tx: Tx, received: Received) -> str:
    """Record a complaint: nothing more goes to that address. Safe to run twice."""
    delivery = _delivery(tx, received)
    complaint = received.mail.complaint if received.mail else None
    if delivery is None or complaint is None or not complaint.asks_to_stop:
        return "a report that names no delivery of ours, or no complaint"
    receipt = _receipt(received, Progress.COMPLAINED, code=complaint.kind, permanent=True)
    await receipts.record(tx, received.channel, receipt, delivery=delivery)
    return "a complaint about a delivery of ours"


def ends_address(bounce: Bounce) -> bool:
    """Is there nobody at that address, by the words of the system that returned the mail? Pure."""
    return bounce.permanent and bounce.failure is Failure.GONE


def code_of(bounce: Bounce) -> str:
    """The status to go by: the one given, unless the words say something else than it does. Pure."""
    if ends_address(bounce):
        return GONE
    said = standing.weigh(bounce.status, permanent=False)
    if bounce.failure is Failure.REFUSED:
        return bounce.status if said is standing.Weight.NOTHING else REFUSED
    return bounce.status if said is standing.Weight.POINT else UNSAID


def _delivery(tx: Tx, received: Received) -> int | None:
    named = (read_bounce_address(tx.keys, each) for each in received.recipients)
    found = next((each for each in named if each is not None), None)
    if found is None and received.mail is not None:
        found = message_id_in(tx.keys, [received.mail.about])
    return found


def _receipt(received: Received, progress: Progress, *, code: str, permanent: bool) -> Receipt:
    return Receipt(
        event_id=received.event_id,
        provider_id="",
        attempt="",
        progress=progress,
        at=None,
        raw=received.raw,
        code=code,
        permanent=permanent,
    )
