"""Who a message is for: one SELECT over live subscriptions as they stood at a moment.

The statement is embedded in the plan's INSERT … SELECT and in the count before approval, so the two
cannot differ. One row for each contact point, however many of a person's areas or topics match.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, func, or_, select

from subscribers.models import (
    Area,
    ContactPoint,
    ContactPointState,
    Frequency,
    LeastPriority,
    Subscriber,
    Subscription,
    Transaction,
)


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """areas: codes, with everything inside them. topics: none means whatever the topic.
    wanted_by: the least priorities that let this kind of message through. ignores_digest: goes at once to all.
    """

    areas: tuple[str, ...]
    topics: tuple[str, ...]
    media: tuple[str, ...]
    wanted_by: tuple[LeastPriority, ...]
    ignores_digest: bool = False


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How many people and addresses an audience has, by medium; waiting are those who chose a digest."""

    people: int
    at_once: Mapping[str, int]
    waiting: Mapping[str, int]

    @property
    def deliveries(self) -> int:
        """Every delivery that will be planned, digests included."""
        return sum(self.at_once.values()) + sum(self.waiting.values())


def select_audience(criteria: Criteria, as_of: datetime) -> Select[Any]:
    """SELECT contact_point_id, medium, language, digest (None, `daily` or `weekly`), as of a moment.

    A person who asked for one matching subscription at once gets it at once.
    """
    rank = case(
        (Subscription.frequency == Frequency.AT_ONCE, 0),
        (Subscription.frequency == Frequency.DAILY, 1),
        else_=2,
    )
    soonest = func.min(rank)
    digest = case((soonest == 0, None), (soonest == 1, Frequency.DAILY.value), else_=Frequency.WEEKLY.value)
    topic = Subscription.topic_slug.in_(criteria.topics) if criteria.topics else and_(True)
    return (
        select(
            ContactPoint.id.label("contact_point_id"),
            ContactPoint.subscriber_id,
            ContactPoint.medium,
            Subscriber.language,
            (case((soonest >= 0, None)) if criteria.ignores_digest else digest).label("digest"),
        )
        .join(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .where(
            ContactPoint.medium.in_(criteria.media),
            ContactPoint.verified_at <= as_of,
            or_(ContactPoint.state == ContactPointState.ACTIVE, ContactPoint.stopped_at > as_of),
            Subscription.area_code.in_(criteria.areas),
            topic,
            Subscription.least_priority.in_(criteria.wanted_by),
            Subscription.started_at <= as_of,
            or_(Subscription.ended_at.is_(None), Subscription.ended_at > as_of),
        )
        .group_by(ContactPoint.id, ContactPoint.subscriber_id, ContactPoint.medium, Subscriber.language)
    )


async def count(tx: Transaction, criteria: Criteria, as_of: datetime) -> Reach:
    """The reach of an audience, from the very statement that will be planned."""
    rows = select_audience(criteria, as_of).subquery()
    counted = await tx.execute(
        select(rows.c.medium, rows.c.digest.is_(None).label("now"), func.count().label("number")).group_by(
            rows.c.medium, rows.c.digest.is_(None)
        )
    )
    at_once: dict[str, int] = {}
    waiting: dict[str, int] = {}
    for row in counted:
        (at_once if row.now else waiting)[row.medium] = row.number
    people = await tx.scalar(select(func.count(rows.c.subscriber_id.distinct())))
    return Reach(people=people or 0, at_once=at_once, waiting=waiting)


async def with_descendants(tx: Transaction, codes: Sequence[str]) -> tuple[str, ...]:
    """The areas and everything inside them: a borough's wards, a force's boroughs and their wards."""
    inside = select(Area.code).where(Area.code.in_(codes)).cte("inside", recursive=True)
    inside = inside.union(select(Area.code).join(inside, Area.parent_code == inside.c.code))
    return tuple(sorted((await tx.execute(select(inside.c.code))).scalars()))
