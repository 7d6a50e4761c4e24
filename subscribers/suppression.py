"""Addresses we must not write to: stop, start again, ask. Called by every way out and by imports.

A suppression holds a keyed hash alone, so that it outlives the person and no import revives them.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import delete, or_, select

from subscribers import contact_points, evidence
from subscribers.consent import ConsentAction
from subscribers.contact_points import Contact
from subscribers.dialects import insert_for
from subscribers.evidence import Evidence
from subscribers.models import ContactPointState, Suppression, SuppressionScope, Transaction

STOPPED, ERASED = "stopped", "erased"


async def suppress(
    tx: Transaction,
    contact: Contact,
    *,
    reason: str,
    scope: SuppressionScope = SuppressionScope.MEDIUM,
    scope_code: str = "",
) -> None:
    """Put an address on the list. Safe to run twice: UNIQUE (medium, hash, scope, code)."""
    values = {
        "medium": contact.medium,
        "address_hash": contact.address_hash,
        "scope": scope,
        "scope_code": scope_code,
        "reason": reason,
        "at": tx.now,
    }
    await tx.execute(insert_for(tx, Suppression).on_conflict_do_nothing().values(values))


async def lift(tx: Transaction, contact: Contact, *, areas: Collection[str] = ()) -> None:
    """Take an address off the list, for the whole medium and for these areas: its owner asked for it."""
    await tx.execute(
        delete(Suppression).where(
            Suppression.medium == contact.medium,
            Suppression.address_hash == contact.address_hash,
            Suppression.scope.in_([SuppressionScope.ALL, SuppressionScope.MEDIUM]),
        )
    )
    await lift_areas(tx, contact, areas)


async def lift_areas(tx: Transaction, contact: Contact, areas: Collection[str]) -> None:
    """Take an address off the list of these areas alone."""
    await tx.execute(
        delete(Suppression).where(
            Suppression.medium == contact.medium,
            Suppression.address_hash == contact.address_hash,
            Suppression.scope == SuppressionScope.AREA,
            Suppression.scope_code.in_(list(areas)),
        )
    )


async def is_suppressed(
    tx: Transaction, medium: str, address_hash: bytes, *, area_code: str | None = None
) -> bool:
    """Must nothing go to that address (or nothing of that area)?"""
    found = await suppressed_hashes(tx, medium, [address_hash], area_codes=[area_code] if area_code else [])
    return bool(found)


async def suppressed_hashes(
    tx: Transaction, medium: str, hashes: Sequence[bytes], *, area_codes: Sequence[str] = ()
) -> set[bytes]:
    """Those of these addresses that are on the list, wholly or for one of these areas."""
    whole = Suppression.scope.in_([SuppressionScope.ALL, SuppressionScope.MEDIUM])
    of_areas = (Suppression.scope == SuppressionScope.AREA) & Suppression.scope_code.in_(list(area_codes))
    rows = await tx.execute(
        select(Suppression.address_hash).where(
            Suppression.medium == medium,
            Suppression.address_hash.in_(list(hashes)),
            or_(whole, of_areas),
        )
    )
    return {bytes(row.address_hash) for row in rows}


async def stop(tx: Transaction, contact: Contact, *, source: str, actor: str) -> bool:
    """End everything on that address, at once. False where it had been stopped already.

    Also for an address nobody confirmed: whoever asks not to be written to is not written to.
    """
    if contact.state is ContactPointState.STOPPED:
        return False
    await contact_points.switch_off(tx, contact)
    await suppress(tx, contact, reason=STOPPED)
    await evidence.record(
        tx,
        Evidence(
            contact_point=contact.id,
            action=ConsentAction.WITHDRAWN,
            source=source,
            actor=actor,
            at=tx.now,
        ),
    )
    return True
