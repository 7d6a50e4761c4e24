"""Asks an address that returns mail for a sign of life, and tells its owner by another way once it is given up.

Called by the upkeep of a worker, once an hour. What counts against an address is in `subscribers.standing`.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, exists, select, update
from sqlalchemy.orm import aliased

from channels.base import Medium
from notifier.broadcast.links import manage_url
from notifier.broadcast.notices import notice
from notifier.config import Settings
from notifier.db import Tx
from notifier.delivery.hours import is_quiet
from notifier.delivery.policy import rules_of
from notifier.models import Notice, NoticeKind
from subscribers import contact_points, standing, suppression
from subscribers.models import ContactPoint, ContactPointState

PAGE = 200
TELL_WITHIN = standing.PROBE_WITHIN  # later it would be no news

_GivenUp = Row[tuple[UUID, str, UUID, str, datetime]]


@dataclass(frozen=True, kw_only=True)
class Tended:
    """How many addresses were asked, cleared, and told of."""

    asked: int = 0
    cleared: int = 0
    told: int = 0


async def tend(tx: Tx, settings: Settings) -> Tended:
    """One page of each. Safe to run twice: who was asked has it on record, and a notice is planned once."""
    return Tended(
        cleared=await standing.forgive(tx),
        asked=await _ask(tx) if Medium.EMAIL in tx.carriers else 0,
        told=await _tell(tx, settings),
    )


async def _ask(tx: Tx) -> int:
    found = await standing.doubtful(tx, Medium.EMAIL, most=PAGE)
    for each in found:
        contact = await contact_points.get(tx, each)
        await notice(
            tx,
            each,
            kind=NoticeKind.PROBE,
            template="probe",
            variables={},
            language=contact.language if contact else "en",
            dedupe_key=f"probe:{each}:{tx.now:%Y-%m-%d}",
        )
        await tx.execute(update(ContactPoint).where(ContactPoint.id == each).values(probed_at=tx.now))
    return len(found)


async def _tell(tx: Tx, settings: Settings) -> int:
    """Tell people by the first other address of theirs that is confirmed and in use. Not at night."""
    told = 0
    for row in await _given_up(tx):
        rules = rules_of(settings)
        quiet = rules.quiet.get(Medium(row.medium))
        if row.medium not in tx.carriers or (quiet is not None and is_quiet([quiet], tx.now, rules.zone)):
            continue
        told += await _tell_by(tx, row, settings.public_url)
    return told


async def _tell_by(tx: Tx, row: _GivenUp, public_url: str) -> bool:
    contact = await contact_points.get(tx, row.id)
    if contact is None or await suppression.is_suppressed(tx, contact.medium, contact.address_hash):
        return False
    opened = await contact_points.addresses(tx, [row.lost])
    made = await notice(
        tx,
        contact.id,
        kind=NoticeKind.RETURNED,
        template="returned",
        variables={
            "medium": row.lost_medium,
            "masked": hint_of(opened[row.lost]),
            "manage_url": manage_url(tx, contact, public_url),
        },
        language=contact.language,
        dedupe_key=f"returned:{row.lost}:{row.bounced_at.isoformat()}",
    )
    return made is not None


async def _given_up(tx: Tx) -> list[_GivenUp]:
    """Addresses given up lately, each with another of the same person's that may be told and was not told since.

    One that came back and is given up again is news again.
    """
    lost, other = aliased(ContactPoint), aliased(ContactPoint)
    was_told = exists().where(
        Notice.contact_point_id == other.id,
        Notice.kind == NoticeKind.RETURNED,
        Notice.created_at >= lost.bounced_at,
    )
    rows = await tx.execute(
        select(
            other.id, other.medium, lost.id.label("lost"), lost.medium.label("lost_medium"), lost.bounced_at
        )
        .join(lost, lost.subscriber_id == other.subscriber_id)
        .where(
            lost.bounced_at > tx.now - TELL_WITHIN,
            lost.state == ContactPointState.BOUNCED,
            other.medium != lost.medium,
            other.state == ContactPointState.ACTIVE,
            other.verified_at.is_not(None),
            ~was_told,
        )
        .limit(PAGE)
    )
    return list(rows.all())


def hint_of(address: str) -> str:
    """Enough of an address for its owner to know it by, on a screen that others may see. Pure."""
    local, at, _ = address.rpartition("@")
    return f"{local[:1]}...@..." if at else f"...{address[-3:]}"
