"""What a provider later says of an attempt: kept raw, and applied by rank, in whatever order it comes."""

from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from channels.base import Progress, Receipt
from notifier.db import Tx
from notifier.delivery.record import follow_digests, note_events
from notifier.delivery.tokens import read_attempt_token
from notifier.models import Delivery, DeliveryState, ReceiptRow
from subscribers.dialects import insert_for
from subscribers.models import ContactPoint, ContactPointState

RAW = "receipts.raw"

# What each word makes of a delivery; `sent` raises nothing, but resolves a doubt.
STATE = {
    Progress.SENT: DeliveryState.ACCEPTED,
    Progress.DELIVERED: DeliveryState.DELIVERED,
    Progress.UNDELIVERED: DeliveryState.UNDELIVERED,
    Progress.BOUNCED: DeliveryState.BOUNCED,
    Progress.COMPLAINED: DeliveryState.COMPLAINED,
}

# A state gives way only to words that weigh more. At a tie: a text delivered beats one undelivered,
# a bounce beats a mail taken for delivered.
WEIGHT = {
    DeliveryState.PENDING: 5,
    DeliveryState.LEASED: 5,
    DeliveryState.IN_DOUBT: 5,
    DeliveryState.UNKNOWN: 5,
    DeliveryState.STARTED: 5,
    DeliveryState.ACCEPTED: 10,
    DeliveryState.UNDELIVERED: 40,
    DeliveryState.DELIVERED: 41,
    DeliveryState.BOUNCED: 42,
    DeliveryState.COMPLAINED: 50,
}


def outweighs(new: DeliveryState, old: DeliveryState) -> bool:
    """Does a receipt's state replace the present one? Pure."""
    return WEIGHT[new] > WEIGHT.get(old, 100)


async def record(tx: Tx, channel: str, receipt: Receipt, *, delivery: int | None = None) -> bool:
    """Keep a receipt and raise its delivery's state. False where it was known already.

    delivery: named by a bounce address, where no attempt token came back. A receipt whose attempt is
    unknown is kept as an orphan. A repeated event id changes nothing.
    """
    named = read_attempt_token(tx.keys, receipt.attempt) if receipt.attempt else None
    found, number = named or (delivery, None)
    stored = await tx.execute(
        insert_for(tx, ReceiptRow)
        .on_conflict_do_nothing(index_elements=["channel", "event_id"])
        .values(
            channel=channel,
            event_id=receipt.event_id[:200],
            provider_id=receipt.provider_id[:200] or None,
            delivery_id=found,
            number=number,
            progress=receipt.progress,
            raw_sealed=tx.keys.seal(RAW, f"{channel}/{receipt.event_id}", receipt.raw),
            code=receipt.code[:40] or None,
            at=tx.now,
        )
    )
    if stored.rowcount == 0:
        return False
    if found is not None:
        await _apply(tx, found, number, receipt)
    return True


async def _apply(tx: Tx, delivery: int, number: int | None, receipt: Receipt) -> None:
    row = (
        await tx.execute(
            select(Delivery.state, Delivery.fence, Delivery.contact_point_id)
            .where(Delivery.id == delivery)
            .with_for_update()
        )
    ).first()
    if row is None:
        return
    old, new = DeliveryState(row.state), STATE[receipt.progress]
    superseded = number is not None and number < row.fence and not old.is_terminal
    if outweighs(new, old) and not (superseded and receipt.progress is Progress.UNDELIVERED):
        await _raise(tx, delivery, old, new, receipt)
    if receipt.permanent and receipt.progress in (Progress.BOUNCED, Progress.COMPLAINED):
        await _end_address(tx, row.contact_point_id, receipt.progress)


async def _raise(tx: Tx, delivery: int, old: DeliveryState, new: DeliveryState, receipt: Receipt) -> None:
    values: dict[str, Any] = {"state": new, "lease_until": None, "owner": None}
    if receipt.provider_id:
        values["provider_id"] = receipt.provider_id[:200]
    if receipt.code:
        values["reason"] = f"the provider says {receipt.progress} ({receipt.code[:40]})"
    await tx.execute(update(Delivery).where(Delivery.id == delivery).values(**values))
    if not old.is_terminal:
        await note_events(tx, [delivery], "resolved", f"{new}: the provider's receipt says so")
    await follow_digests(tx, [delivery])


async def _end_address(tx: Tx, contact_point: UUID, progress: Progress) -> None:
    ended = ContactPointState.BOUNCED if progress is Progress.BOUNCED else ContactPointState.STOPPED
    await tx.execute(
        update(ContactPoint)
        .where(ContactPoint.id == contact_point, ContactPoint.state == ContactPointState.ACTIVE)
        .values(state=ended, stopped_at=tx.now)
    )
