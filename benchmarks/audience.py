"""What it takes to count an audience and to plan for it: b, the planning part of c, and g.

A made-up force (`population`) on a private PostgreSQL with production's durability and 1 GB of shared buffers. Planning
runs in a process of its own, page by page as a worker does it; the bare statement it is held against copies the very
rows that were planned from a table without indexes. Both end with one ANALYZE. Autovacuum is off: it would come in the
midst of a plan, which commits its pages, and only after the copy, which commits once.

`python -m benchmarks.audience URL MESSAGE` plans one message and prints what it cost, as JSON.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import select

from benchmarks import population
from benchmarks.machine import cpu_seconds, said_by
from benchmarks.population import Population
from benchmarks.result import Figure
from benchmarks.stage import Stage, postgres_stage, sqlite_stage
from notifier.broadcast import approve, draft, plan
from notifier.broadcast.narrow import Draw, Narrow, Near
from notifier.db import Database
from notifier.models import Delivery, Message
from tests.providers import database

SPARE = 1.06  # some have left or stopped: so many people make an audience of one
ROUNDS = 5
SMALL = 10_000
SETTINGS = (
    "shared_buffers = '1GB'",
    "effective_cache_size = '4GB'",
    "max_wal_size = '4GB'",
    "checkpoint_timeout = '15min'",
    "autovacuum = off",
)
TEXTS = {"en": ("A question for you", "Which of these matters most to you? Reply and tell us.")}


def run(people: int) -> list[Figure]:
    """All of it for an audience of so many people; at full scale about ten minutes."""
    with postgres_stage() as stage:
        _tune(stage)
        made = asyncio.run(_populate(stage.url, round(people * SPARE)))
        figures = asyncio.run(_reach(stage, made, "PostgreSQL"))
        planned = _plan_and_copy(stage, made)
    small = min(SMALL, people)
    with postgres_stage() as stage:
        _tune(stage)
        few = asyncio.run(_populate(stage.url, round(small * SPARE)))
        alone = _plan_many(stage, few, messages=5)
    figures.append(_by_size(planned, alone))
    with sqlite_stage() as stage:
        lesser = asyncio.run(_populate(stage.url, round(people * SPARE / 10)))
        figures += asyncio.run(_reach(stage, lesser, "SQLite"))
    return [*planned["figures"], *figures]


def _tune(stage: Stage) -> None:
    assert stage.postgres is not None
    for setting in SETTINGS:
        stage.postgres.execute(f"ALTER SYSTEM SET {setting}")
    stage.postgres.restart()


async def _populate(url: str, people: int) -> Population:
    async with database(url) as db:
        return await population.make(url, db.keys, people)


# --- Counting, by what is asked ------------------------------------------------------------------


def _questions(made: Population) -> dict[str, dict[str, Any]]:
    """name → what a draft says of whom it is for."""
    near = {
        metres: Narrow(near=Near(postcode=made.postcode, metres=metres)) for metres in (500, 2_000, 10_000)
    }
    return {
        "postcode": {"areas": (made.force,), "narrow": Narrow(postcodes=(made.postcode,))},
        "ward": {"areas": (made.ward,)},
        "borough": {"areas": (made.borough,)},
        "half the force": {"areas": tuple(population.borough(each) for each in range(16))},
        "force": {"areas": (made.force,)},
        "force, two topics": {"areas": (made.force,), "topics": ("burglary", "news")},
        **{f"within {metres:,} m": {"areas": (made.force,), "narrow": each} for metres, each in near.items()},
        "sample of 1,000": {"areas": (made.force,), "narrow": Narrow(sample=Draw(size=1_000, seed=1))},
    }


async def _reach(stage: Stage, made: Population, where: str) -> list[Figure]:
    figures = []
    async with database(stage.url) as db:
        for name, question in _questions(made).items():
            message = await _drafted(db, made, kind="priority_update", **question)
            seconds, reached = [], 0
            for _ in range(ROUNDS):
                began = time.monotonic()
                async with db.transaction(read_only=True) as tx:
                    reached = (await approve.reach(tx, message)).deliveries
                seconds.append(time.monotonic() - began)
            planned = await _planning_seconds(db, made, message) if 0 < reached <= 50_000 else None
            is_held = where == "PostgreSQL" and not name.startswith("sample")
            figures.append(
                Figure(
                    name=f"g. count of {made.people:,} by {name}, {where}",
                    value=min(seconds) * 1000,
                    unit="ms",
                    at_most=1000 if is_held else None,
                    detail={
                        "median ms": median(seconds) * 1000,
                        "deliveries": reached,
                        **({"planned in ms": planned * 1000} if planned is not None else {}),
                    },
                )
            )
    return figures


async def _drafted(db: Database, made: Population, **fields: Any) -> UUID:
    words = draft.Draft(
        **{"kind": "alert", "texts": TEXTS, "areas": (made.force,), "media": ("email",)} | fields
    )
    async with db.transaction() as tx:
        return await draft.save(tx, words, team=made.team, author=None)


async def _planning_seconds(db: Database, made: Population, message: UUID) -> float:
    async with db.transaction() as tx:
        await approve.approve(tx, message, team=made.team, officer=None)
    began = time.monotonic()
    await _plan_whole(db, message)
    return time.monotonic() - began


# --- Planning, against the bare statement ----------------------------------------------------------


def _plan_and_copy(stage: Stage, made: Population) -> dict[str, Any]:
    """Plan for everybody, then copy the rows by one statement; each twice in turn, the better of each counts."""
    plans, copies = [], []
    for _ in range(2):
        message = asyncio.run(_approved(stage.url, made))
        plans.append(_measured(stage, partial(_planned, stage.url, message)))
        asyncio.run(_run(stage.url, "DROP TABLE IF EXISTS planned"))
        asyncio.run(_run(stage.url, "CREATE UNLOGGED TABLE planned AS TABLE deliveries"))
        asyncio.run(_run(stage.url, "TRUNCATE deliveries"))
        asyncio.run(_run(stage.url, "VACUUM ANALYZE planned", "CHECKPOINT"))
        copies.append(_measured(stage, lambda: asyncio.run(_copied(stage.url))))
        asyncio.run(_run(stage.url, "TRUNCATE deliveries", "CHECKPOINT"))
    planned, bare = (
        min(plans, key=lambda each: each["seconds"]),
        min(copies, key=lambda each: each["seconds"]),
    )
    figure = Figure(
        name=f"b. planning {planned['rows']:,} ÷ the bare INSERT … SELECT",
        value=planned["seconds"] / bare["seconds"],
        at_most=1.5,
        detail={
            "planned in s": planned["seconds"],
            "bare in s": bare["seconds"],
            "planned, CPU s": planned["ours"] + planned["servers"],
            "bare, CPU s": bare["servers"],
            "CPU ratio": (planned["ours"] + planned["servers"]) / bare["servers"],
            "all planned s": [round(each["seconds"], 1) for each in plans],
            "all bare s": [round(each["seconds"], 1) for each in copies],
        },
    )
    return {"figures": [figure], **planned}


def _plan_many(stage: Stage, made: Population, *, messages: int) -> dict[str, Any]:
    """The same for a small force, several times over, as one."""
    ids = [asyncio.run(_approved(stage.url, made)) for _ in range(messages)]
    done = [_measured(stage, partial(_planned, stage.url, each)) for each in ids]
    totals = {name: sum(each[name] for each in done) for name in ("rows", "ours", "servers", "seconds")}
    return totals | {"peak_mib": max(each["peak_mib"] for each in done)}


def _by_size(large: dict[str, Any], small: dict[str, Any]) -> Figure:
    each, alone = (1e6 * (done["ours"] + done["servers"]) / done["rows"] for done in (large, small))
    return Figure(
        name=f"c. planning: CPU a recipient, of {large['rows']:,} ÷ of {small['rows'] // 5:,}",
        value=each / alone,
        at_most=1.1,
        detail={
            "large µs": each,
            "small µs": alone,
            "peak MiB, large": large["peak_mib"],
            "peak MiB, small": small["peak_mib"],
            "peak ratio": large["peak_mib"] / small["peak_mib"],
        },
    )


def _measured(stage: Stage, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    before = stage.servers_cpu()
    done = work()
    return {"ours": 0.0, **done, "servers": stage.servers_cpu() - before}


def _planned(url: str, message: UUID) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said_by("-m", "benchmarks.audience", url, str(message)))
    return found


async def _approved(url: str, made: Population) -> UUID:
    async with database(url) as db:
        message = await _drafted(db, made)
        async with db.transaction() as tx:
            await approve.approve(tx, message, team=made.team, officer=None)
    return message


async def _copied(url: str) -> dict[str, Any]:
    connection = await asyncpg.connect(url)
    given = ", ".join(c.name for c in Delivery.__table__.columns if c.name != "id" and c.computed is None)
    try:
        began = time.monotonic()
        copy = f"INSERT INTO deliveries ({given}) SELECT {given} FROM planned"  # noqa: S608 - columns of ours
        said = await connection.execute(copy)
        await connection.execute("ANALYZE deliveries")
        return {"seconds": time.monotonic() - began, "rows": int(said.split()[-1])}
    finally:
        await connection.close()


async def _run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _plan_whole(db: Database, message: UUID) -> None:
    done = False
    while not done:
        async with db.transaction() as tx:
            done = await plan.plan_page(tx, message)


async def _plan_alone(url: str, message: UUID) -> None:
    async with database(url) as db:
        before, began = cpu_seconds(os.getpid()), time.monotonic()
        await _plan_whole(db, message)
        done = {"seconds": time.monotonic() - began, "ours": cpu_seconds(os.getpid()) - before}
        async with db.transaction(read_only=True) as tx:
            rows = await tx.scalar(select(Message.audience_count).where(Message.id == message))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(done | {"rows": rows, "peak_mib": peak}))


if __name__ == "__main__":
    asyncio.run(_plan_alone(sys.argv[1], UUID(sys.argv[2])))
