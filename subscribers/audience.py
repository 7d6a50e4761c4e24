"""Who a message is for: one SELECT over live subscriptions as they stood at a moment.

The statement is embedded in the plan's INSERT … SELECT; its conditions are those of the count before approval
(`reach`), so the two cannot differ. One row for each contact point, however many of a person's areas or topics match.
People are walked in the order of their ids, over indexes that hold all that is asked: a page costs what it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    true,
)

from subscribers.grid import CELL_METRES, in_cells
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
from subscribers.samples import Sample, chosen

Rows = Select[*tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Circle:
    """Everybody whose square of the 250 m grid has its centre within so many metres of a point."""

    easting: int
    northing: int
    metres: int


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """Who is meant. An empty tuple and None ask nothing, save areas, media and wanted_by.

    areas: codes, with everything inside them. is_everywhere: they are all there are, so that nobody's need be
    compared. topics: of what they follow. media: on which. wanted_by: the least priorities that let this kind of
    message through. ignores_digest: goes at once to all. languages: of the person. homes: keyed hashes of postcodes.
    without_areas, without_topics: nobody who follows one of these. without: a SELECT of each subscriber_id to leave out.

    Homes and languages are read as they are; what people follow and their addresses as of the moment asked.
    """

    areas: tuple[str, ...]
    topics: tuple[str, ...]
    media: tuple[str, ...]
    wanted_by: tuple[LeastPriority, ...]
    is_everywhere: bool = False
    ignores_digest: bool = False
    languages: tuple[str, ...] = ()
    homes: tuple[bytes, ...] = ()
    near: Circle | None = None
    without_areas: tuple[str, ...] = ()
    without_topics: tuple[str, ...] = ()
    without: Rows | None = field(default=None, compare=False)
    sample: Sample | None = None

    @property
    def is_nearly_everybody(self) -> bool:
        """Does it ask nothing but what most people fulfil?"""
        narrowed = (
            self.topics
            or self.languages
            or self.homes
            or self.near
            or self.without_areas
            or self.without_topics
        )
        return self.is_everywhere and not narrowed and self.without is None and self.sample is None


@dataclass(frozen=True, kw_only=True)
class Span:
    """Subscribers whose id lies above `after`, and not above `upto`; None: no bound."""

    after: UUID | None = None
    upto: UUID | None = None

    def holds(self, column: Any) -> list[ColumnElement[bool]]:
        low = [column > self.after] if self.after else []
        return low + ([column <= self.upto] if self.upto else [])


EVERYBODY = Span()


def select_people(criteria: Criteria, as_of: datetime, span: Span = EVERYBODY) -> Rows:
    """SELECT subscriber_id, frequency: one row for each person meant, with the soonest they asked for.

    Whether an address of theirs is live, `select_audience` asks. Raises ValueError for a sample that is not drawn.
    """
    people = everyone(criteria, as_of, span)
    return chosen(people, criteria.sample) if criteria.sample else people


def everyone(criteria: Criteria, as_of: datetime, span: Span = EVERYBODY) -> Rows:
    """The same whatever the sample; where there is one, with area_code, the first by its code of those that match."""
    soonest = func.min(Subscription.frequency)  # as their names sort
    return (
        select(
            Subscription.subscriber_id,
            (literal(Frequency.AT_ONCE.value) if criteria.ignores_digest else soonest).label("frequency"),
            *([func.min(Subscription.area_code).label("area_code")] if criteria.sample else []),
        )
        .where(*matching(criteria, as_of, span))
        .group_by(Subscription.subscriber_id)
    )


def matching(criteria: Criteria, as_of: datetime, span: Span = EVERYBODY) -> list[ColumnElement[bool]]:
    """Conditions on subscriptions: all that is asked but the sample."""
    # Each is asked of some five million rows of a million people: none in vain, and none dearer than it must be.
    unheard = [each for each in LeastPriority if each not in criteria.wanted_by]
    if len(unheard) == 1:
        heard = [Subscription.least_priority != unheard[0]]
    else:
        heard = [Subscription.least_priority.in_(criteria.wanted_by)] if unheard else []
    return [
        *span.holds(Subscription.subscriber_id),
        *([] if criteria.is_everywhere else [Subscription.area_code.in_(criteria.areas)]),
        *([Subscription.topic_slug.in_(criteria.topics)] if criteria.topics else []),
        *heard,
        *_stood(as_of),
        *_at_home(criteria),
        *_left_in(criteria, as_of),
    ]


def select_audience(criteria: Criteria, as_of: datetime, span: Span = EVERYBODY) -> Rows:
    """SELECT contact_point_id, subscriber_id, medium, language, digest (None, `daily`, `weekly`), as of a moment."""
    people = select_people(criteria, as_of, span).subquery("meant")
    # Where nearly everybody is meant, each table is read in the same stretch; else each person is looked up. A stretch
    # within one step of PostgreSQL's histogram looks like a single row to it, and it would read the stretch for each.
    beside = span if criteria.is_nearly_everybody else EVERYBODY
    digest = case((people.c.frequency == Frequency.AT_ONCE, None), else_=people.c.frequency)
    return (
        select(
            ContactPoint.id.label("contact_point_id"),
            ContactPoint.subscriber_id,
            ContactPoint.medium,
            Subscriber.language,
            (cast(null(), String(8)) if criteria.ignores_digest else digest).label("digest"),
        )
        .join(people, people.c.subscriber_id == ContactPoint.subscriber_id)
        .join(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
        .where(*live_addresses(criteria, as_of))
        .where(*beside.holds(ContactPoint.subscriber_id), *beside.holds(Subscriber.id))
    )


def live_addresses(criteria: Criteria, as_of: datetime) -> list[ColumnElement[bool]]:
    """Conditions on contact points: of the media meant, and live at that moment."""
    return [
        ContactPoint.medium.in_(criteria.media),
        ContactPoint.verified_at <= as_of,
        or_(ContactPoint.state == ContactPointState.ACTIVE, ContactPoint.stopped_at > as_of),
    ]


async def page_end(
    tx: Transaction, criteria: Criteria, as_of: datetime, *, after: UUID | None, people: int
) -> UUID | None:
    """The last subscriber of the next so many people; None when there are fewer left.

    Of an audience that is nearly everybody, people who are not meant are counted too: their rows are not read twice.
    """
    if criteria.is_nearly_everybody:
        each = select(Subscriber.id).where(*Span(after=after).holds(Subscriber.id)).order_by(Subscriber.id)
        last: UUID | None = await tx.scalar(each.offset(people - 1).limit(1))
        return last
    if criteria.sample and criteria.sample.size < people:
        return None
    meant = select_people(criteria, as_of, Span(after=after)).subquery("meant")
    found: UUID | None = await tx.scalar(
        select(meant.c.subscriber_id).order_by(meant.c.subscriber_id).offset(people - 1).limit(1)
    )
    return found


async def with_descendants(tx: Transaction, codes: Sequence[str]) -> tuple[str, ...]:
    """The areas and everything inside them: a borough's wards, a force's boroughs and their wards."""
    inside = select(Area.code).where(Area.code.in_(codes)).cte("inside", recursive=True)
    inside = inside.union(select(Area.code).join(inside, Area.parent_code == inside.c.code))
    return tuple(sorted((await tx.execute(select(inside.c.code))).scalars()))


async def is_everywhere(tx: Transaction, codes: Sequence[str]) -> bool:
    """Are these (each once) all the areas there are? An area that comes later has no follower as of now."""
    areas: int = await tx.scalar(select(func.count()).select_from(Area))
    return len(codes) == areas


def _stood(as_of: datetime) -> list[ColumnElement[bool]]:
    return [
        Subscription.started_at <= as_of,
        or_(Subscription.ended_at.is_(None), Subscription.ended_at > as_of),
    ]


def _at_home(criteria: Criteria) -> list[ColumnElement[bool]]:
    """By what the person's own row says: their home's postcode, its square, their language."""
    asked: list[ColumnElement[bool]] = []
    if criteria.homes:
        asked.append(Subscriber.postcode_hash.in_(criteria.homes))
    if criteria.near:
        asked.append(_within(criteria.near))
    if criteria.languages:
        asked.append(Subscriber.language.in_(criteria.languages))
    if not asked:
        return []
    return [Subscription.subscriber_id.in_(select(Subscriber.id).where(*asked))]


def _within(circle: Circle) -> ColumnElement[bool]:
    """Reckoned in squares: the box first, which the index knows, then the round of it."""
    east, north, radius = (
        in_cells(circle.easting),
        in_cells(circle.northing),
        circle.metres / CELL_METRES,
    )
    across, up = Subscriber.cell_east - east, Subscriber.cell_north - north
    return and_(
        Subscriber.cell_east.between(int(east - radius), int(east + radius) + 1),
        Subscriber.cell_north.between(int(north - radius), int(north + radius) + 1),
        across * across + up * up <= radius * radius,
    )


def _left_in(criteria: Criteria, as_of: datetime) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    other = Subscription.__table__.alias("other")
    same = and_(
        other.c.subscriber_id == Subscription.subscriber_id,
        other.c.started_at <= as_of,
        or_(other.c.ended_at.is_(None), other.c.ended_at > as_of),
    )
    if criteria.without_areas:
        conditions.append(~exists().where(same, other.c.area_code.in_(criteria.without_areas)))
    if criteria.without_topics:
        here = true() if criteria.is_everywhere else other.c.area_code.in_(criteria.areas)
        conditions.append(~exists().where(same, here, other.c.topic_slug.in_(criteria.without_topics)))
    if criteria.without is not None:
        left_out = criteria.without.subquery("left_out")
        conditions.append(~exists().where(left_out.c.subscriber_id == Subscription.subscriber_id))
    return conditions
