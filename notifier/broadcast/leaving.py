"""How a person leaves and comes back: stop, stop one area, start, undo, erase.

Called by inbound (STOP, START), by the unsubscribe and preferences pages, and by the desk. Each
stop is told to its owner exactly once; the notices are listed in `welcome`.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, select, update

from channels.base import Medium
from notifier.broadcast.links import manage_url, say_already
from notifier.broadcast.notices import notice
from notifier.broadcast.welcome import ask_to_restart
from notifier.db import Tx
from notifier.delivery import numbers
from notifier.models import IncomingMedia, IncomingRow, IncomingState, NoticeKind
from subscribers import contact_points, evidence, retention, sign_ups, subscriptions, suppression
from subscribers.consent import PURPOSE, ConsentAction
from subscribers.contact_points import Contact
from subscribers.evidence import Evidence
from subscribers.models import ContactPointState, SuppressionScope

UNDO_WITHIN = timedelta(days=2)


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """was_on: false where it had been stopped before. still_on: the person's other live media."""

    medium: str
    was_on: bool
    still_on: tuple[str, ...]


class Start(StrEnum):
    """What came of START."""

    ASKED = "asked"  # to reply OK
    ALREADY = "already"
    UNKNOWN = "unknown"  # nobody's: ask for a postcode


async def stop(
    tx: Tx, contact_point: UUID, *, source: str, public_url: str, actor: str = "subscriber"
) -> Stopped:
    """End everything on one address, at once, with one receipt. Safe to repeat: no second receipt.

    None by notification: whoever wants no more of them sees on the page that they have stopped. Honoured for any address, known or not, except a team's own. source: link, header, text, mail, desk, page.
    """
    contact = await contact_points.hold(tx, contact_point)
    if contact is None or (contact.subscriber is None and contact.is_active):
        return Stopped(medium=contact.medium if contact else "", was_on=False, still_on=())
    await sign_ups.forget(tx, contact.id)
    was_on = await suppression.stop(tx, contact, source=source, actor=actor)
    still_on = await _still_on(tx, contact)
    if was_on and contact.state is not ContactPointState.BOUNCED and _takes_receipts(tx, contact):
        await notice(
            tx,
            contact.id,
            kind=NoticeKind.RECEIPT,
            template="stopped",
            variables={
                "medium": contact.medium,
                "still_on": list(still_on),
                "manage_url": manage_url(tx, contact, public_url),
            },
            language=contact.language,
        )
    return Stopped(medium=contact.medium, was_on=was_on, still_on=still_on)


async def stop_area(
    tx: Tx, contact_point: UUID, area_code: str, *, source: str, public_url: str, actor: str = "subscriber"
) -> bool:
    """End one area for the person behind an address, with one receipt. False where they did not follow it."""
    contact = await contact_points.hold(tx, contact_point)
    if contact is None or contact.subscriber is None:
        return False
    followed = await subscriptions.areas_of(tx, contact.subscriber)
    if not await subscriptions.end_area(tx, contact.subscriber, area_code, reason="stopped"):
        return False
    await suppression.suppress(
        tx, contact, reason=suppression.STOPPED, scope=SuppressionScope.AREA, scope_code=area_code
    )
    await evidence.record(
        tx,
        _event(tx, contact, ConsentAction.WITHDRAWN, source=source, actor=actor, purpose=f"area:{area_code}"),
    )
    if _takes_receipts(tx, contact):
        left = [name for code, name in followed.items() if code != area_code]
        await notice(
            tx,
            contact.id,
            kind=NoticeKind.RECEIPT,
            template="stopped_area",
            variables={
                "area_name": followed[area_code],
                "still_areas": left,
                "manage_url": manage_url(tx, contact, public_url),
            },
            language=contact.language,
        )
    return True


async def start(tx: Tx, contact_point: UUID, *, source: str, public_url: str) -> Start:
    """START by text: asks for OK, which `welcome.confirm_by_reply` takes. The number alone may be forged."""
    contact = await contact_points.hold(tx, contact_point)
    if contact is None or contact.subscriber is None:
        return Start.UNKNOWN
    if contact.is_active:
        await say_already(tx, contact, public_url)
        return Start.ALREADY
    await ask_to_restart(tx, contact, source=source)
    return Start.ASKED


async def undo_stop(tx: Tx, contact_point: UUID, *, source: str) -> bool:
    """Take back a stop of the last two days, by the same link that stopped. Safe to repeat.

    A scanner that posts every form of a mail may have stopped it. False where there is nothing to
    take back: then signing up again is the way.
    """
    contact = await contact_points.hold(tx, contact_point)
    if contact is None or contact.subscriber is None:
        return False
    if contact.is_active:
        return True
    if contact.stopped_at is None or contact.stopped_at < tx.now - UNDO_WITHIN:
        return False
    await contact_points.activate(tx, contact, contact.subscriber)
    await suppression.lift(tx, contact)
    await evidence.record(
        tx, _event(tx, contact, ConsentAction.GIVEN, source=source, actor="undo", purpose=PURPOSE)
    )
    return True


async def erase(tx: Tx, subscriber: UUID, *, source: str) -> None:
    """Remove a person for good; nothing more is sent to them. Safe to repeat."""
    shells = await retention.erase(tx, subscriber, source=source)
    await numbers.forget(tx, shells)
    for contact_point in shells:
        await _forget_sender(tx, contact_point)


async def _forget_sender(tx: Tx, contact_point: UUID) -> None:
    """What they wrote stays in the team's conversation, under its own retention; who wrote it does not.

    What has not been routed yet is left alone: it is work that nobody has seen.
    """
    rows = await tx.execute(
        select(IncomingRow.id).where(
            IncomingRow.contact_point_id == contact_point, IncomingRow.state != IncomingState.STORED
        )
    )
    for row in rows.scalars().all():
        await tx.execute(delete(IncomingMedia).where(IncomingMedia.incoming_id == row))
        await tx.execute(
            update(IncomingRow)
            .where(IncomingRow.id == row)
            .values(
                sender_sealed=tx.keys.seal("incoming.sender", row, ""),
                sender_hash=tx.keys.address_hash("erased", str(row)),
                text_sealed=tx.keys.seal("incoming.text", row, ""),
                raw_sealed=tx.keys.seal("incoming.raw", row, b""),
            )
        )


def _takes_receipts(tx: Tx, contact: Contact) -> bool:
    return contact.medium in tx.carriers and contact.medium != Medium.PUSH


async def _still_on(tx: Tx, contact: Contact) -> tuple[str, ...]:
    if contact.subscriber is None:
        return ()
    others = await contact_points.of_subscriber(tx, contact.subscriber)
    return tuple(sorted(other.medium for other in others if other.is_active and other.id != contact.id))


def _event(
    tx: Tx, contact: Contact, action: ConsentAction, *, source: str, actor: str, purpose: str
) -> Evidence:
    return Evidence(
        contact_point=contact.id, action=action, source=source, actor=actor, at=tx.now, purpose=purpose
    )
