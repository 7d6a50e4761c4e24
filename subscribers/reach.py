"""How many an audience is, and whom a sample draws: each in one pass over its people, by the conditions of `audience`.

On PostgreSQL in two halves side by side, where its statistics know a middle; any would be right.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    RowMapping,
    String,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal_column,
    select,
    union_all,
)

from subscribers.audience import (
    EVERYBODY,
    Criteria,
    Rows,
    Span,
    everyone,
    live_addresses,
    matching,
    select_people,
)
from subscribers.dialects import about, middle_of, read_widely, with_least
from subscribers.models import (
    Area,
    ContactPoint,
    ContactPointState,
    Frequency,
    Subscriber,
    Subscription,
    Transaction,
)
from subscribers.samples import PRIME, Sample, allocate, first_look, highest_drawn, mark

STOPPED_SINCE = "stopped_since"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How many people and addresses an audience has, by medium; waiting are those who chose a digest.

    reading: of those at once, by medium and language, where languages were asked for.
    """

    people: int
    at_once: Mapping[str, int]
    waiting: Mapping[str, int]
    reading: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @property
    def deliveries(self) -> int:
        """Every delivery that will be planned, digests included."""
        return sum(self.at_once.values()) + sum(self.waiting.values())


async def count(tx: Transaction, criteria: Criteria, as_of: datetime, languages: Sequence[str] = ()) -> Reach:
    """The reach of an audience, as it is planned. languages: those of the people to be counted apart.

    Raises ValueError for a sample that is not drawn: `draw` counts it.
    """
    asked = _asked(criteria, as_of, languages)
    await read_widely(tx)
    added = await _sums(tx, asked)
    if added[STOPPED_SINCE]:
        added = await _sums(tx, replace(asked, is_one_each=False))
    return _reach(asked, added)


async def draw(
    tx: Transaction, criteria: Criteria, as_of: datetime, languages: Sequence[str] = ()
) -> tuple[Criteria, Reach]:
    """The same criteria, their sample drawn among the people who can be reached at that moment; and its reach.

    The same seed, moment and rows draw the same people, on either database. Keeps some 20 bytes for each mark it
    looks at: as many as are drawn, and some more of each area. An area that had too few of them (few people live
    there, or few of them are meant) is looked at again as a whole.
    """
    sample = criteria.sample
    if sample is None:
        raise ValueError("there is no sample to draw")
    asked = _asked(criteria, as_of, languages)
    await read_widely(tx, in_groups=True)
    upto = await _first_look(tx, criteria, sample)
    found = await _groups(tx, asked, sample.seed, upto)
    if any(group.each.get(STOPPED_SINCE) for group in found):
        asked = replace(asked, is_one_each=False)
        found = await _groups(tx, asked, sample.seed, upto)
    sizes: Counter[str] = Counter()
    for group in found:
        sizes[group.area] += group.people
    shares, marks = allocate(sizes, sample.size), _marks(found)
    short = tuple(sorted(code for code, share in shares.items() if share > len(marks[code])))
    if short and upto < PRIME:
        again = await _groups(tx, replace(asked, strata=short), sample.seed, PRIME)
        found = [*(group for group in found if group.area not in short), *again]
        marks = _marks(found)
    highest = highest_drawn(shares, marks)
    return replace(criteria, sample=replace(sample, marks=highest)), _reach(asked, _drawn(found, highest))


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """is_one_each: taken for granted that nobody has two addresses here, so that nobody's are put together first.

    A person has one active address on a medium; another was live then only if it was stopped since, and that is
    counted (`STOPPED_SINCE`): where there is any, all is asked again. strata: of a sample to be drawn, only who
    counts in one of these areas.
    """

    criteria: Criteria
    as_of: datetime
    languages: tuple[str, ...]
    is_one_each: bool
    strata: tuple[str, ...] = ()

    def soon(self, medium: str) -> str:
        """The name of the number of addresses on a medium that get it at once."""
        return medium if self.criteria.ignores_digest else f"{medium}_soon"


