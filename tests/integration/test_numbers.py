"""Number leasing on both databases: which of our numbers a team's texts reach a person from, and where replies go."""

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, event, func, insert, select, update

from channels.base import Medium
from notifier.broadcast import approve, draft
from notifier.broadcast.leaving import erase
from notifier.carriers import Carrier, Carriers
from notifier.db import Database
from notifier.delivery.content import UNANSWERABLE
from notifier.delivery.numbers import Senders, Want, choose, leased, senders_of
from notifier.delivery.preview import previews, require_sendable
from notifier.errors import Conflict, Invalid
from notifier.inbox.answer import answer
from notifier.models import Delivery, Message, NumberLease, TeamContactPoint
from notifier.staff.teams import add_address
from subscribers.models import new_id
from tests.integration.ledger import publish, states, world_of
from tests.integration.replies import handled, make_officer, phone, seen, store_text, text_in
from tests.integration.several import OF_A, OF_B, TextsA, TextsB, share, worker_of
from tests.world import World, make_people, ward

NUMBERS = ("+447700900701", "+447700900702", "+447700900703")


async def without_own(db: Database) -> None:
    """No team has a number of its own: all share the channel's."""
    async with db.transaction() as tx:
        await tx.execute(delete(TeamContactPoint))


async def of_two_teams(db: Database, count: int = 6) -> World:
    """Everybody follows Bridge (first team) and Castle (second)."""
    world = await world_of(db, 0)
    async with db.transaction() as tx:
        await make_people(tx, world, count, wards=[1, 2], second_ward=True, media=("sms",))
        await tx.execute(update(Message).values(team_id=world.teams[0]))
    return world


async def publish_of(db: Database, world: World, team: int, **changes: object) -> UUID:
    own = World(teams=[world.teams[team]], central=world.central)
    found: UUID = await publish(db, own, wards=(1,) if team == 0 else (2,), media=("sms",), **changes)
    return found


async def both_write(db: Database, world: World, *channels: TextsA | TextsB) -> dict[str, list[str]]:
    """A message of each team goes out; to whom, from which numbers, in turn."""
    for team in (0, 1):
        await publish_of(db, world, team)
    await worker_of(db, *channels).drain()
    got = defaultdict(list)
    for channel in channels:
        for sent in channel.sent:
            got[sent.to].append(sent.message.sender)
    return got


async def test_a_person_of_two_wards_gets_the_texts_of_their_teams_from_different_numbers(
    db: Database,
) -> None:
    world = await of_two_teams(db)
    await without_own(db)
    texts = TextsA()
    share(db, texts)
    got = await both_write(db, world, texts)
    assert len(got) == 6
    assert all(len(set(numbers)) == 2 == len(numbers) for numbers in got.values())
    assert {number for numbers in got.values() for number in numbers} <= set(OF_A)
    again = await both_write(db, world, TextsA())
    assert again == got  # a lease stays


async def test_who_has_no_choice_pays_nothing(db: Database) -> None:
    world = await of_two_teams(db, 4)
    asked: list[str] = []
    event.listen(
        db.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: asked.append(statement),
    )
    texts = TextsA()
    share(db, texts)
    got = await both_write(db, world, texts)
    assert all(numbers == [world.numbers[0], world.numbers[1]] for numbers in got.values())
    assert not [statement for statement in asked if "number_leases" in statement]


async def test_what_they_answer_goes_to_the_team_that_number_is_leased_to(db: Database) -> None:
    world = await of_two_teams(db, 3)
    await without_own(db)
    texts = TextsA()
    share(db, texts)
    got = await both_write(db, world, texts)
    for person in range(3):
        for team, number in enumerate(got[phone(world, person)]):
            done = await text_in(db, phone(world, person), "What time is that?", to=number)
            shown = await seen(db, done)
            assert (done.resolver, shown.team) == ("leased_to_them", world.teams[team])
            assert shown.routing[0].reason == "They wrote to the number this team's texts reach them from"


async def test_a_number_that_is_leased_to_them_for_two_teams_says_nothing(db: Database) -> None:
    world = await of_two_teams(db, 1)
    await without_own(db)
    async with db.transaction() as tx:
        point = world.points[world.subscribers[0], "sms"]
        for team in world.teams[:2]:
            lease = {"contact_point_id": point, "team_id": team, "channel": "sms_a", "number": OF_A[0]}
            await tx.execute(insert(NumberLease).values(**lease, since=tx.now))
    done = await text_in(db, phone(world), "Hello", to=OF_A[0])
    assert done.resolver == "ask"


