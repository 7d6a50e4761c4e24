"""Workers that stand still, are stopped in order, share a message, or give way to a newer version."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import select, text

from notifier.engine import OUR_NAME
from notifier.models import Attempt, Delivery, DeliveryState
from tests.faults.drill import QUICK, Drill, drill, sender
from tests.faults.forker import Forked, Forker
from tests.faults.plugin import Line, Size
from tests.providers import Providers, until
from tests.servers import RedisServer

SLOTS, ROWS_A_SLOT = 4, 5
LONGEST_STOP_SECONDS = 30

New = Callable[[str], str]
Record = Callable[[Line], None]


async def some_went_out(stage: Drill, number: int) -> None:
    """Wait until so many more were taken."""
    enough = len(stage.ends.accepted()) + number
    await until(lambda: len(stage.ends.accepted()) >= enough, seconds=40, what=f"{number} more went out")


@pytest.mark.once_on("postgresql")
async def test_a_worker_that_stood_still_past_its_lease_sends_nothing_more(
    kind: str,
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    record_fault: Record,
) -> None:
    """On SQLite it is the only sender, so that its leases run out while nobody takes its place."""
    url = new_durable_database(kind)
    async with drill(url, far_ends, 60) as stage:
        await stage.publish()
        frozen = sender(forker, far_ends, url, tmp_path / "frozen.log", factor=QUICK)
        other = sender(forker, far_ends, url, tmp_path / "other.log", factor=QUICK)
        try:
            frozen.start()
            await some_went_out(stage, 40)
            frozen.freeze()
            if kind == "postgresql":
                other.start()
                await stage.over(said=[other])
            else:
                await asyncio.sleep(1)
            before = len(far_ends.accepted())
            frozen.thaw()
            seconds = await stage.over(said=[frozen])
            await asyncio.sleep(0.5)
            late = len(far_ends.accepted()) - before
        finally:
            frozen.kill()
            other.kill()
        found = await stage.history()
    bound = SLOTS * ROWS_A_SLOT
    record_fault(found.line("F3 SIGSTOP", kind, bound=bound, seconds=seconds))
    found.judge(bound=bound)
    if kind == "postgresql":
        assert late <= bound, "what it had started may still arrive; what it had only claimed may not"


async def test_rows_that_a_process_locked_before_it_stood_still_come_free(
    new_durable_database: New, far_ends: Providers
) -> None:
    """What it locks in the midst of a transaction, nobody can sweep: PostgreSQL ends its session."""
    url = new_durable_database("postgresql")
    async with drill(url, far_ends, 0) as stage, stage.db.transaction(read_only=True) as tx:
        shown = await tx.scalar(text("SHOW idle_in_transaction_session_timeout"))
    assert shown == "10s", "less than the lease of a bulk row, and no more than that of an alert"


async def test_rows_locked_by_a_process_that_stood_still_within_a_statement_come_free(
    new_durable_database: New, far_ends: Providers
) -> None:
    """It has announced a statement whose values never come: PostgreSQL's own time-outs do not see that."""
    url = new_durable_database("postgresql")
    ours = {"application_name": OUR_NAME}
    async with drill(url, far_ends, 1) as stage:
        async with ended(await asyncpg.connect(url, server_settings=ours)) as standing:
            await standing.execute("BEGIN; SELECT 1 FROM contact_points FOR UPDATE")
            await standing.prepare("SELECT $1::int")
            async with (
                ended(await asyncpg.connect(url)) as stranger,
                ended(await asyncpg.connect(url, server_settings=ours)) as busy,
            ):
                await stranger.execute("BEGIN")
                await stranger.prepare("SELECT $1::int")
                works = asyncio.create_task(busy.fetchval("SELECT 5 FROM pg_sleep(1)"))
                await asyncio.sleep(0.5)
                assert await stage.db.end_standing() == 0, "it may be about to go on"
                assert await stage.db.end_standing(seconds=0.4) == 1
                assert await works == 5, "who works is left alone"
                assert await stranger.fetchval("SELECT 6") == 6, "so is who is none of ours"
        async with stage.db.transaction() as tx:
            await tx.execute(text("SELECT 1 FROM contact_points FOR UPDATE NOWAIT"))


@asynccontextmanager
async def ended(connection: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """However it stands."""
    try:
        yield connection
    finally:
        connection.terminate()


@pytest.mark.once_on("sqlite")
async def test_an_orderly_stop_finishes_what_it_started_and_gives_back_the_rest(
    kind: str,
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    size: Size,
    record_fault: Record,
) -> None:
    url, people = new_durable_database(kind), size(80, 5000)
    async with drill(url, far_ends, people) as stage:
        await stage.publish()
        worker = sender(forker, far_ends, url, tmp_path / "work.log")
        try:
            longest = 0.0
            for _ in range(3):
                worker.start()
                await some_went_out(stage, 25)
                began = time.monotonic()
                assert await worker.stop(LONGEST_STOP_SECONDS) == 0, worker.said()
                longest = max(longest, time.monotonic() - began)
                stopped = await stage.history()
                assert set(stopped.states) <= {"pending", "accepted"}
            worker.start()
            await stage.over(seconds=100, said=[worker])
        finally:
            worker.kill()
        found = await stage.history()
    record_fault(found.line("F4 SIGTERM", kind, bound=0, seconds=longest, note="seconds: longest stop"))
    found.judge(bound=0)
    assert not found.flagged


async def owners(stage: Drill) -> Counter[str]:
    """How many attempts each process made."""
    async with stage.db.transaction(read_only=True) as tx:
        rows = await tx.execute(select(Attempt.owner).join(Delivery, Delivery.id == Attempt.delivery_id))
        return Counter(rows.scalars())


async def test_four_workers_share_one_message_without_overlap_and_are_replaced_one_by_one(
    new_durable_database: New,
    redis_server: RedisServer,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    size: Size,
    record_fault: Record,
) -> None:
    url, people = new_durable_database("postgresql"), size(300, 5000)
    async with drill(url, far_ends, people, redis_url=redis_server.url) as stage:

        def worker(name: str) -> Forked:
            return sender(forker, far_ends, url, tmp_path / f"{name}.log", redis_url=redis_server.url)

        old, new = [worker(f"old{i}") for i in range(4)], [worker(f"new{i}") for i in range(4)]
        try:
            for process in old:
                process.start()
            await stage.publish()
            for leaving, coming in zip(old, new, strict=True):
                await some_went_out(stage, 20)
                coming.start()
                assert await leaving.stop(LONGEST_STOP_SECONDS) == 0, leaving.said()
            seconds = await stage.over(seconds=100, said=new)
        finally:
            for process in [*old, *new]:
                process.kill()
        found = await stage.history()
        by_owner = await owners(stage)
    record_fault(found.line("F4 rolling restart of 4", "postgresql", bound=0, seconds=seconds))
    found.judge(bound=0)
    assert {entry.tries for entry in found.ledger.values()} == {1}
    assert found.states == {DeliveryState.ACCEPTED: len(found.ledger)}
    assert len([number for number in by_owner.values() if number >= 5]) >= 4, by_owner
