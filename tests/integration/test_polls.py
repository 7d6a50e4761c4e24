"""Channels that must be asked, on both databases: one process asks, nothing is lost or doubled, a fault waits alone."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from channels.base import Event, Incoming, Medium, Progress, Receipt
from channels.errors import CannotPoll
from channels.memory import Memory
from notifier import failpoints
from notifier.db import Database
from notifier.delivery.standing import last_polled
from notifier.delivery.tokens import attempt_token
from notifier.failpoints import FailPointReached
from notifier.inbox import polls
from notifier.models import Delivery, IncomingRow, Poll, ReceiptRow
from notifier.worker import Worker
from tests.integration.ledger import publish, states, world_of
from tests.integration.several import TextsA, worker_of
from tests.providers import until


def text(number: int) -> Incoming:
    return Incoming(
        event_id=f"in-{number}",
        medium=Medium.SMS,
        sender="+447700900555",
        recipient="+447700900801",
        text=f"Hello {number}",
        at=None,
        raw=b"raw",
    )


class Moody(TextsA):
    """Asks are counted; `trouble` is raised by the next ones."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.trouble: list[Exception] = []

    async def poll(self, cursor: str) -> tuple[Sequence[Event], str]:
        self.asked.append(cursor)
        await asyncio.sleep(0)
        if self.trouble:
            raise self.trouble.pop(0)
        return await super().poll(cursor)


async def row_of(db: Database, channel: str = "sms_a") -> Any:
    async with db.transaction(read_only=True) as tx:
        return (await tx.execute(select(Poll.__table__).where(Poll.channel == channel))).one()


async def kept(db: Database) -> list[str]:
    async with db.transaction(read_only=True) as tx:
        return sorted((await tx.execute(select(IncomingRow.event_id))).scalars())


async def make_due(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(Poll).values(next_at=tx.now - timedelta(seconds=1)))


def waits(row: Any) -> float:
    found: float = (row.next_at - datetime.now(UTC)).total_seconds()
    return found


async def test_what_came_is_kept_with_the_cursor_and_asked_for_again_after_a_minute(db: Database) -> None:
    channel = Moody()
    worker = worker_of(db, channel, NOTIFIER_TIME_FACTOR="1")
    channel.receive(text(1), text(2))
    await worker.poll()
    row = await row_of(db)
    assert (await kept(db), row.cursor) == (["in-1", "in-2"], "2")
    assert waits(row) <= 0  # there may be more
    await worker.poll()
    assert channel.asked == ["", "2"]
    assert 55 < waits(await row_of(db)) <= 60
    await worker.poll()
    assert channel.asked == ["", "2"]  # its time has not come
    async with db.transaction(read_only=True) as tx:
        assert await last_polled(tx, "sms_a") is not None


async def test_a_process_that_dies_between_the_answer_and_the_commit_loses_nothing(db: Database) -> None:
    channel = Moody()
    worker = worker_of(db, channel)
    channel.receive(text(1))
    failpoints.arm("C7.before:raise")
    try:
        with pytest.raises(FailPointReached):
            await worker.poll()
    finally:
        failpoints.arm("")
    assert (await kept(db), (await row_of(db)).cursor) == ([], "")
    await worker.poll()
    assert await kept(db) == []  # the dead one has the right to ask a while longer
    channel.receive(text(2))
    await make_due(db)
    await worker.poll()
    assert await kept(db) == ["in-1", "in-2"]
    assert channel.asked == ["", ""]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_events_told_twice_are_kept_once(db: Database) -> None:
    channel = Moody()
    worker = worker_of(db, channel)
    channel.receive(text(1))
    await worker.poll()
    async with db.transaction() as tx:
        await tx.execute(update(Poll).values(cursor="", next_at=tx.now))
    channel.receive(text(2))
    await worker.poll()
    assert await kept(db) == ["in-1", "in-2"]


async def test_of_many_processes_one_asks(db: Database) -> None:
    channel = Moody()
    workers = [worker_of(db, channel, NOTIFIER_TIME_FACTOR="1") for _ in range(4)]
    await asyncio.gather(*(worker.poll() for worker in workers))
    assert channel.asked == [""]


async def test_one_whose_right_ran_out_keeps_nothing(db: Database) -> None:
    async with db.transaction() as tx:
        slow = await polls.take(tx, "sms_a")
    await make_due(db)
    async with db.transaction() as tx:
        quick = await polls.take(tx, "sms_a")
    assert slow is not None
    assert quick is not None
    async with db.transaction() as tx:
        assert not await polls.keep(tx, slow, [text(1)], "1")
        await polls.failed(tx, slow, "too slow")
        assert await polls.keep(tx, quick, [text(1), text(2)], "2")
    row = await row_of(db)
    assert (await kept(db), row.cursor, row.failures) == (["in-1", "in-2"], "2", 0)


async def test_a_channel_that_cannot_be_asked_waits_longer_each_time_and_disturbs_no_other(
    db: Database,
) -> None:
    moody, calm = Moody(), Memory()
    calm.receive(text(7))
    moody.trouble = [CannotPoll(), ValueError("its own fault"), CannotPoll(1200, "too fast"), CannotPoll()]
    worker = worker_of(db, moody, calm, NOTIFIER_TIME_FACTOR="1")
    for failures, at_least, reason in (
        (1, 55, "the provider could not be asked"),
        (2, 115, "asking failed: ValueError"),
        (3, 1195, "too fast"),
        (4, 475, "the provider could not be asked"),
    ):
        await worker.poll()
        row = await row_of(db)
        assert (row.failures, row.reason, row.polled_at) == (failures, reason, None)
        assert at_least < waits(row) <= at_least + 5
        await make_due(db)
    assert await kept(db) == ["in-7"]
    await worker.poll()
    row = await row_of(db)
    assert (row.failures, row.reason) == (0, "")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_receipt_that_is_asked_for_raises_its_delivery(db: Database) -> None:
    world = await world_of(db, 1, media=("sms",), wards=(0,))
    memory = Memory()
    worker = worker_of(db, memory)
    message = await publish(db, world, wards=(0,), media=("sms",))
    await worker.drain()
    async with db.transaction(read_only=True) as tx:
        delivery: int = await tx.scalar(select(Delivery.id))
    memory.receive(
        Receipt(
            event_id="r-1",
            provider_id="memory-1",
            attempt=attempt_token(db.keys, delivery, 1),
            progress=Progress.DELIVERED,
            at=None,
            raw=b"",
        )
    )
    await worker.poll()
    assert await states(db, message) == {"delivered": 1}
    async with db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(ReceiptRow)) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_running_worker_asks_by_itself_and_stops_while_it_asks(db: Database) -> None:
    class Slow(Moody):
        async def poll(self, cursor: str) -> tuple[Sequence[Event], str]:
            found = await super().poll(cursor)
            if cursor:
                await asyncio.sleep(30)
            return found

    channel = Slow()
    channel.receive(text(1))
    worker: Worker = worker_of(db, channel)
    running = asyncio.create_task(worker.run())

    async def asks_again() -> bool:
        return channel.asked[1:] == ["1"]

    try:
        await until(asks_again, seconds=10, what="it asks with the cursor it was told")
        assert await kept(db) == ["in-1"]
    finally:
        worker.stop()
        async with asyncio.timeout(10):
            await running
