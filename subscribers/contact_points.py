"""One address on one medium: finds it by its hash, holds its row, switches it on and off.

Called by sign-up, stopping, preferences and import. Addresses come in their normal spelling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, update

from subscribers.dialects import insert_for
from subscribers.models import ContactPoint, ContactPointState, Subscriber, Transaction, new_id

ADDRESS = "contact_points.address"


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A contact point and what its owner chose that every notice needs.

    subscriber: none before confirmation, for a team's own, and for a sender nobody knows.
    """

    id: UUID
    subscriber: UUID | None
    medium: str
    address_hash: bytes
    state: ContactPointState
    stopped_at: datetime | None
    language: str
    link_version: int

    @property
    def is_active(self) -> bool:
        return self.state is ContactPointState.ACTIVE


async def find(tx: Transaction, medium: str, address: str) -> Contact | None:
    """The contact point of an address, if it has a row."""
    is_it = (ContactPoint.medium == medium) & (
        ContactPoint.address_hash == tx.keys.address_hash(medium, address)
    )
    return await _one(tx, _CONTACTS.where(is_it))


async def get(tx: Transaction, contact_point: UUID) -> Contact | None:
    """The contact point of an id."""
    return await _one(tx, _CONTACTS.where(ContactPoint.id == contact_point))


async def hold(tx: Transaction, contact_point: UUID) -> Contact | None:
    """The same, with its row held until the transaction ends: two sign-ups at once wait for each other."""
    statement = _CONTACTS.where(ContactPoint.id == contact_point)
    return await _one(tx, statement.with_for_update(of=ContactPoint))


async def ensure(tx: Transaction, medium: str, address: str) -> Contact:
    """The contact point of an address, made unconfirmed if it had no row; its row is held.

    Safe to run twice, also at once: UNIQUE (medium, address_hash).
    """
    made = new_id()
    hashed = tx.keys.address_hash(medium, address)
    values = {
        "id": made,
        "medium": medium,
        "address_sealed": tx.keys.seal(ADDRESS, made, address),
        "address_hash": hashed,
        "state": ContactPointState.UNCONFIRMED,
        "can_reply": True,
        "bounce_score": 0.0,
        "created_at": tx.now,
    }
    insert = insert_for(tx, ContactPoint).on_conflict_do_nothing(index_elements=["medium", "address_hash"])
    await tx.execute(insert.values(values))
    is_it = (ContactPoint.medium == medium) & (ContactPoint.address_hash == hashed)
    found = await _one(tx, _CONTACTS.where(is_it).with_for_update(of=ContactPoint))
    if found is None:
        raise LookupError("a contact point vanished inside its own transaction")
    return found


async def of_subscriber(tx: Transaction, subscriber: UUID) -> list[Contact]:
    """All contact points of a person, oldest first."""
    rows = await tx.execute(
        _CONTACTS.where(ContactPoint.subscriber_id == subscriber).order_by(ContactPoint.id)
    )
    return [_contact(row) for row in rows]


async def addresses(tx: Transaction, contact_points: Sequence[UUID]) -> dict[UUID, str]:
    """The opened addresses of these contact points: for their owner's eyes, and for sending."""
    rows = await tx.execute(
        select(ContactPoint.id, ContactPoint.address_sealed).where(ContactPoint.id.in_(contact_points))
    )
    return {row.id: tx.keys.open_text(ADDRESS, row.id, row.address_sealed) for row in rows}


async def activate(tx: Transaction, contact: Contact, subscriber: UUID) -> list[Contact]:
    """Make it the person's live address on its medium; the one it takes over from, if any, is switched off.

    Safe to run twice. The person's row is held, so that two addresses confirmed at once take turns.
    """
    await tx.execute(select(Subscriber.id).where(Subscriber.id == subscriber).with_for_update())
    replaced = [
        other
        for other in await of_subscriber(tx, subscriber)
        if other.medium == contact.medium and other.id != contact.id and other.is_active
    ]
    for other in replaced:
        await switch_off(tx, other)
    await tx.execute(
        update(ContactPoint)
        .where(ContactPoint.id == contact.id)
        .values(
            subscriber_id=subscriber,
            state=ContactPointState.ACTIVE,
            verified_at=tx.now,
            stopped_at=None,
            bounce_score=0.0,
            bounced_at=None,
            probed_at=None,
        )
    )
    return replaced


async def switch_off(tx: Transaction, contact: Contact) -> None:
    """Nothing more goes to it. Also for an address nobody confirmed."""
    await tx.execute(
        update(ContactPoint)
        .where(ContactPoint.id == contact.id)
        .values(state=ContactPointState.STOPPED, stopped_at=tx.now)
    )


_CONTACTS = select(
    ContactPoint.id,
    ContactPoint.subscriber_id,
    ContactPoint.medium,
    ContactPoint.address_hash,
    ContactPoint.state,
    ContactPoint.stopped_at,
    func.coalesce(Subscriber.language, "en").label("language"),
    func.coalesce(Subscriber.link_version, 0).label("link_version"),
).outerjoin(Subscriber, Subscriber.id == ContactPoint.subscriber_id)


async def _one(tx: Transaction, statement: Select[*tuple[Any, ...]]) -> Contact | None:
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else _contact(row)


def _contact(row: Any) -> Contact:
    return Contact(
        id=row.id,
        subscriber=row.subscriber_id,
        medium=row.medium,
        address_hash=bytes(row.address_hash),
        state=ContactPointState(row.state),
        stopped_at=row.stopped_at,
        language=row.language,
        link_version=row.link_version,
    )
