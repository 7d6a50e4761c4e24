"""Who is meant: homes, distance, languages, samples, who is left out; the count is what is planned."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, event, func, insert, select, text, update

from notifier.broadcast import ahead, approve, draft, plan
from notifier.broadcast.narrow import Draw, Narrow, Near
from notifier.db import Database, Tx
from notifier.errors import Invalid
from notifier.models import Delivery, DeliveryState, Message, MessageState
from subscribers import dialects, homes, retention, subscriptions
from subscribers.admit import admit
from subscribers.consent import Choices
from subscribers.imports import Candidate
from subscribers.models import ContactPoint, Postcode, Subscriber, Subscription
from subscribers.samples import mark
from subscribers.subscriptions import Wanted, set_wanted
from tests.integration.ledger import publish, world_of
from tests.world import BOROUGH, TOPIC, World, make_people, ward

EAST, NORTH = 532_000, 177_000  # where SE5 9AA lies here: the south-west corner of a square
NEAR, FAR = "SE5 9AA", "SE5 9AB"


async def _live_at(tx: Tx, person: UUID, postcode: str) -> None:
    cells = await homes.cells_of(tx, [postcode])
    home = homes.values_of(tx, person, postcode, cells.get(postcode))
    await tx.execute(update(Subscriber).where(Subscriber.id == person).values(home))


async def _homes(db: Database, world: World) -> None:
    """Two postcodes, 600 m apart; the first half of the people live at the first."""
    half = len(world.subscribers) // 2
    async with db.transaction() as tx:
        rows = [(NEAR, EAST), (FAR, EAST + 600)]
        places = [{"postcode": code, "easting": east, "northing": NORTH} for code, east in rows]
        await tx.execute(insert(Postcode), places)
        for number, person in enumerate(world.subscribers):
            await _live_at(tx, person, NEAR if number < half else FAR)


async def _drafted(tx: Tx, world: World, narrowed: Narrow, **changes: Any) -> UUID:
    fields: dict[str, Any] = {
        "kind": "priority_update",
        "texts": {"en": ("A walk", "We walk on Friday. Come along.")},
        "areas": (BOROUGH,),
        "media": ("email",),
        "narrow": narrowed,
    }
    return await draft.save(tx, draft.Draft(**(fields | changes)), team=world.teams[0], author=None)


async def _sent_to(db: Database, message: UUID) -> set[UUID]:
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(
            select(ContactPoint.subscriber_id)
            .join(Delivery, Delivery.contact_point_id == ContactPoint.id)
            .where(Delivery.message_id == message)
        )
        return set(rows.scalars())


async def _reached(db: Database, world: World, narrowed: Narrow, **changes: Any) -> set[UUID]:
    """Approved and planned in small pages; the count before is held to what was planned."""
    fields: dict[str, Any] = {"areas": (BOROUGH,), "media": ("email",), "narrow": narrowed} | changes
    return await _sent_to(db, await publish(db, world, **fields))


# --- By home ------------------------------------------------------------------------------------


async def test_a_message_for_a_postcode_goes_to_those_who_live_there(db: Database) -> None:
    world = await world_of(db, 6)
    await _homes(db, world)
    assert await _reached(db, world, Narrow(postcodes=("se59aa",))) == set(world.subscribers[:3])


@pytest.mark.parametrize(("metres", "people"), [(176, 0), (177, 3), (637, 3), (638, 6), (50_000, 6)])
async def test_distance_is_from_the_point_to_the_middle_of_a_square(
    db: Database, metres: int, people: int
) -> None:
    """The two squares' centres lie 125 m north, and 125 m and 625 m east of the point: 176.8 m and 637.4 m away."""
    world = await world_of(db, 6)
    await _homes(db, world)
    async with db.transaction() as tx:
        near = Near(easting=EAST, northing=NORTH, metres=metres)
        message = await _drafted(tx, world, Narrow(near=near))
        assert (await approve.reach(tx, message)).people == people


async def test_distance_may_be_from_a_postcode(db: Database) -> None:
    world = await world_of(db, 6)
    await _homes(db, world)
    near = Near(postcode="SE5 9AA", metres=300)
    assert await _reached(db, world, Narrow(near=near)) == set(world.subscribers[:3])


