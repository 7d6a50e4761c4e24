"""Email from the claimed row to the settled one, beside a bare aiosmtplib loop over the same bytes and connections."""

import asyncio
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import Cost, Sink, said_by, sink
from benchmarks.result import Figure
from benchmarks.stage import (
    Stage,
    Workers,
    hold,
    lift,
    people,
    postgres_stage,
    publish,
    settled,
    sqlite_stage,
)


@dataclass(frozen=True, kw_only=True)
class Drained:
    """One bulletin sent: how many, what it cost, how long the far end took from its first to its last."""

    number: int
    cost: Cost
    wall: float
    memory_mib: float

    @property
    def each_cpu_second(self) -> float:
        return self.number / self.cost.whole

    @property
    def each_second(self) -> float:
        return self.number / self.wall

    def detail(self) -> dict[str, float]:
        return {
            "messages": self.number,
            "msg/CPU s": self.each_cpu_second,
            "msg/s": self.each_second,
            "our CPU µs": self.cost.ours / self.number * 1e6,
            "database CPU µs": self.cost.servers / self.number * 1e6,
            "memory MiB": self.memory_mib,
        }


async def drain(
    stage: Stage, far_end: Sink, number: int, *, slots: int, workers: int = 1, idle_seconds: float = 0.0
) -> Drained:
    """Send one message to about so many people and measure from the lifted hold to the last settled row.

    idle_seconds: let the workers poll an empty ledger first (the planner trap).
    """
    command = ["work"] if stage.redis_url else ["serve"]
    settings = stage.settings(far_end, slots=slots)
    async with stage.opened() as db:
        made = await people(stage, db, number)
        await hold(db)
        if not idle_seconds:
            message, planned = await publish(db, made.team, made.force)
        with Workers(stage, settings, [command] * workers) as running:
            await running.ready()
            if idle_seconds:
                await asyncio.sleep(idle_seconds)
                message, planned = await publish(db, made.team, made.force)
                await running.ready()
            before, began = running.cost(), time.monotonic()
            await lift(db)
            ended = await asyncio.to_thread(far_end.wait_for, planned, seconds=60 + planned / 50)
            await settled(db, message, seconds=60)
            done = Drained(
                number=planned,
                cost=running.cost().since(before),
                wall=ended - began,
                memory_mib=running.memory_mib(),
            )
        assert far_end.count() == (planned, 0), far_end.count()
    return done


def bare(far_end: Sink, message: Path, number: int, connections: int) -> float:
    """Messages per CPU second of the bare loop."""
    words = [
        f"--url={far_end.url}",
        f"--number={number}",
        f"--connections={connections}",
        f"--message={message}",
    ]
    said = json.loads(said_by("-m", "benchmarks.bare", "mail", *words))
    return float(number / said["cpu"])


