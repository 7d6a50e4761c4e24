"""Redis emptied, killed, out of reach, slow, full or read-only: the doorbell is late, and nothing is lost."""

import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import redis

from tests.faults.caller import Caller, caller, is_up
from tests.faults.drill import Drill, drill, sender, server
from tests.faults.forker import Forked, Forker
from tests.faults.history import title
from tests.faults.plugin import Line, Size
from tests.faults.proxy import FaultProxy
from tests.providers import Providers, until
from tests.servers import RedisServer

WEB_P99_SECONDS, URGENT_P99_SECONDS = 1.0, 5.0
BACK_SECONDS = 10.0

New = Callable[[str], str]
Record = Callable[[Line], None]


@asynccontextmanager
async def working(
    stage: Drill, url: str, redis_url: str, forker: Forker, folder: Path
) -> AsyncIterator[tuple[Forked, Caller]]:
    """A worker and a web process that share a Redis, and a caller of the API."""
    worker = sender(forker, stage.ends, url, folder / "work.log", redis_url=redis_url)
    pages, port = server(forker, stage.ends, url, folder / "serve.log", redis_url=redis_url)
    try:
        worker.start()
        pages.start()
        async with caller(stage.db, stage.world.teams[0], port) as asked:
            await is_up(asked)
            yield worker, asked
    finally:
        worker.kill()
        pages.kill()


async def alert(stage: Drill, asked: Caller, number: int) -> float:
    """Publish an alert; seconds from the approval's start until the provider has the first of it."""
    status, made = await asked.draft(title(number), key=f"alert-{number}", kind="alert")
    assert status == 201, made
    before = len(stage.ends.accepted())
    began = time.monotonic()
    assert (await asked.approve(made["id"]))[0] == 200
    await until(lambda: len(stage.ends.accepted()) > before, seconds=20, what=f"alert {number} goes out")
    stage.messages[number] = UUID(made["id"])
    return time.monotonic() - began


async def test_redis_emptied_again_and_again_loses_nothing(
    new_durable_database: New,
    durable_redis: RedisServer,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    size: Size,
    record_fault: Record,
) -> None:
    url = new_durable_database("postgresql")
    async with drill(url, far_ends, size(40, 5000), redis_url=durable_redis.url) as stage:
        async with working(stage, url, durable_redis.url, forker, tmp_path) as (worker, _):
            for _ in range(3):
                await stage.publish()
                durable_redis.flush()
                seen = len(far_ends.accepted())
                await until(
                    lambda seen=seen: len(far_ends.accepted()) > seen, seconds=6, what="the message goes out"
                )
                durable_redis.flush()
            seconds = await stage.over(seconds=100, said=[worker])
        found = await stage.history()
    record_fault(found.line("F8 FLUSHALL", "postgresql", bound=0, seconds=seconds))
    found.judge(bound=0)
    assert not found.flagged


async def test_redis_killed_and_started_again_has_its_workers_back(
    new_durable_database: New,
    durable_redis: RedisServer,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    record_fault: Record,
) -> None:
    """The doorbell's own worker is back once it takes jobs from the queue again."""
    url = new_durable_database("postgresql")
    async with drill(url, far_ends, 40, redis_url=durable_redis.url) as stage:
        async with working(stage, url, durable_redis.url, forker, tmp_path) as (worker, asked):
            await stage.publish()
            durable_redis.kill()
            await stage.over(said=[worker])
            durable_redis.start()
            began = time.monotonic()
            await until(
                lambda: rings(durable_redis), seconds=BACK_SECONDS, what="somebody listens to the doorbell"
            )
            seconds = time.monotonic() - began
            await alert(stage, asked, 2)
            await stage.over(said=[worker])
        found = await stage.history()
    record_fault(found.line("F9 Redis killed", "postgresql", bound=0, seconds=seconds))
    found.judge(bound=0)
    assert not found.flagged


def rings(server_: RedisServer) -> bool:
    """Whether somebody waits for jobs there: arq's worker asks for the queue ten times a second."""
    with redis.Redis.from_url(server_.url) as client:
        return any(client["cmd"] == "zrangebyscore" for client in client.client_list())


@contextmanager
def ill(server_: RedisServer, proxy: FaultProxy, trouble: str) -> Iterator[None]:
    """Redis answers 2 s late, refuses to write for want of memory, or as somebody's replica."""
    with redis.Redis.from_url(server_.url) as client:
        match trouble:
            case "slow":
                proxy.down.delay_seconds = 2.0
            case "full":
                client.config_set("maxmemory", "1")
            case "read-only":
                client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            yield
        finally:
            proxy.heal()
            client.config_set("maxmemory", "0")
            client.execute_command("REPLICAOF", "NO", "ONE")


async def test_with_redis_out_of_reach_alerts_go_out_as_before(
    new_durable_database: New,
    durable_redis: RedisServer,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    size: Size,
    record_fault: Record,
) -> None:
    url = new_durable_database("postgresql")
    async with FaultProxy(urlsplit(durable_redis.url).port or 0) as proxy:
        redis_url = f"redis://127.0.0.1:{proxy.port}/0"
        async with (
            drill(url, far_ends, 10, redis_url=redis_url) as stage,
            working(stage, url, redis_url, forker, tmp_path) as (worker, asked),
        ):
            await alert(stage, asked, 1)
            await proxy.refuse()
            waits = [await alert(stage, asked, number) for number in range(2, size(6, 60))]
            await proxy.listen()
            await stage.over(said=[worker])
            found = await stage.history()
    record_fault(
        found.line("F10 Redis away", "postgresql", bound=0, seconds=max(waits), note="seconds: slowest alert")
    )
    found.judge(bound=0)
    assert max(waits) <= URGENT_P99_SECONDS


@pytest.mark.parametrize("trouble", ["slow", "full", "read-only"])
async def test_a_redis_that_is_ill_does_not_slow_the_pages(
    trouble: str,
    new_durable_database: New,
    durable_redis: RedisServer,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    size: Size,
    record_fault: Record,
) -> None:
    url = new_durable_database("postgresql")
    async with FaultProxy(urlsplit(durable_redis.url).port or 0) as proxy:
        redis_url = f"redis://127.0.0.1:{proxy.port}/0"
        async with (
            drill(url, far_ends, 4, redis_url=redis_url) as stage,
            working(stage, url, redis_url, forker, tmp_path) as (worker, asked),
        ):
            with ill(durable_redis, proxy, trouble):
                drafts, approvals = [], []
                for number in range(1, size(8, 100)):
                    began = time.monotonic()
                    status, made = await asked.draft(title(number), key=f"draft-{number}")
                    middle = time.monotonic()
                    approved, _ = await asked.approve(made["id"])
                    drafts.append(middle - began)
                    approvals.append(time.monotonic() - middle)
                    assert (status, approved) == (201, 200)
                    stage.messages[number] = UUID(made["id"])
                await stage.over(said=[worker])
            found = await stage.history()
    # Each call is as slow as Redis makes it: of a few the middle tells that, and the slowest tells of the machine.
    few = len(drafts) < 50
    slowest = max(
        statistics.median(calls) if few else statistics.quantiles(calls, n=100)[98]
        for calls in (drafts, approvals)
    )
    record_fault(
        found.line(
            f"F11 Redis {trouble}",
            "postgresql",
            bound=0,
            seconds=slowest,
            note=f"seconds: {'median' if few else 'p99'} of a call",
        )
    )
    found.judge(bound=0)
    assert slowest <= WEB_P99_SECONDS
