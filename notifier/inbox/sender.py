"""Who wrote: the contact point of a sender, made where nobody knows it, and the person behind it.

Called by `handle`, before anything is routed. The row stays locked until the transaction ends, so that
what one sender writes is handled one message after another.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import exists, select, update

from channels import addresses
from channels.base import Medium
from channels.errors import BadAddress
from notifier.db import Tx
from notifier.models import TeamContactPoint
from subscribers import contact_points
from subscribers.models import ContactPoint, ContactPointState, Subscriber
from subscribers.subscriptions import areas_of


@dataclass(frozen=True, kw_only=True)
class Sender:
    """A contact point and its person. verified: was it ever proven to be theirs? areas: code → name of all
    they subscribe to. can_reply: may the service itself write to it? is_ours: a team's own number or address."""

    contact_point: UUID
    medium: Medium
    subscriber: UUID | None
    state: ContactPointState
    verified: bool
    can_reply: bool
    is_ours: bool
    language: str
    home_area: str | None
    areas: dict[str, str]


async def find_or_make(tx: Tx, medium: Medium, address: str) -> Sender:
    """The sender behind an address in its normal spelling, its row held. Safe to run twice."""
    contact = await contact_points.ensure(tx, medium, address)
    row = (
        await tx.execute(
            select(ContactPoint.verified_at, ContactPoint.can_reply, Subscriber.home_area_code)
            .outerjoin(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
            .where(ContactPoint.id == contact.id)
        )
    ).one()
    can_reply = row.can_reply and can_be_answered(medium, address)
    if row.can_reply and not can_reply:
        await tx.execute(update(ContactPoint).where(ContactPoint.id == contact.id).values(can_reply=False))
    is_ours = exists().where(TeamContactPoint.contact_point_id == contact.id)
    return Sender(
        contact_point=contact.id,
        medium=medium,
        subscriber=contact.subscriber,
        state=contact.state,
        verified=row.verified_at is not None,
        can_reply=can_reply,
        is_ours=bool(await tx.scalar(select(is_ours))),
        language=contact.language,
        home_area=row.home_area_code,
        areas=await areas_of(tx, contact.subscriber) if contact.subscriber else {},
    )


def can_be_answered(medium: Medium, address: str) -> bool:
    """May the service itself write there? Not to short codes, letters or numbers we would never text. Pure."""
    try:
        addresses.normalise(address, medium)
    except BadAddress:
        return False
    return True
