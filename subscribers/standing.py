"""What speaks against an address: points for mail that came back, which fade; the end of it; and its return.

Called by `delivery.receipts` for every bounce, complaint and receipt, whichever way it was told, by the inbox for mail
from the address itself, and by `broadcast.probe`. The rule is written down in docs/decisions/0013.
"""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import exists, or_, select, update

from subscribers import contact_points, suppression
from subscribers.models import ContactPoint, ContactPointState, Transaction

LIMIT = 4.0  # points at which an address is asked for a sign of life
HALF_LIFE = timedelta(weeks=6)
PROBE_WITHIN = timedelta(days=7)  # a mail server tries for five days before it gives up

# RFC 3463: no such mailbox or domain, a name that is none, moved without a new address, a domain that takes no mail.
_ENDS = re.compile(r"5\.1\.(?:[1236]|10)$|5\.4\.4$")
# Our words, our sender address, our signature or server (5.6, 5.7; 5.1.7 to 9), the size of it, or how we spoke.
_OURS = re.compile(r"[45]\.(?:[67]\.\d+|1\.[789]|2\.3|3\.4|5\.\d+)$")


class Weight(StrEnum):
    """What one failure means for the address it was for."""

    NOTHING = "nothing"
    POINT = "point"
    END = "end"


def weigh(code: str, *, permanent: bool, probe: bool = False) -> Weight:
    """How much a failure counts. Pure.

    code: an enhanced status, or whatever the provider says. permanent: the channel says that nobody is there. probe:
    did the mail that failed ask for a sign of life?
    """
    if _OURS.match(code):
        return Weight.NOTHING
    return Weight.END if permanent or probe or _ENDS.match(code) else Weight.POINT


def score_at(score: float, since: datetime | None, now: datetime) -> float:
    """What is left of a score that was so much at `since`: half of it after each half-life. Pure."""
    if since is None or now <= since:
        return score
    return float(score * 0.5 ** ((now - since) / HALF_LIFE))


def with_point(score: float, since: datetime | None, now: datetime) -> float | None:
    """The score with one point more, or None where one was given on that day (UTC) already. Pure."""
    if since is not None and since.date() >= now.date():
        return None
    return score_at(score, since, now) + 1.0


async def bounced(tx: Transaction, contact_point: UUID, weight: Weight) -> None:
    """Count a failure. Only an address that is in use can be ended or gather points."""
    if weight is Weight.NOTHING:
        return
    row = (
        await tx.execute(
            select(ContactPoint.bounce_score, ContactPoint.bounced_at)
            .where(ContactPoint.id == contact_point, ContactPoint.state == ContactPointState.ACTIVE)
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        return
    if weight is Weight.END:
        values = {"state": ContactPointState.BOUNCED, "stopped_at": tx.now, "bounced_at": tx.now}
    else:
        score = with_point(row.bounce_score, row.bounced_at, tx.now)
        if score is None:
            return
        values = {"bounce_score": score, "bounced_at": tx.now}
    await tx.execute(update(ContactPoint).where(ContactPoint.id == contact_point).values(values))


async def ended_by_owner(tx: Transaction, contact_point: UUID, *, source: str) -> None:
    """Nothing more goes to an address whose owner complained, or told the provider to stop: as lasting as their own stop.

    A team's own is left alone. Safe to run twice.
    """
    contact = await contact_points.hold(tx, contact_point)
    if contact is not None and not (contact.subscriber is None and contact.is_active):
        await suppression.stop(tx, contact, source=source, actor="provider")


async def delivered(tx: Transaction, contact_point: UUID, *, started_at: datetime | None) -> None:
    """Something arrived that was sent after the last failure: nothing speaks against the address any more."""
    since = await tx.scalar(select(ContactPoint.bounced_at).where(ContactPoint.id == contact_point))
    if since is None or started_at is None or started_at <= since:
        return
    await revive(tx, contact_point)
    await tx.execute(update(ContactPoint).where(ContactPoint.id == contact_point).values(_CLEAN))


async def revive(tx: Transaction, contact_point: UUID) -> bool:
    """Use an address again that we stopped using because mail came back; one its owner stopped stays stopped.

    False where it was not so, where it is on the list of addresses not to write to, or its person has another by now.
    """
    contact = await contact_points.hold(tx, contact_point)
    if contact is None or contact.state is not ContactPointState.BOUNCED or contact.subscriber is None:
        return False
    if await suppression.is_suppressed(tx, contact.medium, contact.address_hash):
        return False
    other = exists().where(
        ContactPoint.subscriber_id == contact.subscriber,
        ContactPoint.medium == contact.medium,
        ContactPoint.state == ContactPointState.ACTIVE,
    )
    if await tx.scalar(select(other)):
        return False
    live = {"state": ContactPointState.ACTIVE, "stopped_at": None, **_CLEAN}
    await tx.execute(update(ContactPoint).where(ContactPoint.id == contact_point).values(live))
    return True


async def forgive(tx: Transaction) -> int:
    """Clear the score of addresses that were asked for a sign of life and did not return it; how many."""
    done = await tx.execute(
        update(ContactPoint)
        .where(
            ContactPoint.bounced_at.is_not(None),
            ContactPoint.probed_at < tx.now - PROBE_WITHIN,
            ContactPoint.state == ContactPointState.ACTIVE,
        )
        .values(_CLEAN)
    )
    return done.rowcount


async def doubtful(tx: Transaction, medium: str, *, most: int) -> list[UUID]:
    """Addresses in use with too many points that were not asked for a sign of life yet, their rows held."""
    rows = await tx.execute(
        select(ContactPoint.id)
        .where(
            ContactPoint.bounced_at > tx.now - PROBE_WITHIN,
            ContactPoint.bounce_score >= LIMIT,
            or_(ContactPoint.probed_at.is_(None), ContactPoint.probed_at < tx.now - PROBE_WITHIN),
            ContactPoint.state == ContactPointState.ACTIVE,
            ContactPoint.subscriber_id.is_not(None),
            ContactPoint.medium == medium,
        )
        .order_by(ContactPoint.bounced_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    return list(rows.scalars())


_CLEAN = {"bounce_score": 0.0, "bounced_at": None, "probed_at": None}
