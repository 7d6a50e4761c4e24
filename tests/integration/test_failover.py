"""Failover between two channels that carry texts, on both databases: judged by what each of them took."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, event, insert, select, update

from channels.base import Failed, Outcome, Outgoing, Unknown
from notifier.broadcast.notices import notice
from notifier.db import Database
from notifier.delivery import holds, proof
from notifier.delivery.failover import Moved, detours, groups, move_page
from notifier.models import (
    Attempt,
    BreakerRow,
    BreakerState,
    Delivery,
    DeliveryEvent,
    HoldScope,
    Message,
    MessageState,
    NoticeKind,
    TeamContactPoint,
)
from notifier.web.desk.banner import banner
from tests.integration.ledger import publish, states, world_of
from tests.integration.several import TextsA, TextsB, column, share, worker_of
from tests.world import World

HOUR, PEOPLE = timedelta(hours=1), 30


class Away(TextsA):
    """Cannot be reached; with `answers_late` it takes every message and nobody hears of it."""

    answers_late = False

    async def send(self, message: Outgoing) -> Outcome:
        if self.answers_late:
            await super().send(message)
            return Unknown(reason="no answer in time")
        return Failed(reason="no connection", code="connection")


class AwayToo(TextsB):
    is_away = True

    async def send(self, message: Outgoing) -> Outcome:
        return (
            Failed(reason="no connection", code="connection") if self.is_away else await super().send(message)
        )


async def texts_to(db: Database, people: int = PEOPLE) -> World:
    return await world_of(db, people, wards=(0,), media=("sms",))


async def publish_texts(db: Database, world: World, **changes: object) -> UUID:
    found: UUID = await publish(db, world, wards=(0,), media=("sms",), **changes)
    return found


async def shut(db: Database, channel: str = "sms_a", *, since: timedelta = HOUR) -> None:
    """Its breaker is open, and it is not yet time for a probe."""
    async with db.transaction() as tx:
        row = {"channel": channel, "domain": "", "state": BreakerState.OPEN, "recent": "x" * 20}
        times = {"opened_at": tx.now - since, "probe_at": tx.now + HOUR}
        await tx.execute(insert(BreakerRow).values(**row, **times, wait_seconds=300.0))


async def prove(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger agrees with its record, row by row."""
    monkeypatch.setattr(proof, "BEFORE_READING_AGAIN", 0)
    assert not (await proof.prove(lambda: db.transaction(read_only=True))).by_kind


async def test_what_a_channel_that_is_away_could_not_take_goes_by_the_other_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await texts_to(db)
    a, b = Away(), TextsB()
    share(db, a, b)
    message = await publish_texts(db, world)
    worker = worker_of(db, a, b, NOTIFIER_TIME_FACTOR="1")
    await worker.drain()
    assert (await states(db, message))["pending"] == PEOPLE
    moved = await worker.fail_over()
    await worker.drain()
    assert moved == PEOPLE
    assert await states(db, message) == {"accepted": PEOPLE}
    assert a.sent == []
    assert Counter(sent.to for sent in b.sent) == Counter(world.addresses[p] for p in world.points.values())
    assert {sent.message.sender for sent in b.sent} <= {each.address for each in b.senders}
    said = await column(db, DeliveryEvent.detail, DeliveryEvent.delivery_id == Delivery.id)
    assert set(said) == {"from sms_a to sms_b: out of order; tried again soon"}
    assert len(said) == PEOPLE
    assert await worker.fail_over() == 0
    await prove(db, monkeypatch)


