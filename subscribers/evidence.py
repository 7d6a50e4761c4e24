"""The append-only ledger of consent: who agreed to what, in which words, when, and how we know."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select

from subscribers.consent import PURPOSE, WORDING, ConsentAction
from subscribers.models import ConsentEvent, Transaction


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One event of consent. source: where it came from. actor: who acted, by role or id, never by address."""

    contact_point: UUID
    action: ConsentAction
    source: str
    actor: str
    at: datetime
    purpose: str = PURPOSE
    wording: str = WORDING

    def as_row(self) -> dict[str, object]:
        return {
            "contact_point_id": self.contact_point,
            "action": self.action,
            "purpose": self.purpose,
            "wording_version": self.wording,
            "source": self.source,
            "actor": self.actor,
            "at": self.at,
        }


async def record(tx: Transaction, *events: Evidence) -> None:
    """Add events to the ledger. Nothing in it is ever changed or deleted."""
    if events:
        await tx.execute(insert(ConsentEvent), [event.as_row() for event in events])


async def history(tx: Transaction, contact_points: Sequence[UUID]) -> list[Evidence]:
    """All events of these contact points, oldest first."""
    rows = await tx.execute(
        select(ConsentEvent.__table__)
        .where(ConsentEvent.contact_point_id.in_(contact_points))
        .order_by(ConsentEvent.id)
    )
    return [
        Evidence(
            contact_point=row.contact_point_id,
            action=ConsentAction(row.action),
            source=row.source,
            actor=row.actor,
            at=row.at,
            purpose=row.purpose,
            wording=row.wording_version,
        )
        for row in rows
    ]
