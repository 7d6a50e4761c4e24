"""SIGKILL in the middle of a message, again and again: none lost, repeats within the bound and flagged.

The oracle is what the fake providers logged as accepted, not what the ledger believes.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from notifier.broadcast import approve, draft, report
from notifier.db import Database
from notifier.models import Delivery
from tests.processes import free_port
from tests.providers import Notifier, Providers, database, providers, until
from tests.servers import RedisServer
from tests.world import World, make_people, make_places, ward

PEOPLE, KILLS, SLOTS, ROWS_A_SLOT = 200, 4, 4, 5
DRILL = {"NOTIFIER_TIME_FACTOR": "0.005", "NOTIFIER_SLOTS": str(SLOTS)}


@pytest.fixture
async def far_ends() -> AsyncIterator[Providers]:
    async with providers() as ends:
        yield ends


async def publish(db: Database) -> tuple[World, UUID]:
    """200 people in two wards, each by mail and by text."""
    async with db.transaction() as tx:
        world = await make_places(tx)
        await make_people(tx, world, PEOPLE, wards=(0, 1))
    async with db.transaction() as tx:
        written = draft.Draft(
            kind="priority_update",
            texts={"en": ("Patrols tonight", "We will be in the park from 6pm.")},
            areas=(ward(0), ward(1)),
            media=("email", "sms", "social"),
        )
        message = await draft.save(tx, written, team=world.teams[0], author=None)
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    return world, message


@asynccontextmanager
async def killed_again_and_again(workers: list[Notifier], far_ends: Providers) -> AsyncIterator[None]:
    """Start the workers, kill one after the other as the message goes out, and leave them running."""
    try:
        for worker in workers:
            worker.start()
        for number in range(KILLS):
            seen = len(far_ends.accepted())
            await until(
                lambda seen=seen: len(far_ends.accepted()) >= seen + 60,
                seconds=40,
                what=f"60 more, kill {number}",
            )
            victim = workers[number % len(workers)]
            victim.kill()
            victim.start()
        yield
    finally:
        for worker in workers:
            worker.kill()


async def is_over(db: Database, message: UUID) -> bool:
    async with db.transaction(read_only=True) as tx:
        found = await report.progress(tx, message)
    return found is not None and found.is_over


async def judge(db: Database, world: World, message: UUID, far_ends: Providers, worker: Notifier) -> None:
    """Everyone reached, repeats within W = kills × slots × M on each lane's slots, each repeat flagged."""
    taken = Counter(far_ends.accepted())
    expected = {world.addresses[point] for point in world.points.values()} | {"post"}
    assert set(taken) == expected, worker.said()[-2000:]
    repeated = {to for to, times in taken.items() if times > 1}
    assert sum(taken.values()) - len(taken) <= KILLS * SLOTS * ROWS_A_SLOT
    async with db.transaction(read_only=True) as tx:
        flagged = (
            await tx.execute(
                select(Delivery.contact_point_id).where(
                    Delivery.message_id == message, Delivery.maybe_repeat.is_(True)
                )
            )
        ).scalars()
        found = await report.progress(tx, message)
    assert repeated <= {world.addresses[point] for point in flagged}
    assert found is not None
    assert found.sums_up
    assert found.reached == found.audience == 2 * PEOPLE + 1


@pytest.mark.parametrize("durable_database_url", ["sqlite"], indirect=True)
async def test_a_killed_process_on_sqlite_loses_nothing(
    durable_database_url: str, far_ends: Providers, tmp_path: Path
) -> None:
    async with database(durable_database_url) as db:
        world, message = await publish(db)
        settings = far_ends.settings(
            durable_database_url, NOTIFIER_LISTEN=f"127.0.0.1:{free_port()}", **DRILL
        )
        process = Notifier(settings, "serve", log=tmp_path / "serve.log")
        async with killed_again_and_again([process], far_ends):
            await until(lambda: is_over(db, message), seconds=60, what="the message is over")
        await judge(db, world, message, far_ends, process)


@pytest.mark.parametrize("durable_database_url", ["postgresql"], indirect=True)
async def test_killed_workers_on_postgresql_and_redis_lose_nothing(
    durable_database_url: str, redis_server: RedisServer, far_ends: Providers, tmp_path: Path
) -> None:
    async with database(durable_database_url, redis_server.url) as db:
        world, message = await publish(db)
        settings = far_ends.settings(durable_database_url, redis_url=redis_server.url, **DRILL)
        workers = [Notifier(settings, "work", log=tmp_path / f"work{i}.log") for i in range(2)]
        async with killed_again_and_again(workers, far_ends):
            await until(lambda: is_over(db, message), seconds=60, what="the message is over")
        await judge(db, world, message, far_ends, workers[0])


@pytest.mark.parametrize("durable_database_url", ["postgresql"], indirect=True)
async def test_an_orderly_stop_finishes_what_it_started_and_repeats_nothing(
    durable_database_url: str, redis_server: RedisServer, far_ends: Providers, tmp_path: Path
) -> None:
    async with database(durable_database_url, redis_server.url) as db:
        _, message = await publish(db)
        settings = far_ends.settings(
            durable_database_url, redis_url=redis_server.url, NOTIFIER_SLOTS=str(SLOTS)
        )
        worker = Notifier(settings, "work", log=tmp_path / "work.log")
        try:
            worker.start()
            await until(lambda: len(far_ends.accepted()) >= 60, seconds=40, what="60 went out")
            assert await asyncio.to_thread(worker.stop) == 0, worker.said()[-2000:]
            assert len(far_ends.accepted()) < 2 * PEOPLE
            worker.start()
            await until(lambda: is_over(db, message), seconds=60, what="the message is over")
            assert await asyncio.to_thread(worker.stop) == 0
        finally:
            worker.kill()
        async with db.transaction(read_only=True) as tx:
            found = await report.progress(tx, message)
    assert set(Counter(far_ends.accepted()).values()) == {1}
    assert found is not None
    assert (found.reached, found.possible_repeats) == (2 * PEOPLE + 1, 0)
