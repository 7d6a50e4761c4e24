"""PostgreSQL restarted, slow, cut off during a commit, or giving up on a deadlock: nothing lost, nothing twice."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from notifier.db import Database, Tx
from notifier.models import Delivery, Message, MessageState, Team
from tests.faults.caller import NO_ANSWER, Caller, caller, is_up
from tests.faults.drill import QUICK, Drill, drill, in_this_process, sender, server
from tests.faults.forker import Forker
from tests.faults.history import title
from tests.faults.plugin import Line, Size
from tests.faults.proxy import FaultProxy
from tests.providers import Providers, until
from tests.servers import Postgres, RedisServer

SLOTS, ROWS_A_SLOT = 4, 5
RECOVERED_SECONDS, URGENT_SECONDS = 15.0, 5.0
MOST_TRIES = 5

New = Callable[[str], str]
Record = Callable[[Line], None]


def through(proxy: FaultProxy, url: str) -> str:
    """The same database, by way of a proxy."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"postgres@127.0.0.1:{proxy.port}").geturl()


# --- F12: restart -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stopped", "crashed"])
async def test_a_restart_of_postgresql_is_outlived(
    how: str,
    new_durable_database: New,
    durable_postgres: Postgres,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    record_fault: Record,
) -> None:
    url = new_durable_database("postgresql")
    async with drill(url, far_ends, 100) as stage:
        await stage.publish()
        log = tmp_path / "serve.log"  # paced, or all would be sent before the server is gone
        process, port = server(forker, far_ends, url, log, factor=QUICK, NOTIFIER_RATES="email_smtp=60")
        try:
            process.start()
            async with caller(stage.db, stage.world.teams[0], port) as asked:
                await is_up(asked)
                await until(lambda: len(far_ends.accepted()) >= 40, seconds=20, what="40 went out")
                known = {
                    key for key, entry in (await stage.history()).ledger.items() if entry.state == "accepted"
                }
                await asyncio.to_thread(durable_postgres.crash if how == "crashed" else durable_postgres.stop)
                status, headers = await page(asked, "/api/v1/messages")
                assert (status, "Retry-After" in headers) == (503, True)
                durable_postgres.start()
                began = time.monotonic()
                seen = len(far_ends.accepted())
                await until(
                    lambda: len(far_ends.accepted()) > seen, seconds=RECOVERED_SECONDS, what="it goes on"
                )
                seconds = time.monotonic() - began
                await is_up(asked)
            await stage.over(said=[process])
        finally:
            process.kill()
        found = await stage.history()
    bound = SLOTS * ROWS_A_SLOT
    record_fault(
        found.line(
            f"F12 {how}" if how == "stopped" else "F7 crashed", "postgresql", bound=bound, seconds=seconds
        )
    )
    found.judge(bound=bound)
    assert not known & found.repeated, "what was committed as accepted is never sent again"


async def page(asked: Caller, path: str) -> tuple[int, aiohttp.typedefs.LooseHeaders]:
    async with asked.session.get(asked.url + path) as answer:
        return answer.status, dict(answer.headers)


# --- F14: slow --------------------------------------------------------------------------


async def test_with_every_query_late_an_alert_still_leaves(
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    size: Size,
    record_fault: Record,
) -> None:
    """From its approval to the provider an alert is some fifty questions to the database, one after the other.

    Each 50 ms late, it leaves within the 5 s of an alert, added to what this machine needs for one anyway;
    each 500 ms late, it still leaves.
    """
    url = new_durable_database("postgresql")
    async with FaultProxy(urlsplit(url).port or 0) as proxy, drill(url, far_ends, 1) as stage:
        worker = sender(forker, far_ends, through(proxy, url), tmp_path / "work.log", factor=1)
        try:
            worker.start()
            await stage.publish(kind="alert")
            await stage.over(said=[worker])
            idle = await an_alert(stage)
            for late_ms, most_seconds in ((50, URGENT_SECONDS), (500, 45.0))[: size(1, 2)]:
                proxy.up.delay_seconds = late_ms / 1000
                seconds = await an_alert(stage)
                proxy.heal()
                await stage.over(said=[worker])
                found = await stage.history()
                note = f"seconds: until the alert left; {idle:.1f} with a database that is well"
                record_fault(
                    found.line(f"F14 +{late_ms} ms", "postgresql", bound=0, seconds=seconds, note=note)
                )
                found.judge(bound=0)
                assert seconds <= most_seconds + idle
        finally:
            worker.kill()


async def an_alert(stage: Drill) -> float:
    """Publish one; the seconds until a provider has it."""
    before, began = len(stage.ends.accepted()), time.monotonic()
    await stage.publish(kind="alert")
    await until(lambda: len(stage.ends.accepted()) > before, seconds=90, what="the alert goes out")
    return time.monotonic() - began


# --- F15: cut during COMMIT -------------------------------------------------------------


