"""What is counted before approval is what is planned: people, addresses, digests, languages, and whom a sample draws."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, insert, select, text, update

from notifier.broadcast import approve, cost, draft, endorse
from notifier.broadcast.narrow import Draw, Narrow
from notifier.db import Database
from notifier.models import Delivery, Message
from subscribers import reach
from subscribers.audience import Criteria
from subscribers.models import (
    ContactPoint,
    ContactPointState,
    Frequency,
    LeastPriority,
    Subscriber,
    Subscription,
    new_id,
)
from subscribers.reach import Reach
from subscribers.samples import PRIME, allocate, mark
from tests.integration.ledger import publish, world_of
from tests.world import BOROUGH, TOPIC, World, make_people, ward

WORDS = {"en": ("A walk", "Come along."), "cy": ("Taith", "Dewch.")}


@pytest.fixture
async def world(db: Database) -> World:
    """60 people: uneven wards, some in two, some by text alone, with digests, Welsh, or an address that stopped."""
    world = await world_of(db, 18)
    async with db.transaction() as tx:
        await make_people(tx, world, 13, wards=(0, 0, 1), media=("sms",))
        await make_people(tx, world, 12, wards=(1, 3), frequency=Frequency.DAILY, second_ward=True)
        await make_people(tx, world, 11, wards=(2,), media=("email",), language="cy")
        await make_people(tx, world, 6, wards=(4, 5), frequency=Frequency.WEEKLY, language="pl")
        now_daily = world.subscribers[18:22]
        await tx.execute(
            update(Subscription)
            .where(Subscription.subscriber_id.in_(now_daily))
            .values(frequency=Frequency.DAILY)
        )
        for person in world.subscribers[::7]:
            gone = ContactPoint.id == world.points.get((person, "email"))
            stopped = {"state": ContactPointState.STOPPED, "stopped_at": tx.now - timedelta(minutes=5)}
            await tx.execute(update(ContactPoint).where(gone).values(stopped))
        if tx.dialect == "postgresql":  # whose statistics then know a middle: it counts in two halves
            await tx.execute(text("ANALYZE"))
    return world


async def _drafted(db: Database, world: World, **changes: Any) -> UUID:
    fields: dict[str, Any] = {
        "kind": "priority_update",
        "texts": WORDS,
        "areas": (BOROUGH,),
        "media": ("email", "sms"),
    }
    async with db.transaction() as tx:
        return await draft.save(tx, draft.Draft(**(fields | changes)), team=world.teams[0], author=None)


async def _counted(db: Database, world: World, **changes: Any) -> Reach:
    message = await _drafted(db, world, **changes)
    async with db.transaction(read_only=True) as tx:
        return (await approve.meant(tx, message, by_language=True)).reach


async def _planned(db: Database, world: World, **changes: Any) -> tuple[Reach, set[UUID]]:
    """The same, from the rows that were planned in small pages; and who they are for."""
    fields: dict[str, Any] = {"texts": WORDS, "areas": (BOROUGH,), "media": ("email", "sms")}
    message = await publish(db, world, **(fields | changes))
    who = (ContactPoint.subscriber_id, ContactPoint.medium, Delivery.digest, Subscriber.language)
    async with db.transaction(read_only=True) as tx:
        rows = (
            await tx.execute(
                select(*who)
                .join(Delivery, Delivery.contact_point_id == ContactPoint.id)
                .join(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
                .where(Delivery.message_id == message)
            )
        ).all()
    people = {row.subscriber_id for row in rows}
    soon = [row for row in rows if row.digest is None]
    found = Reach(
        people=len(people),
        at_once=Counter(row.medium for row in soon),
        waiting=Counter(row.medium for row in rows if row.digest is not None),
        reading=Counter((row.medium, row.language) for row in soon if row.language == "cy"),
    )
    return found, people


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"media": ("email",)},
        {"kind": "alert", "media": ("sms",)},
        {"areas": (ward(1), ward(2))},
        {"narrow": Narrow(languages=("cy", "pl"))},
    ],
    ids=["everybody", "mail", "alert", "wards", "languages"],
)
async def test_the_count_is_what_is_planned(db: Database, world: World, asked: dict[str, Any]) -> None:
    counted = await _counted(db, world, **asked)
    planned, _ = await _planned(db, world, **asked)
    assert counted == planned
    assert counted.people > 0


# --- Samples ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("looked_at", "drawn"),
    [
        (PRIME, [(9, 1, ("email",)), (9, 2, ("email", "sms")), (500, 5, ("email", "sms"))]),
        (PRIME // 4, [(1, 3, ("email", "sms")), (9, 1, ("email",)), (31, 7, ("email",))]),
        (-1, [(9, 2, ("email", "sms"))]),
    ],
    ids=["at all", "at some", "at none"],
)
async def test_the_count_of_a_sample_is_what_is_planned_and_drawn_by_the_marks(
    db: Database,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    looked_at: int,
    drawn: list[tuple[int, int, tuple[str, ...]]],
) -> None:
    """Whatever the first look finds: the next one is at wards that had too few."""
    monkeypatch.setattr(reach, "first_look", lambda *_, **__: looked_at)
    for size, seed, media in drawn:
        asked = {"narrow": Narrow(sample=Draw(size=size, seed=seed)), "media": media}
        counted = await _counted(db, world, **asked)
        planned, people = await _planned(db, world, **asked)
        assert counted == planned
        assert people == await _by_hand(db, media, size, seed)


async def _by_hand(db: Database, media: tuple[str, ...], size: int, seed: int) -> set[UUID]:
    """Those with the lowest marks of each ward, people of two wards in the first."""
    live = (ContactPoint.state == ContactPointState.ACTIVE, ContactPoint.medium.in_(media))
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(
            select(Subscriber.id, func.min(Subscription.area_code), mark(Subscriber.id, seed).label("mark"))
            .join(Subscription, Subscription.subscriber_id == Subscriber.id)
            .where(Subscriber.id.in_(select(ContactPoint.subscriber_id).where(*live)))
            .group_by(Subscriber.id)
        )
        people = [tuple(row) for row in rows]
    wards: Mapping[str, list[tuple[int, UUID]]] = {code: [] for _, code, _ in people}
    for person, code, number in people:
        wards[code].append((number, person))
    shares = allocate({code: len(found) for code, found in wards.items()}, size)
    return {person for code, share in shares.items() for _, person in sorted(wards[code])[:share]}


async def test_a_press_asks_once_who_is_meant(db: Database, world: World) -> None:
    """A sample of a force is a second's work: not to be drawn for each question of one request."""
    message = await _drafted(db, world, narrow=Narrow(sample=Draw(size=9, seed=1)))
    said: list[str] = []
    listen = (db.engine.sync_engine, "before_cursor_execute")
    event.listen(*listen, lambda _c, _u, statement, *_: said.append(statement))
    async with db.transaction() as tx:
        await endorse.press(tx, message, team=world.teams[0], officer=None)
        marks = (await tx.scalar(select(Message.criteria).where(Message.id == message)))["sample"]["marks"]
    assert len([each for each in said if "contact_points JOIN" in each]) == 1
    assert set(marks) <= {ward(number) for number in range(6)}


