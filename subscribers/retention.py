"""How long we keep what, and how a person takes all of it back: erase, hold up, drop what ran out.

Called by the preferences page behind a fresh link, by the desk, and by the sweep.
"""

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update

from subscribers import contact_points, evidence, homes, sign_ups, subscriptions, suppression
from subscribers.consent import ConsentAction
from subscribers.evidence import Evidence
from subscribers.models import (
    ContactPoint,
    ContactPointState,
    Subscriber,
    SubscriberState,
    Subscription,
    SuppressionScope,
    Transaction,
)

# A link followed again within a month says the same as the first time.
CONFIRMED_KEPT_FOR = timedelta(days=30)


async def erase(tx: Transaction, subscriber: UUID, *, source: str) -> list[UUID]:
    """Remove a person: their words, choices and addresses. Safe to run twice.

    What stays: empty shells that deliveries point to, the consent ledger (which names nobody), and a
    keyed hash of each address, so that no import revives them. Returns their contact points.
    """
    contacts = await contact_points.of_subscriber(tx, subscriber)
    for contact in contacts:
        await suppression.suppress(tx, contact, reason=suppression.ERASED, scope=SuppressionScope.ALL)
        await sign_ups.forget(tx, contact.id)
        await _empty(tx, contact.id)
    await evidence.record(
        tx,
        *(
            Evidence(
                contact_point=contact.id,
                action=ConsentAction.WITHDRAWN,
                source=source,
                actor="subscriber",
                at=tx.now,
            )
            for contact in contacts
        ),
    )
    await tx.execute(delete(Subscription).where(Subscription.subscriber_id == subscriber))
    await tx.execute(
        update(Subscriber)
        .where(Subscriber.id == subscriber)
        .values(
            name_sealed=None,
            home_area_code=None,
            quiet_from=None,
            quiet_until=None,
            weekly_limit=None,
            state=SubscriberState.ERASED,
            link_version=Subscriber.link_version + 1,
            **homes.NOWHERE,
        )
    )
    return [contact.id for contact in contacts]


async def _empty(tx: Transaction, contact_point: UUID) -> None:
    await tx.execute(
        update(ContactPoint)
        .where(ContactPoint.id == contact_point)
        .values(
            subscriber_id=None,
            address_sealed=tx.keys.seal(contact_points.ADDRESS, contact_point, ""),
            address_hash=secrets.token_bytes(32),
            state=ContactPointState.STOPPED,
            stopped_at=tx.now,
        )
    )


async def hold(tx: Transaction, subscriber: UUID) -> dict[str, Any]:
    """Everything these tables hold about a person, as JSON values: for the download."""
    person = await subscriptions.person(tx, subscriber)
    if person is None:
        return {}
    contacts = await contact_points.of_subscriber(tx, subscriber)
    opened = await contact_points.addresses(tx, [contact.id for contact in contacts])
    rows = await tx.execute(
        select(Subscription.__table__)
        .where(Subscription.subscriber_id == subscriber)
        .order_by(Subscription.id)
    )
    events = await evidence.history(tx, [contact.id for contact in contacts])
    return {
        "name": person.name,
        "postcode": person.postcode,
        "home_area": person.home_area_code,
        "language": person.language,
        "quiet_hours": None if person.quiet_from is None else [person.quiet_from, person.quiet_until],
        "weekly_limit": person.weekly_limit,
        "addresses": [
            {"medium": contact.medium, "address": opened[contact.id], "state": contact.state.value}
            for contact in contacts
        ],
        "subscriptions": [
            {
                "area": row.area_code,
                "topic": row.topic_slug,
                "least_priority": row.least_priority,
                "frequency": row.frequency,
                "started_at": row.started_at.isoformat(),
                "ended_at": row.ended_at.isoformat() if row.ended_at else None,
                "source": row.source,
            }
            for row in rows
        ],
        "consents": [
            {
                "address": opened[event.contact_point],
                "action": event.action.value,
                "purpose": event.purpose,
                "wording": event.wording,
                "source": event.source,
                "at": event.at.isoformat(),
            }
            for event in events
        ],
    }


async def drop_old_sign_ups(tx: Transaction) -> int:
    """Delete sign-ups that nobody confirmed within 48 hours; how many went. Safe to run at any time."""
    return await sign_ups.drop_old(tx, confirmed_before=tx.now - CONFIRMED_KEPT_FOR)