@pytest.mark.timeout(1800)
async def test_a_connection_cut_during_commit_never_makes_a_second_post(
    new_durable_database: New,
    redis_server: RedisServer,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    dice: random.Random,
    size: Size,
    record_fault: Record,
) -> None:
    """One COMMIT in three is cut, before it has reached the database or before its answer is back."""
    url, cuts = new_durable_database("postgresql"), size(40, 10_000)

    def cut(chunk: bytes) -> str:
        return dice.choice(("before", "after")) if b"COMMIT" in chunk and dice.random() < 1 / 3 else ""

    async with (
        FaultProxy(urlsplit(url).port or 0) as proxy,
        drill(url, far_ends, 1) as stage,
    ):
        process, port = server(
            forker, far_ends, through(proxy, url), tmp_path / "serve.log", redis_url=redis_server.url
        )
        posts = 0
        try:
            process.start()
            async with caller(stage.db, stage.world.teams[0], port) as asked:
                await is_up(asked)
                proxy.up.cut_where = cut

                async def author() -> None:
                    nonlocal posts
                    while proxy.cuts < cuts:
                        posts += 1
                        await insist(asked, posts)

                await asyncio.gather(*(author() for _ in range(4)))
                assert "request_failed" not in process.said()
        finally:
            process.kill()
        async with stage.db.transaction(read_only=True) as tx:
            kept = await tx.scalar(select(func.count()).select_from(Message))
            approved = await tx.scalar(select(func.count()).where(Message.state == MessageState.APPROVED))
    record_fault(
        Line(fault=f"F15 {proxy.cuts} cut COMMITs", on="postgresql", planned=posts, lost=posts - approved,
             repeats=kept - posts, bound=0, flagged=0, note="planned: posts")
    )  # fmt: skip
    assert (kept, approved) == (posts, posts)


async def insist(asked: Caller, number: int) -> None:
    """Ask for one post with one key until it is there, and until it is approved."""
    status: int = 0
    made: dict[str, Any] = {}
    while status != 201:
        status, made = await asked.draft(title(number), key=f"draft-{number}")
        assert status in (201, 503, NO_ANSWER), made
    first = made["id"]
    status = 0
    while status != 200:
        status, made = await asked.approve(first, key=f"approve-{number}")
        assert status in (200, 503, NO_ANSWER), made
    assert made["id"] == first


# --- F16: deadlocks ---------------------------------------------------------------------


async def quick_to_see_deadlocks(db: Database, url: str) -> None:
    async with db.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.exec_driver_sql(
            f"ALTER DATABASE {urlsplit(url).path[1:]} SET deadlock_timeout = '20ms'"
        )
    await db.engine.dispose()  # whoever connects from now on has it


async def test_transactions_that_wait_for_each_other_are_tried_again_and_all_succeed(
    new_durable_database: New, far_ends: Providers, size: Size, record_fault: Record
) -> None:
    url, pairs = new_durable_database("postgresql"), size(10, 200)
    async with drill(url, far_ends, 1) as stage:
        await quick_to_see_deadlocks(stage.db, url)
        tries: list[int] = []

        async def both(first: int, second: int) -> None:
            made = 0

            async def act(tx: Tx) -> None:
                nonlocal made
                made += 1
                for place in (first, second):
                    team = stage.world.teams[place]
                    await tx.execute(update(Team).where(Team.id == team).values(name=Team.name + "x"))
                    await asyncio.sleep(0.01)

            await stage.db.attempt(act, tries=MOST_TRIES)
            tries.append(made)

        for _ in range(pairs):
            await asyncio.gather(both(0, 1), both(1, 0))
        async with stage.db.transaction(read_only=True) as tx:
            name = await tx.scalar(select(Team.name).where(Team.id == stage.world.teams[0]))
    record_fault(
        Line(fault="F16 deadlocks", on="postgresql", planned=2 * pairs, lost=2 * pairs - name.count("x"), repeats=0,
             bound=0, flagged=0, note=f"planned: transactions; most tries {max(tries)}")
    )  # fmt: skip
    assert name.endswith("team" + "x" * 2 * pairs)
    assert 1 < max(tries) <= MOST_TRIES, "there were deadlocks, and few tries were enough"


async def test_sending_outlives_somebody_who_locks_its_rows_the_other_way_round(
    new_durable_database: New, far_ends: Providers, record_fault: Record
) -> None:
    url = new_durable_database("postgresql")
    async with drill(url, far_ends, 40) as stage:
        await quick_to_see_deadlocks(stage.db, url)
        stop = asyncio.Event()

        async def backwards() -> int:
            deadlocks = 0
            while not stop.is_set():
                try:
                    async with stage.db.transaction() as tx:
                        rows = (
                            select(Delivery.id)
                            .where(Delivery.state == "started")
                            .order_by(Delivery.id.desc())
                        )
                        for id_ in (await tx.execute(rows)).scalars().all():
                            await tx.execute(select(Delivery.id).where(Delivery.id == id_).with_for_update())
                        await asyncio.sleep(0.005)
                except DBAPIError:
                    deadlocks += 1
            return deadlocks

        await stage.publish()
        async with in_this_process(far_ends, url):
            other = asyncio.create_task(backwards())
            seconds = await stage.over()
            stop.set()
            await other
        found = await stage.history()
    record_fault(found.line("F16 rows locked backwards", "postgresql", bound=0, seconds=seconds))
    found.judge(bound=0)
