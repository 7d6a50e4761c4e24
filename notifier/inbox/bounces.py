"""What mail systems say of our mail: bounces and complaints change a delivery and an address's standing.

Called by `handle`. Only a name we signed (the return path, or the Message-ID of the mail that came back)
says which delivery is meant; a report without one is filed and changes nothing.
"""

import re
from uuid import UUID

from sqlalchemy import select, update

from channels.base import Progress, Receipt
from channels.delivery_fields import Bounce
from notifier.db import Tx
from notifier.delivery import receipts
from notifier.delivery.tokens import read_bounce_address
from notifier.inbox.read import Received
from notifier.inbox.thread import message_id_in
from notifier.models import Delivery
from subscribers import contact_points, suppression
from subscribers.models import ContactPoint, ContactPointState

SCORE_LIMIT = 5.0
NOT_SPAM = re.compile(rb"(?im)^feedback-type:[ \t]*not-spam")
# RFC 3463: no such mailbox or domain, mailbox disabled, no route to it.
_ENDS_ADDRESS = re.compile(r"5\.1\.[0-3]\b|5\.1\.10|5\.2\.1|5\.4\.4")
_ABOUT_CONTENT = re.compile(r"[45]\.[67]\.")


async def bounced(tx: Tx, received: Received) -> str:
    """Record a bounce; what came of it, in words. Safe to run twice by the event id of the receipt."""
    delivery = _delivery(tx, received)
    bounces = received.mail.bounces if received.mail else ()
    worst = max(bounces, key=lambda each: each.permanent, default=None)
    if delivery is None or worst is None:
        return "a delivery report that names no failed delivery of ours"
    if not worst.permanent:
        await _lower_standing(tx, delivery, standing(worst))
        return "a delivery of ours is delayed"
    ends = ends_address(worst)
    receipt = _receipt(received, Progress.BOUNCED, code=worst.status, permanent=ends)
    if await receipts.record(tx, received.channel, receipt, delivery=delivery) and not ends:
        await _lower_standing(tx, delivery, standing(worst))
    return "a delivery of ours bounced"


async def complained(tx: Tx, received: Received) -> str:
    """Record a complaint: nothing more goes to that address. Safe to run twice."""
    delivery = _delivery(tx, received)
    if delivery is None or NOT_SPAM.search(received.raw):
        return "a report that names no delivery of ours, or no complaint"
    receipt = _receipt(received, Progress.COMPLAINED, code="", permanent=True)
    contact = await contact_points.hold(tx, await _contact_point(tx, delivery))
    if contact is not None:
        await suppression.stop(tx, contact, source="complaint", actor="provider")
    await receipts.record(tx, received.channel, receipt, delivery=delivery)
    return "a complaint about a delivery of ours"


def ends_address(bounce: Bounce) -> bool:
    """Is there nobody at that address? A permanent failure without a status is taken at its word. Pure."""
    return bounce.permanent and (not bounce.status or bool(_ENDS_ADDRESS.match(bounce.status)))


def standing(bounce: Bounce) -> float:
    """How much a failure that ends nothing counts against an address; our words are not its fault. Pure."""
    if _ABOUT_CONTENT.match(bounce.status):
        return 0.0
    return 1.0 if bounce.permanent else 0.5


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


async def _contact_point(tx: Tx, delivery: int) -> UUID:
    found: UUID = await tx.scalar(select(Delivery.contact_point_id).where(Delivery.id == delivery))
    return found


async def _lower_standing(tx: Tx, delivery: int, by: float) -> None:
    point = ContactPoint
    score = await tx.scalar(
        update(point)
        .where(point.id == select(Delivery.contact_point_id).where(Delivery.id == delivery).scalar_subquery())
        .values(bounce_score=point.bounce_score + by)
        .returning(point.bounce_score)
    )
    if score is not None and score >= SCORE_LIMIT:
        await tx.execute(
            update(point)
            .where(point.id == await _contact_point(tx, delivery), point.state == ContactPointState.ACTIVE)
            .values(state=ContactPointState.BOUNCED, stopped_at=tx.now)
        )