async def test_what_may_have_arrived_stays_and_only_the_rest_goes_by_the_other(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await texts_to(db, 60)
    a, b = Away(), TextsB()
    a.answers_late = True
    share(db, a, b)
    message = await publish_texts(db, world)
    worker = worker_of(db, a, b, NOTIFIER_TIME_FACTOR="1", NOTIFIER_SLOTS="2")
    await worker.drain()
    taken = {sent.to for sent in a.sent}
    assert 5 <= len(taken) < 40  # then its breaker opened
    assert await worker.fail_over() == 60 - len(taken)
    await worker.drain()
    assert await states(db, message) == {"accepted": 60 - len(taken), "in_doubt": len(taken)}
    assert set(await column(db, Delivery.channel, Delivery.state == "in_doubt")) == {"sms_a"}
    everybody = Counter([*taken, *(sent.to for sent in b.sent)])
    assert everybody == Counter(world.addresses[p] for p in world.points.values())
    await prove(db, monkeypatch)


async def test_while_both_are_away_nothing_moves_and_nothing_is_lost(db: Database) -> None:
    world = await texts_to(db)
    a, b = Away(), AwayToo()
    share(db, a, b, weights={"sms_a": 1, "sms_b": 1})
    message = await publish_texts(db, world)
    worker = worker_of(db, a, b, NOTIFIER_TIME_FACTOR="1")
    await worker.drain()
    assert await worker.fail_over() == 0
    assert await states(db, message) == {"pending": PEOPLE}
    b.is_away = False
    async with db.transaction() as tx:
        await tx.execute(delete(BreakerRow).where(BreakerRow.channel == "sms_b"))
        await tx.execute(update(Delivery).values(due_at=tx.now))
    assert await worker.fail_over() > 0
    await worker.drain()
    assert await states(db, message) == {"accepted": PEOPLE}
    assert len(b.sent) == PEOPLE


async def test_an_alert_moves_at_once_and_before_everything_else(db: Database) -> None:
    world = await texts_to(db, 6)
    share(db, TextsA(), TextsB())
    alert = await publish_texts(db, world, kind="alert")
    news = await publish_texts(db, world, kind="news")
    await shut(db, since=timedelta(seconds=30))
    worker = worker_of(db, TextsA(), TextsB(), NOTIFIER_FAILOVER_AFTER="120", NOTIFIER_TIME_FACTOR="1")
    assert await worker.fail_over() == 6
    assert set(await column(db, Delivery.channel, Delivery.message_id == alert)) == {"sms_b"}
    assert set(await column(db, Delivery.channel, Delivery.message_id == news)) == {"sms_a"}
    async with db.transaction() as tx:
        await tx.execute(update(BreakerRow).values(opened_at=tx.now - timedelta(seconds=121)))
        await tx.execute(update(Delivery).values(channel="sms_a"))
        found = await detours(tx)
        order = [group.message for group in await groups(tx, found, bulk=False, after=HOUR)]
        order += [group.message for group in await groups(tx, found, bulk=True, after=timedelta(seconds=120))]
    assert [each for each in order if each] == [alert, news]


async def test_a_channel_held_by_hand_hands_over_and_notices_move_too(db: Database) -> None:
    world = await texts_to(db, 3)
    a, b = TextsA(), TextsB()
    share(db, a, b)
    async with db.transaction() as tx:
        point = world.points[world.subscribers[0], "sms"]
        await notice(
            tx, point, kind=NoticeKind.HELP, template="help", variables={"from_number": a.senders[1].address}
        )
        await holds.place(tx, HoldScope.CHANNEL, "sms_a", reason="Their bill is in dispute.", by="test")
    worker = worker_of(db, a, b)
    assert await worker.fail_over() == 1
    await worker.drain()
    (sent,) = b.sent
    assert sent.message.sender == b.senders[0].address  # the other's number is not its to use
    assert a.sent == []


async def test_what_may_be_a_repeat_or_is_somebodys_stays_where_it_is(db: Database) -> None:
    world = await texts_to(db, 8)
    share(db, TextsA(), TextsB())
    await publish_texts(db, world)
    ids = await column(db, Delivery.id)
    async with db.transaction() as tx:
        theirs = {"owner": "other", "lease_until": tx.now + HOUR}
        changes: list[dict[str, object]] = [
            {"maybe_repeat": True},
            {"state": "leased", **theirs},
            {"state": "started", **theirs},
            {"state": "in_doubt"},
            {"digest": "daily"},
        ]
        for id_, values in zip(ids, changes, strict=False):
            await tx.execute(update(Delivery).where(Delivery.id == id_).values(**values))
        ended = {"unknown": ids[5], "failed": ids[6]}
        for outcome, id_ in ended.items():
            attempt = {"delivery_id": id_, "number": 1, "started_at": tx.now, "owner": "other"}
            await tx.execute(insert(Attempt).values(**attempt, outcome=outcome, became="pending"))
    await shut(db)
    worker = worker_of(db, TextsA(), TextsB())
    assert await worker.fail_over() == 2
    assert await column(db, Delivery.id, Delivery.channel == "sms_b") == [ids[6], ids[7]]
    async with db.transaction() as tx:
        denied = {"delivery_id": ids[5], "at": tx.now, "kind": "not_taken", "detail": "", "number": 1}
        await tx.execute(insert(DeliveryEvent).values(**denied, state="pending"))
    assert await worker_of(db, TextsA(), TextsB()).fail_over() == 1
    assert ids[5] in await column(db, Delivery.id, Delivery.channel == "sms_b")


async def test_what_is_not_due_keeps_its_time_and_what_was_put_back_is_due_at_once(db: Database) -> None:
    world = await texts_to(db, 3)
    share(db, TextsA(), TextsB())
    message = await publish_texts(db, world)
    put_back, tried, quiet = await column(db, Delivery.id)
    async with db.transaction() as tx:
        later = {"due_at": tx.now + HOUR}
        for id_, values in (
            (put_back, {"reason": "sms_a takes nothing now"}),
            (tried, {"reason": "no connection", "tries": 1}),
            (quiet, {"reason": "quiet hours: until tomorrow"}),
        ):
            await tx.execute(update(Delivery).where(Delivery.id == id_).values(**later, **values))
        await tx.execute(
            update(Message)
            .where(Message.id == message)
            .values(state=MessageState.SCHEDULED, send_at=tx.now + HOUR)
        )
    await shut(db)
    assert await worker_of(db, TextsA(), TextsB()).fail_over() == 0  # not before it goes out
    async with db.transaction() as tx:
        await tx.execute(update(Message).values(state=MessageState.SENDING))
    assert await worker_of(db, TextsA(), TextsB()).fail_over() == 3
    now = datetime.now(UTC) + timedelta(seconds=1)
    assert await column(db, Delivery.id, Delivery.due_at <= now) == [put_back, tried]
    assert await column(db, Delivery.reason) == [None, None, "quiet hours: until tomorrow"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_message_that_asks_for_replies_does_not_go_by_a_name(db: Database) -> None:
    world = await texts_to(db, 2)
    async with db.transaction() as tx:
        await tx.execute(delete(TeamContactPoint))
    share(db, TextsA(), TextsB("SouthmereSN"))
    asks = await publish_texts(db, world, reply_by=datetime.now(UTC) + timedelta(days=3))
    tells = await publish_texts(db, world)
    await shut(db)
    assert await worker_of(db, TextsA(), TextsB()).fail_over() == 2
    assert set(await column(db, Delivery.channel, Delivery.message_id == asks)) == {"sms_a"}
    assert set(await column(db, Delivery.channel, Delivery.message_id == tells)) == {"sms_b"}


async def test_pages_are_walked_by_two_processes_at_once_and_each_row_moves_once(db: Database) -> None:
    world = await texts_to(db, 40)
    share(db, TextsA(), TextsB())
    await publish_texts(db, world)
    await shut(db)
    async with db.transaction() as tx:
        (group,) = [
            each
            for each in await groups(tx, await detours(tx), bulk=True, after=timedelta())
            if each.message is not None
        ]

    async def walk() -> int:
        page: Moved = await db.attempt(lambda tx: move_page(tx, group, page=7))
        moved = page.number
        while (cursor := page.cursor) is not None:
            page = await db.attempt(lambda tx, at=cursor: move_page(tx, group, at, page=7))  # type: ignore[misc]
            moved += page.number
        return moved

    numbers = await asyncio.gather(walk(), walk())
    assert sum(numbers) <= 40
    sum_of_all = sum(numbers) + await walk()
    assert (
        sum_of_all == 40 == len(await column(db, DeliveryEvent.id, DeliveryEvent.delivery_id == Delivery.id))
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_it_stays_there_when_the_first_works_again_and_new_ones_go_by_the_first(db: Database) -> None:
    world = await texts_to(db, 4)
    a, b = TextsA(), TextsB()
    share(db, a, b)
    await publish_texts(db, world)
    await shut(db)
    worker = worker_of(db, a, b)
    assert await worker.fail_over() == 4
    async with db.transaction() as tx:
        await tx.execute(delete(BreakerRow))
    assert await worker.fail_over() == 0
    await publish_texts(db, world, kind="news")
    await worker.drain()
    assert (len(a.sent), len(b.sent)) == (4, 4)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_channel_for_each_medium_asks_nothing(db: Database) -> None:
    asked: list[str] = []
    event.listen(
        db.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: asked.append(statement),
    )
    worker = worker_of(db, TextsA())
    assert not worker._detours.is_wanted
    assert await worker.fail_over() == 0
    assert not [statement for statement in asked if "breakers" in statement]


async def test_a_channel_due_for_a_probe_keeps_what_it_probes_with(db: Database) -> None:
    world = await texts_to(db, 2)
    share(db, TextsA(), TextsB())
    await publish_texts(db, world)
    await shut(db)
    async with db.transaction() as tx:
        await tx.execute(update(BreakerRow).values(probe_at=tx.now))
        assert await detours(tx) == []
        shut_now = select(BreakerRow.channel)
        assert (await tx.execute(shut_now)).scalars().all() == ["sms_a"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_desk_says_that_texts_go_another_way(db: Database) -> None:
    share(db, TextsA(), TextsB())
    await shut(db)
    async with db.transaction(read_only=True) as tx:
        said = await banner(tx, None)
    assert said is not None
    assert [line[0] for line in said.lines] == ["Text messages go out another way just now."]
    await shut(db, "sms_b")
    async with db.transaction(read_only=True) as tx:
        said = await banner(tx, None)
    assert said is not None
    assert [line[0] for line in said.lines] == ["Text messages are not going out just now."] * 2