def against_the_bare_loop(number: int, *, connections: int, plain: bool, rounds: int = 3) -> Figure:
    """a: the whole path ÷ the bare loop, in messages per CPU second: the median of pairs run one after the other.

    The bare loop runs when the servers of its round are gone, so that neither disturbs the other.
    """
    pairs: list[tuple[Drained, float]] = []
    with TemporaryDirectory(prefix="bench-") as folder:
        kept = Path(folder) / "mail.eml"
        for _ in range(rounds):
            with sink(plain=plain, keep=kept) as far_end:
                with postgres_stage() as stage:
                    done = asyncio.run(drain(stage, far_end, number, slots=connections))
                pairs.append((done, bare(far_end, kept, min(number, 20_000), connections)))
        size = kept.stat().st_size
    ratios = sorted(done.each_cpu_second / loop for done, loop in pairs)
    done, loop = next(each for each in pairs if each[0].each_cpu_second / each[1] == ratios[rounds // 2])
    path = "fallback path (no PIPELINING)" if plain else "pipelined path"
    return Figure(
        name=f"a. email, {path} ÷ bare aiosmtplib loop",
        value=ratios[rounds // 2],
        at_least=0.6 if plain else 2.0,
        detail={
            **done.detail(),
            "bare msg/CPU s": loop,
            "connections": connections,
            "bytes each": size,
            "every pair": _told(ratios),
        },
    )


def after_idle_polling(number: int, *, connections: int, rounds: int = 3) -> Figure:
    """a: a fresh worker ÷ one that polled an empty ledger for 10 s first: the median of pairs, one after the other."""
    pairs: list[tuple[float, Drained, Drained]] = []
    for _ in range(rounds):
        found = []
        for idle_seconds in (0.0, 10.0):
            with postgres_stage() as stage, sink() as far_end:
                found.append(
                    asyncio.run(drain(stage, far_end, number, slots=connections, idle_seconds=idle_seconds))
                )
        fresh, idle = found
        pairs.append((fresh.each_cpu_second / idle.each_cpu_second, fresh, idle))
    pairs.sort(key=lambda pair: pair[0])
    ratio, fresh, idle = pairs[rounds // 2]
    return Figure(
        name="a. fresh worker ÷ one that polled an empty table 10 s",
        value=ratio,
        at_most=1.3,
        detail={
            "fresh msg/s": fresh.each_second,
            "after idling msg/s": idle.each_second,
            "every pair": _told(pair[0] for pair in pairs),
        },
    )


def late_sink(number: int, *, connections: int) -> Figure:
    """a: a far end that answers the dot 20 ms late: how near we come to connections ÷ latency."""
    with postgres_stage() as stage, sink(late_ms=20) as far_end:
        done = asyncio.run(drain(stage, far_end, number, slots=connections))
    return Figure(
        name="a. sink 20 ms late: rate ÷ (connections ÷ latency)",
        value=done.each_second / (connections / 0.020),
        at_least=0.8,
        detail=done.detail() | {"connections": connections},
    )


def _told(ratios: Iterable[float]) -> str:
    return " ".join(f"{ratio:.2f}" for ratio in ratios)


def with_size(small: int, large: int, *, connections: int) -> list[Figure]:
    """c: CPU per recipient and peak memory of a large message against a small one."""
    found = []
    for number in (small, large):
        with postgres_stage() as stage, sink() as far_end:
            found.append(asyncio.run(drain(stage, far_end, number, slots=connections)))
    few, many = found
    detail = {
        f"µs each at {few.number:,}": 1e6 / few.each_cpu_second,
        f"µs each at {many.number:,}": 1e6 / many.each_cpu_second,
    }
    return [
        Figure(
            name="c. sending: CPU per recipient, large ÷ small",
            value=few.each_cpu_second / many.each_cpu_second,
            at_most=1.1,
            detail=detail,
        ),
        Figure(
            name="c. sending: workers' memory, large ÷ small",
            value=many.memory_mib / few.memory_mib,
            at_most=1.2,
            detail={"MiB small": few.memory_mib, "MiB large": many.memory_mib},
        ),
    ]


def embedded_against_servers(number: int, *, connections: int) -> Figure:
    """e: SQLite in one process ÷ PostgreSQL with two workers."""
    with sqlite_stage() as stage, sink() as far_end:
        embedded = asyncio.run(drain(stage, far_end, number, slots=connections))
    with postgres_stage() as stage, sink() as far_end:
        served = asyncio.run(drain(stage, far_end, number, slots=connections, workers=2))
    return Figure(
        name="e. SQLite, one process ÷ PostgreSQL, two workers (msg/s)",
        value=embedded.each_second / served.each_second,
        detail={"SQLite msg/s": embedded.each_second, "PostgreSQL msg/s": served.each_second},
    )


def two_workers(number: int) -> Figure:
    """h: two workers ÷ one, 16 connections each, a far end 20 ms late."""
    found = []
    for workers in (1, 2):
        with postgres_stage() as stage, sink(late_ms=20) as far_end:
            found.append(asyncio.run(drain(stage, far_end, number, slots=16, workers=workers)))
    one, two = found
    return Figure(
        name="h. two workers ÷ one, sink 20 ms late",
        value=two.each_second / one.each_second,
        at_least=1.6,
        detail={"one msg/s": one.each_second, "two msg/s": two.each_second},
    )