# --- Two addresses, languages --------------------------------------------------------------------


async def test_a_person_with_two_addresses_at_that_moment_is_one_person(db: Database, world: World) -> None:
    """One stopped since, as when somebody changes their address while a message is planned."""
    async with db.transaction() as tx:
        as_of, person = tx.now - timedelta(minutes=1), world.subscribers[1]
        point = new_id()
        other = {
            "id": point,
            "subscriber_id": person,
            "medium": "email",
            "address_sealed": b"sealed",
            "address_hash": b"h" * 32,
            "state": ContactPointState.STOPPED,
            "verified_at": as_of,
            "stopped_at": tx.now,
            "created_at": as_of,
        }
        await tx.execute(insert(ContactPoint), other)
        criteria = Criteria(
            areas=(ward(1),), topics=(TOPIC,), media=("email",), wanted_by=tuple(LeastPriority)
        )
        before = await reach.count(tx, criteria, as_of - timedelta(minutes=1))
        counted = await reach.count(tx, criteria, as_of)
        after = await reach.count(tx, criteria, tx.now)
    assert (counted.people, counted.deliveries) == (before.people, before.deliveries + 1)
    assert after == before


async def test_copies_are_counted_by_the_words_that_are_read(db: Database, world: World) -> None:
    counted = await _counted(db, world)
    made = cost.copies(counted)
    assert made["email", "cy"] == counted.reading["email", "cy"] > 0
    assert made["email", "en"] + made["email", "cy"] == counted.at_once["email"]
    assert {medium for medium, _ in made} == {"email", "sms"}
    english = await _counted(db, world, texts={"en": WORDS["en"]})
    assert cost.copies(english) == {(medium, "en"): number for medium, number in counted.at_once.items()}
