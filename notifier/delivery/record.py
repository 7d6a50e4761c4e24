"""Writes delivery events: what neither an attempt nor a receipt says."""

from collections.abc import Iterable

from sqlalchemy import insert

from notifier.db import Tx
from notifier.models import DeliveryEvent


async def note_events(tx: Tx, deliveries: Iterable[int], kind: str, detail: str) -> None:
    """One event of the same kind for each delivery."""
    rows = [
        {"delivery_id": id_, "at": tx.now, "kind": str(kind), "detail": detail[:200]} for id_ in deliveries
    ]
    if rows:
        await tx.execute(insert(DeliveryEvent), rows)
