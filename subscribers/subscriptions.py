"""Rows of people and what they want: confirm a sign-up, read and change what is wanted, end an area.

Called by `notifier.broadcast` (welcome, leaving, preferences) and by imports. Subscriptions are ended,
never deleted, so that an audience frozen earlier can still be counted.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import insert, select, update

from subscribers import contact_points, evidence, homes, suppression
from subscribers.consent import Choices, ConsentAction
from subscribers.contact_points import Contact
from subscribers.dialects import insert_for
from subscribers.evidence import Evidence
from subscribers.models import (
    Area,
    Frequency,
    LeastPriority,
    Subscriber,
    SubscriberState,
    Subscription,
    Transaction,
    new_id,
)
from subscribers.topics import topic_slugs

NAME = "subscribers.name"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One topic of one area, from how pressing on, and how often."""

    area_code: str
    topic: str
    least_priority: LeastPriority
    frequency: Frequency


@dataclass(frozen=True, kw_only=True)
class Person:
    """What a person's row says."""

    id: UUID
    name: str | None
    postcode: str | None
    home_area_code: str | None
    language: str
    link_version: int
    quiet_from: int | None
    quiet_until: int | None
    weekly_limit: int | None


def wanted_by(choices: Choices) -> set[Wanted]:
    """Every chosen topic of every chosen area."""
    return {
        Wanted(
            area_code=code,
            topic=slug,
            least_priority=choices.least_priority,
            frequency=choices.frequency,
        )
        for code in choices.area_codes
        for slug in choices.topics
    }


# --- Confirming ---------------------------------------------------------------------------------


async def confirm(
    tx: Transaction, contact: Contact, choices: Choices, *, wording: str, source: str, actor: str
) -> UUID | None:
    """The address's owner has said yes: their row, their live address, what they want, and the evidence.

    The contact's row is held by the caller. Safe to run twice: the second run finds all done.
    None where the address was added to a record that has been erased since.
    """
    subscriber = await _whose(tx, contact, choices, source)
    if subscriber is None:
        return None
    others = await contact_points.of_subscriber(tx, subscriber)
    was_reachable = any(other.is_active for other in others if other.id != contact.id)
    replaced = await contact_points.activate(tx, contact, subscriber)
    await suppression.lift(tx, contact, areas=choices.area_codes)
    if choices.area_codes:
        await _take_choices(tx, subscriber, choices, is_fresh_start=not was_reachable, source=source)
    given = _event(tx, contact, ConsentAction.GIVEN, source, actor, wording)
    ended = [_event(tx, other, ConsentAction.WITHDRAWN, "replaced", actor, wording) for other in replaced]
    await evidence.record(tx, given, *ended)
    return subscriber


async def _whose(tx: Transaction, contact: Contact, choices: Choices, source: str) -> UUID | None:
    """The record the address joins: the one it was added to, its own of before, or a new one."""
    if choices.subscriber is not None:
        return choices.subscriber if await person(tx, choices.subscriber) else None
    if contact.subscriber is not None and await person(tx, contact.subscriber):
        return contact.subscriber
    return await make(tx, choices, source)


async def make(tx: Transaction, choices: Choices, source: str) -> UUID:
    """A new person's row."""
    made = new_id()
    await tx.execute(
        insert(Subscriber).values(
            id=made,
            language=choices.language,
            state=SubscriberState.ACTIVE,
            link_version=0,
            created_via=source[:20],
            created_at=tx.now,
            **await _sealed(tx, made, choices),
        )
    )
    return made


async def _take_choices(
    tx: Transaction, subscriber: UUID, choices: Choices, *, is_fresh_start: bool, source: str
) -> None:
    """Add what was chosen; where the person could no longer be reached, it replaces what they had once."""
    wanted = wanted_by(choices)
    kept = set() if is_fresh_start else await live(tx, subscriber)
    places = {(each.area_code, each.topic) for each in wanted}
    kept = {each for each in kept if (each.area_code, each.topic) not in places}
    await set_wanted(tx, subscriber, wanted | kept, reason="signed up again", source=source)
    await tx.execute(
        update(Subscriber)
        .where(Subscriber.id == subscriber)
        .values(language=choices.language, **await _sealed(tx, subscriber, choices))
    )


async def _sealed(tx: Transaction, subscriber: UUID, choices: Choices) -> dict[str, object]:
    values: dict[str, object] = {}
    if choices.name:
        values["name_sealed"] = tx.keys.seal(NAME, subscriber, choices.name)
    if choices.postcode:
        cells = await homes.cells_of(tx, [choices.postcode])
        values |= homes.values_of(tx, subscriber, choices.postcode, cells.get(choices.postcode))
        values["home_area_code"] = choices.area_codes[0] if choices.area_codes else None
    return values


def _event(
    tx: Transaction, contact: Contact, action: ConsentAction, source: str, actor: str, wording: str
) -> Evidence:
    return Evidence(
        contact_point=contact.id, action=action, source=source, actor=actor, at=tx.now, wording=wording
    )


# --- Reading ------------------------------------------------------------------------------------