async def test_whoever_stores_a_postcode_stores_its_hash_and_square_and_erasing_takes_them(
    db: Database,
) -> None:
    world = await world_of(db, 2)
    await _homes(db, world)
    async with db.transaction() as tx:
        await tx.execute(update(Postcode).values(ward_code=ward(0)))
        signed_up = await subscriptions.make(tx, Choices(postcode=FAR), "web")
        candidate = Candidate(
            line=1,
            email="sam@mail.example",
            phone=None,
            postcode=FAR,
            name=None,
            language="en",
            consent_at=tx.now,
            consent_source="form",
        )
        assert (await admit(tx, [candidate])).added == 1
        home = select(Subscriber.postcode_hash, Subscriber.cell_east, Subscriber.cell_north)
        kept = (tx.keys.postcode_hash(FAR), (EAST + 600) // 250, NORTH // 250)
        assert tuple((await tx.execute(home.where(Subscriber.id == signed_up))).one()) == kept
        assert tuple((await tx.execute(home.where(Subscriber.created_via == "import"))).one()) == kept
        await retention.erase(tx, signed_up, source="test")
        assert tuple((await tx.execute(home.where(Subscriber.id == signed_up))).one()) == (None, None, None)


async def test_homes_of_before_are_filled_in_and_places_when_they_become_known(db: Database) -> None:
    world = await world_of(db, 3)
    who = world.subscribers
    async with db.transaction() as tx:
        for person in who:
            sealed = tx.keys.seal(homes.POSTCODE, person, NEAR)
            await tx.execute(update(Subscriber).where(Subscriber.id == person).values(postcode_sealed=sealed))
        first = await homes.fill_places(tx, limit=2)
        assert (first.filled, first.last is None) == (2, False)
        assert await homes.fill_places(tx, after=first.last, limit=2) == homes.Filled(filled=1, last=None)
        assert await homes.fill_places(tx) == homes.Filled(filled=0, last=None)
        await tx.execute(insert(Postcode), {"postcode": NEAR, "easting": EAST, "northing": NORTH})
        assert (await homes.fill_places(tx)).filled == 3
        cells = select(Subscriber.cell_east, Subscriber.cell_north).distinct()
        assert [tuple(row) for row in await tx.execute(cells)] == [(EAST // 250, NORTH // 250)]
        assert (await homes.fill_places(tx)).filled == 0


# --- By language, and who is left out -----------------------------------------------------------


async def test_a_message_for_some_languages_goes_to_their_speakers(db: Database) -> None:
    world = await world_of(db, 4)
    async with db.transaction() as tx:
        welsh = await make_people(tx, world, 2, language="cy")
    assert await _reached(db, world, Narrow(languages=("cy", "pl"))) == set(welsh)


async def test_who_follows_an_area_left_out_is_not_written_to(db: Database) -> None:
    world = await world_of(db, 6, second_ward=True)  # person n follows wards n and n + 1
    reached = await _reached(db, world, Narrow(without_areas=(ward(0),)))
    assert reached == set(world.subscribers[1:5])


async def test_who_follows_a_topic_left_out_is_not_written_to(db: Database) -> None:
    world = await world_of(db, 4)
    async with db.transaction() as tx:
        more = {
            "area_code": ward(0),
            "topic_slug": "burglary",
            "least_priority": "everything",
            "frequency": "at_once",
        }
        both = {
            "subscriber_id": world.subscribers[0],
            "started_at": tx.now - timedelta(hours=1),
            "source": "t",
        }
        await tx.execute(insert(Subscription), more | both)
    reached = await _reached(db, world, Narrow(without_topics=("burglary",)))
    assert reached == set(world.subscribers[1:])


async def test_who_got_an_earlier_message_is_not_written_to(db: Database) -> None:
    world = await world_of(db, 6)
    earlier = await publish(db, world, wards=(0, 1, 2), media=("email",))
    async with db.transaction() as tx:
        got = world.points[world.subscribers[0], "email"]
        await tx.execute(update(Delivery).values(state=DeliveryState.FAILED))
        await tx.execute(
            update(Delivery).where(Delivery.contact_point_id == got).values(state=DeliveryState.DELIVERED)
        )
        await tx.execute(update(Message).where(Message.id == earlier).values(state=MessageState.DONE))
    reached = await _reached(db, world, Narrow(without_messages=(earlier,)))
    assert reached == set(world.subscribers[1:])


async def test_a_form_that_does_not_ask_keeps_what_narrowed_a_draft(db: Database) -> None:
    world = await world_of(db, 3)
    async with db.transaction() as tx:
        message = await _drafted(tx, world, Narrow(sample=Draw(size=1)))
        words = draft.Draft(
            kind="news", texts={"en": ("Other", "Words.")}, areas=(BOROUGH,), media=("email",)
        )
        await draft.save(tx, words, team=world.teams[0], author=None, message=message)
        assert (await approve.reach(tx, message)).people == 1


# --- Samples ------------------------------------------------------------------------------------


async def _sampled(db: Database, world: World, size: int, seed: int) -> set[UUID]:
    return await _reached(db, world, Narrow(sample=Draw(size=size, seed=seed)))


async def test_a_sample_is_of_its_size_in_proportion_and_drawn_again_by_its_seed(db: Database) -> None:
    world = await world_of(db, 60)  # ten in each ward
    drawn = await _sampled(db, world, 12, 7)
    wards = [world.subscribers.index(person) % 6 for person in drawn]
    assert sorted(wards) == sorted(2 * list(range(6)))
    assert await _sampled(db, world, 12, 7) == drawn
    assert await _sampled(db, world, 12, 8) != drawn


async def test_a_sample_larger_than_the_audience_is_everybody(db: Database) -> None:
    world = await world_of(db, 5)
    assert await _sampled(db, world, 500, 1) == set(world.subscribers)


async def test_who_joins_after_approval_does_not_change_the_sample(db: Database) -> None:
    world = await world_of(db, 30)
    async with db.transaction() as tx:
        message = await _drafted(tx, world, Narrow(sample=Draw(size=6)))
        await approve.approve(tx, message, team=world.teams[0], officer=None)
        drawn = (await tx.scalar(select(Message.criteria).where(Message.id == message)))["sample"]
    async with db.transaction() as tx:
        late = await make_people(tx, world, 30)
        joined = tx.now
        await tx.execute(
            update(Subscription).where(Subscription.subscriber_id.in_(late)).values(started_at=joined)
        )
    await _plan(db, message)
    reached = await _sent_to(db, message)
    assert len(reached) == 6
    assert not reached & set(late)
    assert set(drawn) == {"size", "seed", "marks"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_both_databases_draw_the_same_people(
    db: Database, request: pytest.FixtureRequest, open_database: Any
) -> None:
    """A person's mark is reckoned from the last 32 bits of their id by the same whole numbers."""
    postgres = request.getfixturevalue("postgres")
    url = postgres.create_database(template=request.getfixturevalue("postgres_template"))
    try:
        other = await open_database(url)
        ids = [UUID(int=(7 << 76) | (2 << 62) | number * 2_654_435_761 % 2**62) for number in range(200)]
        found = [await _marks(each, ids) for each in (db, other)]
        await other.close()
    finally:
        postgres.drop_database(url)
    assert found[0] == found[1]
    assert len(set(found[0].values())) == len(ids)


async def _marks(db: Database, ids: Sequence[UUID]) -> dict[UUID, int]:
    async with db.transaction() as tx:
        rows = [
            {"id": id_, "language": "en", "state": "active", "created_via": "t", "created_at": tx.now}
            for id_ in ids
        ]
        await tx.execute(insert(Subscriber), rows)
        marks = await tx.execute(select(Subscriber.id, mark(Subscriber.id, 5).label("mark")))
        return {row.id: row.mark for row in marks}


# --- What cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "narrowed"),
    [
        ("postcodes", Narrow(postcodes=("SE5 9ZZ",))),
        ("near", Narrow(near=Near(metres=100, postcode="SE5 9ZZ"))),
        ("without_areas", Narrow(without_areas=("E00",))),
        ("without_areas", Narrow(without_areas=(BOROUGH,))),
        ("without_topics", Narrow(without_topics=("no-such",))),
        ("without_messages", Narrow(without_messages=(UUID(int=1),))),
    ],
)
async def test_what_no_row_knows_is_said_by_field(db: Database, field: str, narrowed: Narrow) -> None:
    world = await world_of(db, 1)
    async with db.transaction() as tx:
        with pytest.raises(Invalid) as refused:
            await _drafted(tx, world, narrowed)
    assert list(refused.value.fields) == [field]


# --- Planning ------------------------------------------------------------------------------------


async def _plan(db: Database, message: UUID, *, page: int = 7) -> int:
    pages = 0
    done = False
    while not done:
        async with db.transaction() as tx:
            done = await plan.plan_page(tx, message, page=page)
        pages += 1
    return pages


async def test_a_small_audience_is_planned_in_one_page_whatever_the_crowd(db: Database) -> None:
    world = await world_of(db, 60)
    async with db.transaction() as tx:
        message = await _drafted(tx, world, Narrow(), areas=(ward(3),))
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    assert await _plan(db, message, page=20) == 1
    assert len(await _sent_to(db, message)) == 10


async def test_who_left_since_is_planned_and_who_came_since_is_not(db: Database) -> None:
    world = await world_of(db, 4)
    async with db.transaction() as tx:
        message = await _drafted(tx, world, Narrow())
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    before = list(world.subscribers)
    async with db.transaction() as tx:
        await set_wanted(tx, before[0], [], reason="left", source="test")
        late = (await make_people(tx, world, 1))[0]
        wanted = Wanted(area_code=ward(0), topic=TOPIC, least_priority="everything", frequency="at_once")  # type: ignore[arg-type]
        await tx.execute(delete(Subscription).where(Subscription.subscriber_id == late))
        await set_wanted(tx, late, [wanted], reason="joined", source="test")
    await _plan(db, message)
    assert await _sent_to(db, message) == set(before)


async def test_nothing_is_tried_after_the_authors_own_end(db: Database) -> None:
    world = await world_of(db, 2)
    async with db.transaction() as tx:
        end = tx.now + timedelta(hours=2)
    message = await publish(db, world, expires_at=end)
    async with db.transaction() as tx:
        ends = await tx.execute(select(Delivery.expires_at).where(Delivery.message_id == message).distinct())
        assert ends.scalars().all() == [end]


async def test_a_large_plan_tells_the_planner_what_the_table_holds(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a worker that polled the empty table goes on with a plan made for it."""
    world = await world_of(db, 12)
    said: list[str] = []
    listen = (db.engine.sync_engine, "before_cursor_execute")
    event.listen(*listen, lambda _c, _u, statement, *_: said.append(statement))
    await publish(db, world, media=("email",))
    assert not [each for each in said if each.startswith("ANALYZE")]
    monkeypatch.setattr(dialects, "WORTH_ANALYZING", 4)
    await publish(db, world, media=("email",))
    assert [each for each in said if each.startswith("ANALYZE")] == ["ANALYZE deliveries"]
    known = {
        "sqlite": "SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'deliveries'",
        "postgresql": "SELECT reltuples FROM pg_class WHERE relname = 'deliveries'",
    }
    async with db.transaction(read_only=True) as tx:
        assert await tx.scalar(text(known[tx.dialect])) > 0


async def test_a_large_message_waits_while_too_much_is_ready_to_go(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead.is_full, "__kwdefaults__", {"most": 5, "small": 4})
    world = await world_of(db, 24)
    first = await publish(db, world, wards=tuple(range(6)), media=("email",), kind="news")
    async with db.transaction() as tx:
        message = await _drafted(tx, world, Narrow(), kind="news")
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    await _plan(db, message, page=3)
    assert await _standing(db, message) == (MessageState.PLANNING, 6)  # a page past the four that always come
    async with db.transaction() as tx:
        await tx.execute(
            update(Delivery).where(Delivery.message_id == first).values(state=DeliveryState.DELIVERED)
        )
    await _plan(db, message, page=3)
    assert await _standing(db, message) == (MessageState.SENDING, 24)


async def test_an_alert_never_waits_to_be_planned(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead.is_full, "__kwdefaults__", {"most": 1, "small": 1})
    world = await world_of(db, 12)
    await publish(db, world, wards=tuple(range(6)), media=("email",), kind="alert")
    message = await publish(db, world, wards=tuple(range(6)), media=("email",), kind="alert")
    assert await _standing(db, message) == (MessageState.SENDING, 12)


async def _standing(db: Database, message: UUID) -> tuple[str, int]:
    async with db.transaction(read_only=True) as tx:
        state = await tx.scalar(select(Message.state).where(Message.id == message))
        rows = await tx.scalar(select(func.count()).where(Delivery.message_id == message))
        return state, rows