def _asked(criteria: Criteria, as_of: datetime, languages: Sequence[str]) -> _Asked:
    alone = len(criteria.media) == 1
    return _Asked(criteria=criteria, as_of=as_of, languages=tuple(languages), is_one_each=alone)


@dataclass(frozen=True, kw_only=True)
class _Group:
    """People of one area who are alike. each: what every one of them adds to a count; marks: of those looked at."""

    area: str
    people: int
    each: Mapping[str, int]
    marks: Sequence[int]


# --- The statements -----------------------------------------------------------------------------


async def _first_look(tx: Transaction, criteria: Criteria, sample: Sample) -> int:
    """As if everybody were meant who follows these areas, and each area had as many."""
    people, areas = await about(tx, Subscriber), await about(tx, Area)
    if criteria.is_everywhere or not areas:
        return first_look(sample.size, people=people, areas=areas)
    named = len(criteria.areas)
    return first_look(sample.size, people=people * named // areas, areas=named)


async def _spans(tx: Transaction, asked: _Asked) -> list[Span]:
    """Of everybody. The marks of a drawn sample can stand in a statement once."""
    sample = asked.criteria.sample
    if asked.criteria.homes or (sample and sample.marks is not None):
        return [EVERYBODY]
    middle = await middle_of(tx, Subscriber.__tablename__, Subscriber.id.name)
    return [Span(upto=middle), Span(after=middle)] if middle else [EVERYBODY]


def _meant(tx: Transaction, asked: _Asked, span: Span) -> Rows:
    """SELECT subscriber_id, frequency, and for a sample to be drawn area_code: those meant, reachable or not."""
    criteria = asked.criteria
    if criteria.sample is None:
        people = select(Subscription.subscriber_id).where(*matching(criteria, asked.as_of, span))
        return with_least(tx, people, Subscription.subscriber_id, Subscription.frequency)
    if criteria.sample.marks is not None:
        return select_people(criteria, asked.as_of, span)
    people = everyone(criteria, asked.as_of, span)
    if not asked.strata:
        return people
    there = Subscription.__table__.alias("there")
    follow_one = select(there.c.subscriber_id).where(there.c.area_code.in_(asked.strata))
    return people.where(Subscription.subscriber_id.in_(follow_one)).having(
        func.min(Subscription.area_code).in_(asked.strata)
    )


def _each(asked: _Asked, span: Span, people: Rows) -> Subquery:
    """Each of them who can be reached: addresses by medium, those at once, language where asked.

    Of a sample to be drawn also area_code and subscriber_id.
    """
    meant, criteria = people.subquery("meant"), asked.criteria
    once, number = (_as_is, _one) if asked.is_one_each else (func.min, _number)
    columns: list[ColumnElement[Any]] = []
    for medium in criteria.media:
        by = [ContactPoint.medium == medium] if len(criteria.media) > 1 else []
        columns.append(number(*by).label(medium))
        if not criteria.ignores_digest:
            at_once = meant.c.frequency == Frequency.AT_ONCE
            columns.append(number(*by, at_once).label(asked.soon(medium)))
    if asked.is_one_each:
        columns.append(number(ContactPoint.state != ContactPointState.ACTIVE).label(STOPPED_SINCE))
    if asked.languages:
        columns.append(once(Subscriber.language).label("language"))
    if "area_code" in meant.c:
        columns += [
            once(meant.c.area_code).label("area_code"),
            ContactPoint.subscriber_id.label("subscriber_id"),
        ]
    each: Rows = (
        select(*columns)
        .select_from(ContactPoint)
        .join(meant, meant.c.subscriber_id == ContactPoint.subscriber_id)
        .where(*live_addresses(criteria, asked.as_of), *span.holds(ContactPoint.subscriber_id))
    )
    if asked.languages:
        each = each.join(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
        each = each.where(*span.holds(Subscriber.id))
    if not asked.is_one_each:
        each = each.group_by(ContactPoint.subscriber_id)
    return each.subquery("each")


def _number(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    counted = func.count().filter(*conditions) if conditions else func.count()
    return cast(counted, Integer)  # larger numbers would be summed as decimals


def _one(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return case((and_(*conditions), 1), else_=0) if conditions else literal_column("1", Integer)


def _as_is(column: Any) -> Any:
    return column


async def _sums(tx: Transaction, asked: _Asked) -> Counter[str]:
    """people, and each number over all of them."""
    halves = [
        _added_up(asked, _each(asked, span, _meant(tx, asked, span))) for span in await _spans(tx, asked)
    ]
    added: Counter[str] = Counter()
    for row in (await tx.execute(union_all(*halves))).mappings():
        added.update({str(name): int(number) for name, number in row.items()})
    return added


def _added_up(asked: _Asked, each: Subquery) -> Rows:
    """SELECT people and each number over all of them; `email cy`: of those at once who read Welsh. One row."""
    sums: dict[str, ColumnElement[Any]] = {
        column.name: func.sum(column) for column in each.c if column.name != "language"
    }
    for medium in asked.criteria.media:
        for language in asked.languages:
            soon = func.sum(each.c[asked.soon(medium)]).filter(each.c.language == language)
            sums[f"{medium} {language}"] = soon
    numbers = [func.coalesce(number, 0).label(name) for name, number in sums.items()]
    return select(func.count().label("people"), *numbers).select_from(each)


async def _groups(tx: Transaction, asked: _Asked, seed: int, upto: int) -> list[_Group]:
    """Everybody a sample is drawn from, with the marks up to one."""
    halves = []
    for span in await _spans(tx, asked):
        each = _each(asked, span, _meant(tx, asked, span))
        alike = [column for column in each.c if column.name != "subscriber_id"]
        number = mark(each.c.subscriber_id, seed)
        marks = func.aggregate_strings(cast(number, String), " ").filter(number <= upto)
        halves.append(select(*alike, func.count().label("people"), marks.label("marks")).group_by(*alike))
    return [_group_of(asked, row) for row in (await tx.execute(union_all(*halves))).mappings()]


def _group_of(asked: _Asked, row: RowMapping) -> _Group:
    each = {str(name): row[name] for name in row if name not in _NOT_NUMBERS}
    if asked.languages and row["language"] in asked.languages:
        soon = {f"{medium} {row['language']}": row[asked.soon(medium)] for medium in asked.criteria.media}
        each |= soon
    marks = [int(number) for number in (row["marks"] or "").split()]
    return _Group(area=row["area_code"], people=row["people"], each=each, marks=marks)


_NOT_NUMBERS = ("area_code", "language", "people", "marks")


# --- The arithmetic -----------------------------------------------------------------------------


def _marks(groups: Iterable[_Group]) -> Mapping[str, list[int]]:
    marks: dict[str, list[int]] = defaultdict(list)
    for group in groups:
        marks[group.area] += group.marks
    return marks


def _drawn(groups: Iterable[_Group], highest: Mapping[str, int]) -> Counter[str]:
    """The numbers over those who are drawn: up to the highest mark of their area."""
    added: Counter[str] = Counter()
    for group in groups:
        last = highest.get(group.area, -1)
        people = sum(number <= last for number in group.marks)
        added["people"] += people
        added.update({name: number * people for name, number in group.each.items()})
    return added


def _reach(asked: _Asked, added: Mapping[str, int]) -> Reach:
    media = asked.criteria.media
    at_once = {medium: added.get(asked.soon(medium), 0) for medium in media}
    waiting = {medium: added.get(medium, 0) - at_once[medium] for medium in media}
    reading = {
        (medium, language): number
        for medium in media
        for language in asked.languages
        if (number := added.get(f"{medium} {language}", 0))
    }
    return Reach(
        people=added.get("people", 0),
        at_once={medium: number for medium, number in at_once.items() if number},
        waiting={medium: number for medium, number in waiting.items() if number},
        reading=reading,
    )