async def person(tx: Transaction, subscriber: UUID) -> Person | None:
    """A person's row, opened; None where there is none or it was erased."""
    statement = select(Subscriber.__table__).where(
        Subscriber.id == subscriber, Subscriber.state == SubscriberState.ACTIVE
    )
    row = (await tx.execute(statement)).one_or_none()
    if row is None:
        return None
    opened = tx.keys.open_text
    return Person(
        id=row.id,
        name=opened(NAME, row.id, row.name_sealed) if row.name_sealed else None,
        postcode=opened(homes.POSTCODE, row.id, row.postcode_sealed) if row.postcode_sealed else None,
        home_area_code=row.home_area_code,
        language=row.language,
        link_version=row.link_version,
        quiet_from=row.quiet_from,
        quiet_until=row.quiet_until,
        weekly_limit=row.weekly_limit,
    )


async def live(tx: Transaction, subscriber: UUID) -> set[Wanted]:
    """What the person wants now."""
    rows = await tx.execute(
        select(Subscription.__table__).where(
            Subscription.subscriber_id == subscriber, Subscription.ended_at.is_(None)
        )
    )
    return {
        Wanted(
            area_code=row.area_code,
            topic=row.topic_slug,
            least_priority=LeastPriority(row.least_priority),
            frequency=Frequency(row.frequency),
        )
        for row in rows
    }


async def areas_of(tx: Transaction, subscriber: UUID) -> dict[str, str]:
    """code → name of the areas the person follows now, by name."""
    rows = await tx.execute(
        select(Area.code, Area.name)
        .join(Subscription, Subscription.area_code == Area.code)
        .where(Subscription.subscriber_id == subscriber, Subscription.ended_at.is_(None))
        .distinct()
        .order_by(Area.name)
    )
    return {row.code: row.name for row in rows}


async def known_areas(tx: Transaction, codes: Collection[str]) -> dict[str, str]:
    """code → name of those of these areas that exist and are served, by name."""
    rows = await tx.execute(
        select(Area.code, Area.name)
        .where(Area.code.in_(list(codes)), Area.served.is_(True), Area.valid_to.is_(None))
        .order_by(Area.name)
    )
    return {row.code: row.name for row in rows}


# --- Changing -----------------------------------------------------------------------------------


async def set_wanted(
    tx: Transaction, subscriber: UUID, wanted: Collection[Wanted], *, reason: str, source: str
) -> bool:
    """End what is no longer wanted and start what is new. Safe to run twice; says whether anything changed.

    Areas that are not served and topics that do not exist (any more) are left out.
    """
    held = await live(tx, subscriber)
    served = await known_areas(tx, {each.area_code for each in wanted})
    topics = set(await topic_slugs(tx))
    possible = {
        each for each in wanted if each in held or (each.area_code in served and each.topic in topics)
    }
    await _end(tx, subscriber, held - possible, reason)
    await start(tx, [(subscriber, each) for each in possible - held], source=source)
    return held != possible


async def start(tx: Transaction, wants: Sequence[tuple[UUID, Wanted]], *, source: str) -> None:
    """Begin subscriptions, of one person or of many. One that is live already stays as it is."""
    rows = [
        {
            "subscriber_id": subscriber,
            "area_code": each.area_code,
            "topic_slug": each.topic,
            "least_priority": each.least_priority,
            "frequency": each.frequency,
            "started_at": tx.now,
            "source": source[:20],
        }
        for subscriber, each in wants
    ]
    if rows:
        await tx.execute(insert_for(tx, Subscription).on_conflict_do_nothing(), rows)


async def end_area(tx: Transaction, subscriber: UUID, area_code: str, *, reason: str) -> bool:
    """End all topics of one area; False where none was live."""
    ended = [each for each in await live(tx, subscriber) if each.area_code == area_code]
    await _end(tx, subscriber, ended, reason)
    return bool(ended)


async def change_language(tx: Transaction, subscriber: UUID, language: str) -> None:
    """The language of everything sent from now on."""
    await tx.execute(update(Subscriber).where(Subscriber.id == subscriber).values(language=language))


async def change_quiet_hours(tx: Transaction, subscriber: UUID, quiet: tuple[int, int] | None) -> None:
    """Minutes after local midnight from and until which nothing but alerts and answers is sent; None: none."""
    start, end = quiet or (None, None)
    await tx.execute(
        update(Subscriber).where(Subscriber.id == subscriber).values(quiet_from=start, quiet_until=end)
    )


async def change_weekly_limit(tx: Transaction, subscriber: UUID, limit: int | None) -> None:
    """Most messages in seven days, alerts apart; None: as the service has it."""
    await tx.execute(update(Subscriber).where(Subscriber.id == subscriber).values(weekly_limit=limit))


async def _end(tx: Transaction, subscriber: UUID, ended: Iterable[Wanted], reason: str) -> None:
    for each in ended:
        await tx.execute(
            update(Subscription)
            .where(
                Subscription.subscriber_id == subscriber,
                Subscription.area_code == each.area_code,
                Subscription.topic_slug == each.topic,
                Subscription.ended_at.is_(None),
            )
            .values(ended_at=tx.now, ended_reason=reason)
        )
