"""The counters in Redis: the same rules as in the process, shared by every client, nothing in clear, never slow."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis

from notifier.delivery.counters import Ask, CountersLost, LocalCounters, RedisCounters
from notifier.delivery.pacing import Pacer, Want
from tests.processes import free_port, silence
from tests.servers import RedisServer
from tests.unit.test_pacing import Clock

UNHURRIED = 20.0  # seconds: these tests are of the rules, and a machine may stand still for a while


@pytest.fixture
async def clients(redis_server: RedisServer) -> AsyncIterator[list[RedisCounters]]:
    """Two clients of one Redis, as two workers have."""
    redis_server.flush()
    async with AsyncExitStack() as stack:
        made = [RedisCounters(redis_server.url, patience_seconds=UNHURRIED) for _ in range(2)]
        for counters in made:
            stack.push_async_callback(counters.close)
        yield made


@pytest.mark.parametrize("seed", range(5))
async def test_redis_follows_the_same_rules_as_the_process(redis_server: RedisServer, seed: int) -> None:
    redis_server.flush()
    clock, chance = Clock(), random.Random(seed)  # noqa: S311 - replayable
    here = LocalCounters(clock=clock)
    there = RedisCounters(redis_server.url, clock=clock, patience_seconds=UNHURRIED)
    rates = {"sms": 20.0, "sms/sender/1": 2.0}
    names = [["sms"], ["sms", "sms/sender/1"], ["mail"], ["mail", "mail/domain/a"]]
    try:
        for _ in range(150):
            clock.now += chance.choice([0.0, 0.05, 0.4, 3.0])
            asks = [
                Ask(cost=chance.randint(1, 3), buckets=chance.choice(names), bulk=chance.random() < 0.5)
                for _ in range(chance.randint(1, 6))
            ]
            match chance.randint(0, 9):
                case 0:
                    name, wait = chance.choice(names)[-1], chance.choice([0.0, 2.0])
                    await here.slow(name, rates.get(name, 0.0), wait, factor=0.5)
                    await there.slow(name, rates.get(name, 0.0), wait, factor=0.5)
                case 1:
                    await here.give_back(asks, rates)
                    await there.give_back(asks, rates)
                case _:
                    mine, theirs = await here.take(asks, rates), await there.take(asks, rates)
                    assert [t.after_seconds for t in theirs] == pytest.approx(
                        [t.after_seconds for t in mine], abs=1e-4
                    )
    finally:
        await there.close()


async def test_two_clients_together_keep_to_one_rate(clients: list[RedisCounters]) -> None:
    rate = 60.0
    started: list[float] = []
    pacers = [Pacer(rates={"sms": rate}, shared=counters) for counters in clients]

    async def send_all(pacer: Pacer, until: float) -> None:
        while time.monotonic() < until:
            waits = await pacer.take([Want(channel="sms", bulk=False)] * 3)
            started.extend(time.monotonic() for wait in waits if not wait)
            await asyncio.sleep(0.002)

    until = time.monotonic() + 1.5
    await asyncio.gather(*(send_all(pacer, until) for pacer in pacers))
    assert all(not pacer.is_lost for pacer in pacers)
    most = max(sum(at <= when < at + 1 for when in started) for at in started)
    assert rate * 1.5 * 0.9 <= len(started) <= rate * 1.5 + rate + 3
    assert most <= rate + rate + 3


async def test_neither_a_number_nor_a_domain_stands_in_redis(
    clients: list[RedisCounters], redis_server: RedisServer
) -> None:
    pacer = Pacer(rates={}, shared=clients[0], hide=lambda value: str(len(value)))
    await pacer.take(
        [Want(channel="sms", sender="+447700900999"), Want(channel="mail", domain="rare.example")]
    )
    with redis.Redis.from_url(redis_server.url) as client:
        names = sorted(name.decode() for name in client.scan_iter())
    assert names == [
        "notifier:mail", "notifier:mail/domain/12", "notifier:sms", "notifier:sms/sender/13",
    ]  # fmt: skip


async def test_a_count_is_shared_and_starts_where_it_is_told(clients: list[RedisCounters]) -> None:
    one, other = clients
    assert await one.count("texts", 5, 3600, begun=None) == -1
    assert await one.count("texts", 5, 3600, begun=3) == 4
    assert await other.count("texts", 5, 3600, begun=None) == 5
    assert await other.count("texts", 5, 3600, begun=None) is None
    assert await one.count("others", 5, 0.02, begun=5) is None
    await asyncio.sleep(0.03)
    assert await one.count("others", 5, 0.02, begun=None) == -1


async def test_counters_that_do_not_answer_are_given_up_after_a_quarter_second() -> None:
    async with silence() as port:
        for url in (f"redis://127.0.0.1:{port}/0", f"redis://127.0.0.1:{free_port()}/0"):
            counters, began = RedisCounters(url), time.monotonic()
            with pytest.raises(CountersLost):
                await counters.take([Ask(cost=1, buckets=["sms"], bulk=False)], {})
            assert time.monotonic() - began < 0.5
            await counters.close()


async def test_a_pacer_goes_on_while_redis_is_away_and_asks_again_when_it_is_back(
    clients: list[RedisCounters],
) -> None:
    away = RedisCounters(f"redis://127.0.0.1:{free_port()}/0")
    clock = Clock()
    pacer = Pacer(rates={"sms": 10.0}, shared=away, workers=5, clock=clock, local=LocalCounters(clock=clock))
    waits = await pacer.take([Want(channel="sms", bulk=False)] * 4)
    assert (pacer.is_lost, [wait == 0 for wait in waits]) == (True, [True, True, False, False])
    pacer.shared = clients[0]
    clock.now += 1
    assert await pacer.take([Want(channel="sms", bulk=False)]) == [0.0]
    assert not pacer.is_lost
    await away.close()