async def test_a_leased_number_that_was_given_to_another_team_leads_to_that_team(db: Database) -> None:
    world = await of_two_teams(db, 1)
    await without_own(db)
    texts = TextsA()
    share(db, texts)
    number = (await both_write(db, world, texts))[phone(world)][0]
    async with db.transaction() as tx:
        await add_address(tx, world.teams[2], "sms", number)
    done = await text_in(db, phone(world), "Hello", to=number)
    assert (done.resolver, (await seen(db, done)).team) == ("leased_number", world.teams[2])


async def test_leases_go_with_their_person(db: Database) -> None:
    world = await of_two_teams(db, 2)
    await without_own(db)
    texts = TextsA()
    share(db, texts)
    await both_write(db, world, texts)
    async with db.transaction() as tx:
        await erase(tx, world.subscribers[0], source="test")
        left = (await tx.execute(select(NumberLease.contact_point_id))).scalars()
        assert set(left) == {world.points[world.subscribers[1], "sms"]}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_answer_comes_from_the_number_they_wrote_to_and_else_from_the_leased_one(
    db: Database,
) -> None:
    world = await of_two_teams(db, 1)
    await without_own(db)
    texts = TextsA()
    share(db, texts)
    got = await both_write(db, world, texts)
    leased_to_second = got[phone(world)][1]
    other = next(number for number in OF_A if number not in got[phone(world)])
    done = await handled(db, await store_text(db, phone(world), "Castle: hello", to=other))
    officer = await make_officer(db)
    assert done.conversation is not None
    async with db.transaction() as tx:
        await answer(tx, done.conversation, officer, "We are on our way.", 2, teams=None)
    texts.sent.clear()
    await worker_of(db, texts).drain()
    assert {sent.message.sender for sent in texts.sent} == {other}  # what is said back, too
    assert leased_to_second != other


async def test_a_number_taken_out_of_use_ends_its_leases(db: Database) -> None:
    world = await of_two_teams(db, 4)
    await without_own(db)
    texts = TextsA()
    share(db, texts)
    before = await both_write(db, world, texts)
    fewer = TextsA(*OF_A[1:])
    share(db, fewer)
    after = await both_write(db, world, fewer)
    for person, numbers in after.items():
        assert len(set(numbers)) == 2
        assert set(numbers) == set(OF_A[1:])
        kept = [was for was, now in zip(before[person], numbers, strict=True) if was == now]
        assert kept == [] or OF_A[0] in before[person] or set(before[person]) == set(OF_A[1:])
    async with db.transaction(read_only=True) as tx:
        assert not await tx.scalar(select(func.count()).where(NumberLease.number == OF_A[0]))


async def test_a_team_with_several_numbers_uses_those_and_the_pool_is_of_the_others(db: Database) -> None:
    world = await of_two_teams(db, 1)
    await without_own(db)
    share(db, TextsA(*NUMBERS))
    async with db.transaction() as tx:
        for number in NUMBERS[:2]:
            await add_address(tx, world.teams[0], "sms", number)
        await add_address(tx, world.teams[1], "sms", NUMBERS[1])
        first = await senders_of(tx, world.teams[0], "sms_a")
        second = await senders_of(tx, world.teams[1], "sms_a")
        third = await senders_of(tx, world.teams[2], "sms_a")
    assert first == Senders(NUMBERS[:2], True, frozenset([NUMBERS[0]]))
    assert second.addresses == (NUMBERS[1],)
    assert third.addresses == (NUMBERS[2],)  # the one that no team has
    assert choose(first, [], new_id()) == NUMBERS[0]  # or the second team could not be told apart


async def test_a_teams_number_is_used_on_the_channel_that_has_it(db: Database) -> None:
    world = await world_of(db, 0)
    await without_own(db)
    share(db, TextsA(NUMBERS[0], OF_A[0]), TextsB(NUMBERS[1], OF_B[0]))
    async with db.transaction() as tx:
        for number in NUMBERS:
            await add_address(tx, world.teams[0], "sms", number)
        on_a = await senders_of(tx, world.teams[0], "sms_a")
        on_b = await senders_of(tx, world.teams[0], "sms_b")
        assert on_a.addresses == (NUMBERS[0], NUMBERS[2])  # the third is in nobody's list
        assert on_b.addresses == (NUMBERS[1],)
        await tx.execute(update(TeamContactPoint).values(channel="sms_b"))
        assert (await senders_of(tx, world.teams[0], "sms_a")).addresses == (OF_A[0],)
        assert (await senders_of(tx, world.teams[0], "sms_b")).addresses == NUMBERS


async def test_two_processes_that_lease_at_once_agree_and_give_two_teams_two_numbers(db: Database) -> None:
    world = await of_two_teams(db, 20)
    among = Senders(NUMBERS[:2])
    points = [world.points[id_, "sms"] for id_ in world.subscribers]

    async def lease(team: UUID) -> dict[int, str]:
        wants = [Want(n, point, team, "sms_a", among) for n, point in enumerate(points)]
        return await db.attempt(lambda tx: leased(tx, wants))

    one, same, other = await asyncio.gather(*(lease(world.teams[at]) for at in (0, 0, 1)))
    assert one == same
    assert all(one[n] != other[n] for n in range(20))


