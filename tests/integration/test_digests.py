"""Digests: one for each person, found again when lost, the same whoever runs them. On both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update

from channels.memory import Memory
from notifier.broadcast import digest, recall
from notifier.db import Database
from notifier.delivery.hours import last_closing
from notifier.models import Delivery, DeliveryEvent, Message, Notice, Run
from notifier.worker import Worker
from subscribers.models import Frequency
from tests.integration.ledger import digests_until, publish, states, world_of
from tests.world import World

LONDON = ZoneInfo("Europe/London")
SECOND = timedelta(seconds=1)


async def soon(db: Database) -> datetime:
    async with db.transaction(read_only=True) as tx:
        return tx.now + SECOND


async def waiting(db: Database, people: int, frequency: Frequency = Frequency.DAILY) -> World:
    """A world in which everybody waits for a digest with one message."""
    world = await world_of(db, people, media=("email",), frequency=frequency, wards=(0,))
    await publish(db, world, wards=(0,))
    return world


async def test_a_person_of_two_wards_and_two_addresses_gets_one_digest_by_email(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 1, frequency=Frequency.WEEKLY, second_ward=True)
    first = await publish(db, world, wards=(0,))
    second = await publish(db, world, wards=(1,), texts={"en": ("Bike marking", "On Saturday.")})
    assert await digests_until(db, worker, await soon(db)) == 1
    await worker.drain()
    (sent,) = memory.sent
    assert sent.to == world.addresses[world.points[world.subscribers[0], "email"]]
    assert sent.words.text.count("Patrols tonight") == sent.words.text.count("Bike marking") == 1
    for message in (first, second):
        assert await states(db, message) == {"accepted": 2}


async def test_a_run_that_was_lost_is_made_once_up_when_next_looked_for(
    db: Database, worker: Worker, memory: Memory
) -> None:
    await waiting(db, 3)
    async with db.transaction() as tx:
        closing = last_closing(Frequency.DAILY, tx.now, LONDON)
        await tx.execute(update(Delivery).values(due_at=closing - timedelta(days=2)))
    await worker.gather_digests()
    await worker.gather_digests()
    await worker.drain()
    assert len(memory.sent) == 3
    async with db.transaction(read_only=True) as tx:
        runs = {row.name: row for row in await tx.execute(select(Run.__table__))}
        day = closing.astimezone(LONDON).date().isoformat()
        assert runs[f"digest:daily:{day}"].result == "3"
        assert all(run.finished_at for run in runs.values())


async def test_a_run_killed_half_way_is_carried_on_where_it_was(
    db: Database, worker: Worker, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "PAGE", 2)
    await waiting(db, 5)
    until = await soon(db)
    async with db.transaction() as tx:
        assert await digest.plan_page(tx, worker.service.settings, until=until) == digest.Step(
            digests=2, done=False
        )
    with pytest.raises(ZeroDivisionError):
        await _killed_before_commit(db, worker, until)
    assert await digests_until(db, worker, until) == 3
    await worker.drain()
    assert len({sent.to for sent in memory.sent}) == len(memory.sent) == 5


async def _killed_before_commit(db: Database, worker: Worker, until: datetime) -> None:
    async with db.transaction() as tx:
        await digest.plan_page(tx, worker.service.settings, until=until)
        raise ZeroDivisionError


async def test_two_processes_make_each_digest_once(
    db: Database,
    database_url: str,
    open_database: Callable[[str], Awaitable[Database]],
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digest, "PAGE", 3)
    await waiting(db, 10)
    until = await soon(db)
    other = await open_database(database_url)
    made = await asyncio.gather(*(digests_until(each, worker, until) for each in (db, other, other)))
    assert sum(made) == 10
    async with db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(Notice)) == 10
        assert await tx.scalar(select(func.count()).where(Delivery.digest_notice_id.is_not(None))) == 10


async def test_paused_words_wait_for_the_next_run_and_useless_ones_are_left_out(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await waiting(db, 2)
    paused = await publish(db, world, wards=(0,), texts={"en": ("Paused", "Not yet.")})
    useless = await publish(db, world, wards=(0,), texts={"en": ("Meeting at noon", "Come.")})
    async with db.transaction() as tx:
        await recall.pause(tx, paused, team=world.teams[0])
        await tx.execute(update(Message).where(Message.id == useless).values(expires_at=tx.now))
    assert await digests_until(db, worker, await soon(db)) == 2
    assert await states(db, useless) == {"expired": 2}
    async with db.transaction() as tx:
        assert set((await tx.execute(select(DeliveryEvent.kind))).scalars()) == {"expired"}
        await recall.resume(tx, paused, team=world.teams[0])
    assert await digests_until(db, worker, await soon(db) + SECOND) == 2
    await worker.drain()
    texts = sorted(sent.words.text for sent in memory.sent)
    assert [("Paused" in text, "Patrols" in text) for text in texts].count((True, False)) == 2
    assert not any("Meeting at noon" in text for text in texts)


async def test_a_message_stopped_after_the_digest_was_planned_does_not_leave_in_it(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await waiting(db, 1)
    wrong = await publish(db, world, wards=(0,), texts={"en": ("Wrong day", "Not on Monday.")})
    paused = await publish(db, world, wards=(0,), texts={"en": ("Paused", "Not yet.")})
    assert await digests_until(db, worker, await soon(db)) == 1
    async with db.transaction() as tx:
        await recall.cancel(tx, wrong, team=world.teams[0])
        await recall.pause(tx, paused, team=world.teams[0])
    await worker.drain()
    (sent,) = memory.sent
    assert "Patrols tonight" in sent.words.text
    assert "Wrong day" not in sent.words.text
    assert "Paused" not in sent.words.text
    assert await states(db, wrong) == {"cancelled": 1}
    assert await states(db, paused) == {"pending": 1}
    async with db.transaction() as tx:
        await recall.resume(tx, paused, team=world.teams[0])
    assert await digests_until(db, worker, await soon(db) + SECOND) == 1
    async with db.transaction() as tx:
        await recall.cancel(tx, paused, team=world.teams[0])
    await worker.drain()
    assert len(memory.sent) == 1, "a digest in which nothing is left does not go out"
    assert await states(db, paused) == {"cancelled": 1}


async def test_what_comes_in_during_a_run_waits_for_the_next(db: Database, worker: Worker) -> None:
    world = await waiting(db, 1)
    until = await soon(db)
    async with db.transaction() as tx:
        assert (await digest.plan_page(tx, worker.service.settings, until=until)).digests == 1
        await tx.execute(update(Run).values(finished_at=None, result="0"))
    late = await publish(db, world, wards=(0,), texts={"en": ("Late", "It came late.")})
    async with db.transaction() as tx:
        await tx.execute(update(Delivery).where(Delivery.message_id == late).values(due_at=until - SECOND))
    assert await digests_until(db, worker, until) == 0
    assert await digests_until(db, worker, until + SECOND) == 1
