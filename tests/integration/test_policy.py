"""Quiet hours and limits at the mark, on both databases: put off once, with the reason, and never lost."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Row, select, update

from channels.memory import Memory
from channels.registry import Channels
from notifier import config
from notifier.broadcast.notices import notice
from notifier.db import Database
from notifier.delivery.claim import claim
from notifier.delivery.hours import end_of_quiet, hours_in
from notifier.delivery.mark import mark
from notifier.delivery.policy import Rules
from notifier.models import Delivery, DeliveryEvent, Lane, Message, NoticeKind
from notifier.runtime import Service
from notifier.worker import Worker
from subscribers.models import Subscriber
from tests.integration.ledger import digests_until, publish, states, world_of
from tests.world import World

LONDON = ZoneInfo("Europe/London")
HOUR = timedelta(hours=1)
Kept = Callable[..., Worker]


@pytest.fixture
def keeps(db: Database, memory: Memory) -> Kept:
    """A worker that keeps these rules."""

    def made(**rules: str) -> Worker:
        variables = {f"NOTIFIER_{name.upper()}": value for name, value in rules.items()}
        fast = {"NOTIFIER_CHANNELS": "memory", "NOTIFIER_TIME_FACTOR": "0.0001"}
        environment = config.build(fast | variables)
        service = Service(environment=environment, db=db, channels=Channels([memory]))
        return Worker(service, db.jobs)

    return made


async def hours_around_now(db: Database) -> str:
    async with db.transaction(read_only=True) as tx:
        start, end = ((tx.now + each * HOUR).astimezone(LONDON) for each in (-1, 2))
    return f"{start:%H:%M}-{end:%H:%M}"


async def rows_of(db: Database, message: UUID) -> list[Row[Any]]:
    async with db.transaction(read_only=True) as tx:
        found = await tx.execute(
            select(Delivery.__table__).where(Delivery.message_id == message).order_by(Delivery.id)
        )
        return list(found)


async def events_of(db: Database) -> list[tuple[str, str]]:
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(select(DeliveryEvent.kind, DeliveryEvent.detail).order_by(DeliveryEvent.id))
        return [(row.kind, row.detail) for row in rows]


async def due_now(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(Delivery).values(due_at=tx.now))


async def change(db: Database, world: World, **values: object) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(Subscriber).where(Subscriber.id == world.subscribers[0]).values(**values))


async def test_texts_wait_for_the_end_of_quiet_hours_and_say_so_once(
    db: Database, keeps: Kept, memory: Memory
) -> None:
    hours = await hours_around_now(db)
    worker = keeps(quiet_hours=f"sms={hours}")
    world = await world_of(db, 1)
    message = await publish(db, world, wards=(0,))
    for _ in range(3):
        await worker.drain()
        await due_now(db)
    await worker.drain()
    assert [sent.to for sent in memory.sent] == [world.addresses[world.points[world.subscribers[0], "email"]]]
    (text,) = [row for row in await rows_of(db, message) if row.state == "pending"]
    assert text.due_at == end_of_quiet([hours_in(hours)], text.due_at - HOUR, LONDON)
    assert (text.tries, text.lease_until, text.owner) == (0, None, None)
    ((kind, detail),) = await events_of(db)
    assert kind == "later"
    assert detail.startswith("quiet hours: it waits until")
    assert text.reason == detail
    alert = await publish(db, world, wards=(0,), kind="alert", media=("sms",))
    await worker.drain()
    assert await states(db, alert) == {"accepted": 1}


async def test_a_person_s_own_quiet_hours_hold_back_every_medium_but_not_answers(
    db: Database, keeps: Kept, memory: Memory
) -> None:
    hours = hours_in(await hours_around_now(db))
    world = await world_of(db, 2)
    await change(db, world, quiet_from=hours.start, quiet_until=hours.end)
    message = await publish(db, world, wards=(0, 1))
    async with db.transaction() as tx:
        await notice(
            tx,
            world.points[world.subscribers[0], "email"],
            kind=NoticeKind.HELP,
            template="help",
            variables={"manage_url": ""},
        )
    await keeps().drain()
    assert await states(db, message) == {"accepted": 2, "pending": 2}
    assert len(memory.sent) == 3


async def test_a_message_that_is_useless_by_the_end_of_quiet_hours_expires_and_says_why(
    db: Database, keeps: Kept
) -> None:
    world = await world_of(db, 1, media=("sms",))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        await tx.execute(update(Message).values(expires_at=tx.now + HOUR))
    await keeps(quiet_hours=f"sms={await hours_around_now(db)}").drain()
    (row,) = await rows_of(db, message)
    assert row.state == "expired"
    assert "and by then its time has passed" in row.reason


async def test_a_recorded_reason_overrides_quiet_hours_and_limits(
    db: Database, keeps: Kept, memory: Memory
) -> None:
    world = await world_of(db, 1, media=("sms",))
    await change(db, world, weekly_limit=1)
    await publish(db, world, wards=(0,))
    second = await publish(db, world, wards=(0,), texts={"en": ("Flood", "Move your car.")})
    async with db.transaction() as tx:
        reason = {"override_reason": "The river rises tonight."}
        await tx.execute(update(Message).where(Message.id == second).values(**reason))
    await keeps(quiet_hours=f"sms={await hours_around_now(db)}", texts_a_day="1").drain()
    assert await states(db, second) == {"accepted": 1}
    assert len(memory.sent) == 1


async def test_beyond_the_weekly_limit_messages_join_the_weekly_digest(
    db: Database, keeps: Kept, memory: Memory
) -> None:
    worker = keeps(weekly_limit="2")
    world = await world_of(db, 1)
    messages = [
        await publish(db, world, wards=(0,), texts={"en": (f"News {number}", "Words.")})
        for number in range(4)
    ]
    await worker.drain()
    sent = [(await states(db, message))["accepted"] for message in messages]
    assert sorted(sent) == [0, 0, 2, 2], "two messages by email and by text, the others by neither"
    (left, _) = [message for message, number in zip(messages, sent, strict=True) if not number]
    for row in await rows_of(db, left):
        assert (row.state, row.digest) == ("pending", "weekly")
        assert row.reason.startswith("weekly limit: they had 2 messages in seven days, so it joins")
    assert {kind for kind, _ in await events_of(db)} == {"digest"}
    alert = await publish(db, world, wards=(0,), kind="alert")
    await worker.drain()
    assert await states(db, alert) == {"accepted": 2}
    async with db.transaction(read_only=True) as tx:
        until = tx.now
    assert await digests_until(db, worker, until) == 1
    await worker.drain()
    assert await states(db, left) == {"accepted": 2}
    assert sum("News" in sent.words.text for sent in memory.sent) == 5


async def test_texts_beyond_the_day_s_limit_wait_for_the_morning(
    db: Database, keeps: Kept, memory: Memory
) -> None:
    worker = keeps(texts_a_day="1")
    world = await world_of(db, 2)
    first = await publish(db, world, wards=(0, 1))
    await worker.drain()
    second = await publish(db, world, wards=(0, 1), texts={"en": ("More", "Words.")})
    async with db.transaction() as tx:  # whatever the hour, tomorrow morning is not too late for it
        await tx.execute(update(Delivery).values(expires_at=tx.now + 48 * HOUR))
    await worker.drain()
    assert await states(db, first) == {"accepted": 4}
    assert await states(db, second) == {"accepted": 2, "pending": 2}
    async with db.transaction(read_only=True) as tx:
        tomorrow = tx.now.astimezone(LONDON).date() + timedelta(days=1)
    for row in await rows_of(db, second):
        if row.state == "pending":
            assert row.due_at.astimezone(LONDON) == datetime.combine(
                tomorrow, datetime.min.time(), tzinfo=LONDON
            ).replace(hour=8)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
async def test_two_workers_at_once_do_not_exceed_a_limit(db: Database) -> None:
    world = await world_of(db, 1, media=("email",))
    for number in range(4):
        await publish(db, world, wards=(0,), texts={"en": (f"News {number}", "Words.")})
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 10, "one")

    async def started(row: Any) -> int:
        async with db.transaction() as tx:
            return len(await mark(tx, [row], "one", timeout_seconds=10, rules=Rules(weekly_limit=2)))

    assert sum(await asyncio.gather(*(started(row) for row in rows))) == 2