def test_numbers_are_dealt_evenly_and_a_taken_one_is_given_only_where_there_is_no_other() -> None:
    among = Senders(NUMBERS)
    dealt = [choose(among, [], uuid4()) for _ in range(300)]
    assert all(60 < dealt.count(number) < 140 for number in NUMBERS)
    assert choose(among, NUMBERS[:2], new_id()) == NUMBERS[2]
    assert choose(among, NUMBERS, new_id()) in NUMBERS


# --- Senders that take no replies ------------------------------------------------------------------


ASKS = {"kind": "consultation", "areas": (ward(1),), "media": ("email", "sms")}


def asks(**changes: object) -> draft.Draft:
    fields = {
        "texts": {"en": ("What matters?", "Tell us what we should do first.")},
        "reply_by": datetime.now(UTC) + timedelta(days=7),
        **ASKS,
        **changes,
    }
    return draft.Draft(**fields)  # type: ignore[arg-type]


def from_a_name(db: Database) -> TextsA:
    texts = TextsA("SouthmereSN")
    share(db, texts)
    return texts


async def test_texts_of_a_message_that_asks_for_replies_cannot_come_from_a_name(db: Database) -> None:
    world = await of_two_teams(db, 2)
    await without_own(db)
    from_a_name(db)
    for changes in ({}, {"kind": "priority_update"}):
        with pytest.raises(Invalid) as refused:
            async with db.transaction() as tx:
                await draft.save(tx, asks(**changes), team=world.teams[0], author=None)
        assert "cannot take replies" in refused.value.fields["media"]
    async with db.transaction() as tx:
        await draft.save(tx, asks(media=("email",)), team=world.teams[0], author=None)
        await add_address(tx, world.teams[0], "sms", NUMBERS[0])
        assert await draft.save(tx, asks(), team=world.teams[0], author=None)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_number_lost_since_the_draft_stops_it_at_preview_and_approval(db: Database) -> None:
    world = await of_two_teams(db, 2)
    async with db.transaction() as tx:
        message = await draft.save(tx, asks(), team=world.teams[0], author=None)
    await without_own(db)
    worker = worker_of(db, from_a_name(db))
    channels, settings = worker.service.channels, worker.service.settings
    async with db.transaction() as tx:
        (shown,) = [p for p in await previews(tx, message, channels, settings) if p.medium is Medium.SMS]
        assert "asks for replies" in shown.problem
        with pytest.raises(Invalid):
            await require_sendable(tx, message, channels, settings)
        with pytest.raises(Conflict, match="cannot take replies"):
            await approve.approve(tx, message, team=world.teams[0], officer=None)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_lost_after_approval_holds_the_texts_for_a_person(db: Database) -> None:
    world = await of_two_teams(db, 2)
    share(db, TextsA())
    message = await publish_of(db, world, 0, reply_by=asks().reply_by)
    await without_own(db)
    texts = from_a_name(db)
    await worker_of(db, texts).drain()
    assert await states(db, message) == {"held": 2}
    async with db.transaction(read_only=True) as tx:
        assert set((await tx.execute(select(Delivery.reason))).scalars()) == {UNANSWERABLE}
    assert texts.sent == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_news_may_come_from_a_name_and_says_how_to_stop_by_a_link(db: Database) -> None:
    world = await of_two_teams(db, 1)
    await without_own(db)
    texts = from_a_name(db)
    await publish_of(db, world, 0)
    await worker_of(db, texts).drain()
    (sent,) = texts.sent
    assert sent.message.sender == "SouthmereSN"
    assert "Reply STOP" not in sent.words.text
    assert "/unsubscribe/" in sent.words.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_deployment_that_lists_no_senders_may_ask_where_its_channel_hears(db: Database) -> None:
    world = await world_of(db, 0)
    await without_own(db)
    async with db.transaction() as tx:
        assert await draft.save(tx, asks(), team=world.teams[0], author=None)
    db.carriers = Carriers({"sms": [Carrier(channel="deaf", weight=1, can_reply=False)], "email": []})
    with pytest.raises(Invalid):
        async with db.transaction() as tx:
            await draft.save(tx, asks(media=("sms",)), team=world.teams[0], author=None)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_text_says_until_when_it_is_of_use_and_mail_does_not(db: Database) -> None:
    world = await of_two_teams(db, 1)
    texts = TextsA()
    share(db, texts)
    await publish_of(db, world, 0)
    await worker_of(db, texts).drain()
    (sent,) = texts.sent
    assert sent.message.good_for_seconds is not None
    assert 23 * 3600 < sent.message.good_for_seconds <= 24 * 3600
