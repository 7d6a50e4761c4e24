"""SIGKILL on either side of each commit point: what the ledger holds then, and how it ends, is as promised.

C0 publish, C1 doorbell, C2 a page of the plan, C3 claim, C4 mark, C5 the provider's answer, C6 settle,
C7 receipt. Every case has a database and providers of its own, and all cases of a database run at once.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import func, select

from notifier.models import DeliveryEvent, DeliveryState, Message, ReceiptRow
from tests.faults.caller import NO_ANSWER, Caller, caller, is_up
from tests.faults.drill import CALM, QUICK, Drill, drill, planned, sender, server
from tests.faults.forker import Forked, Forker
from tests.faults.history import History, Key
from tests.faults.plugin import Line
from tests.providers import providers, until
from tests.servers import RedisServer

PEOPLE = 6
ROWS = 2 * PEOPLE
BULK_SECONDS = 5.0
AT_ONCE = 4
KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
SIDES = ("before", "after")
STAYED_WITH_US = ("C2.before", "C2.after", "C3.before", "C3.after", "C4.before")
IN_DOUBT = ("C4.after", "C5.before", "C5.after", "C6.before")
MAY_REPEAT = (*IN_DOUBT, "C6.after")  # there, what other slots had under way

New = Callable[[str], str]
Record = Callable[[Line], None]


async def all_of(fault: str, kind: str, cases: Mapping[str, Awaitable[History]], record: Record) -> None:
    """Run every case at once; the failures together, each under its name."""
    results = await asyncio.gather(*cases.values(), return_exceptions=True)
    wrong = []
    for place, found in zip(cases, results, strict=True):
        if isinstance(found, BaseException):
            found.add_note(f"at {place} on {kind}")
            wrong.append(found)
        else:
            bound = len(found.flagged) if place in MAY_REPEAT else 0
            record(found.line(f"{fault} {place}", kind, bound=bound))
    if wrong:
        raise BaseExceptionGroup("not as promised", wrong)


# --- C2 to C6: a worker -----------------------------------------------------------------


@KINDS
async def test_a_worker_killed_at_any_commit_point_leaves_what_the_ledger_promises(
    kind: str, new_durable_database: New, forker: Forker, tmp_path: Path, record_fault: Record
) -> None:
    places = [f"{point}.{side}" for point in ("C2", "C3", "C4", "C5", "C6") for side in SIDES]
    few = asyncio.Semaphore(
        AT_ONCE
    )  # more that work at once would let leases run out for want of a processor
    cases = {
        place: a_worker_dies(place, new_durable_database(kind), forker, tmp_path / f"{place}.log", few)
        for place in places
    }
    await all_of("F2", kind, cases, record_fault)


async def a_worker_dies(place: str, url: str, forker: Forker, log: Path, few: asyncio.Semaphore) -> History:
    """Let it die at that place; then it, unarmed, does what is left. One claim takes every row there is."""
    async with providers() as ends, drill(url, ends, PEOPLE) as stage:
        message = await stage.publish()
        if not place.startswith("C2"):
            await planned(stage, message)
        # What is only leased must still be so when it is looked at; what is started must run into doubt.
        process = sender(forker, ends, url, log, factor=CALM if place in STAYED_WITH_US else QUICK)
        try:
            async with few:
                process.start(NOTIFIER_FAILPOINT=f"{place}:kill")
                assert await process.end() == -signal.SIGKILL, process.said()
                crash = await stage.history()
            holds_what_it_should(place, crash)
            process.start()
            await stage.over(said=[process])
        finally:
            process.kill()
        after = await stage.history()
        doubted = crash.ended(DeliveryState.STARTED, DeliveryState.IN_DOUBT)
        after.judge(bound=len(doubted))
        ends_as_it_should(place, doubted, crash, after)
        if place in IN_DOUBT:
            assert await swept(stage) >= {after.ledger[key].id for key in crash.ended(DeliveryState.STARTED)}
        return after


def holds_what_it_should(place: str, crash: History) -> None:
    """The rows a moment after the crash, row by row of the table of commit points."""
    states = crash.states
    match place:
        case "C2.before":
            assert not crash.ledger
        case "C2.after" | "C3.before":
            assert states == {"pending": ROWS}
        case "C3.after" | "C4.before":
            assert states == {"leased": ROWS}
            assert not any(entry.attempts for entry in crash.ledger.values()), "an attempt is not counted"
        case "C4.after":
            started = [entry for entry in crash.ledger.values() if entry.state is DeliveryState.STARTED]
            assert started
            assert all(entry.attempts for entry in started), (
                "the attempt is on record before the provider is asked"
            )
        case "C5.before":
            assert states["started"]
        case "C5.after" | "C6.before":
            assert states["started"]
            assert crash.taken
        case "C6.after":
            assert states["accepted"]


def ends_as_it_should(place: str, started: set[Key], crash: History, after: History) -> None:
    """What was not started goes out once and unflagged; what was in doubt is told by evidence, or flagged."""
    untouched = [entry for key, entry in after.ledger.items() if key not in started]
    assert {(entry.tries, entry.maybe_repeat) for entry in untouched} <= {(1, False)}
    assert after.flagged <= started
    assert not crash.ended(DeliveryState.ACCEPTED) & after.repeated, "what was settled is never sent again"
    assert after.repeats <= len(started & set(crash.taken))
    by_text = {key for key in started if key[1].startswith("+")}
    assert not by_text & after.repeated, "a text can be looked up at the provider: no need to repeat it"
    if place == "C4.after":
        assert after.repeats == 0
        assert started - by_text <= after.flagged, "nobody can know whether a started mail left"
    if place in STAYED_WITH_US:
        assert not after.flagged
        assert after.repeats == 0


async def swept(stage: Drill) -> set[int]:
    async with stage.db.transaction(read_only=True) as tx:
        rows = await tx.execute(select(DeliveryEvent.delivery_id).where(DeliveryEvent.kind == "swept"))
        return set(rows.scalars())


# --- C0, C1, C7: the web process ----------------------------------------------------------


@asynccontextmanager
async def served(
    place: str, url: str, forker: Forker, log: Path, redis_url: str = ""
) -> AsyncIterator[tuple[Drill, Forked, Caller]]:
    """A drill whose service runs with one fail point, and a caller of its API."""
    async with providers() as ends, drill(url, ends, PEOPLE) as stage:
        process, port = server(forker, ends, url, log, redis_url=redis_url)
        try:
            process.start(NOTIFIER_FAILPOINT=f"{place}:kill")
            async with caller(stage.db, stage.world.teams[0], port) as asked:
                await is_up(asked)
                yield stage, process, asked
        finally:
            process.kill()


@KINDS
async def test_publishing_killed_at_its_commit_is_done_once_when_asked_again(
    kind: str, new_durable_database: New, forker: Forker, tmp_path: Path, record_fault: Record
) -> None:
    cases = {
        f"C0.{side}": publishing_dies(f"C0.{side}", new_durable_database(kind), forker, tmp_path / side)
        for side in SIDES
    }
    await all_of("F2", kind, cases, record_fault)


async def publishing_dies(place: str, url: str, forker: Forker, log: Path) -> History:
    async with served(place, url, forker, log) as (stage, process, asked):
        message = await stage.publish(approved=False)
        assert (await asked.approve(message, key="once"))[0] == NO_ANSWER
        assert await process.end() == -signal.SIGKILL
        async with stage.db.transaction(read_only=True) as tx:
            state = await tx.scalar(select(Message.state).where(Message.id == message))
        assert state == {"C0.before": "draft", "C0.after": "approved"}[place]
        process.start()
        await is_up(asked)
        first = await asked.approve(message, key="once")
        assert first[0] == 200, first
        assert first == await asked.approve(message, key="once")
        await stage.over(said=[process])
        after = await stage.history()
        after.judge(bound=0)
        assert len(after.ledger) == ROWS
        return after


@KINDS
async def test_a_message_whose_doorbell_never_rang_is_found(
    kind: str,
    new_durable_database: New,
    redis_server: RedisServer,
    forker: Forker,
    tmp_path: Path,
    record_fault: Record,
) -> None:
    redis_url = redis_server.url if kind == "postgresql" else ""
    cases = {
        f"C1.{side}": a_doorbell_dies(
            f"C1.{side}", new_durable_database(kind), forker, tmp_path / side, redis_url
        )
        for side in SIDES
    }
    await all_of("F2", kind, cases, record_fault)


async def a_doorbell_dies(place: str, url: str, forker: Forker, log: Path, redis_url: str) -> History:
    async with served(place, url, forker, log, redis_url) as (stage, process, asked):
        message = await stage.publish(approved=False)
        assert (await asked.approve(message))[0] == NO_ANSWER
        assert await process.end() == -signal.SIGKILL
        async with stage.db.transaction(read_only=True) as tx:
            assert await tx.scalar(select(Message.state).where(Message.id == message)) == "approved"
        worker = sender(forker, stage.ends, url, log, redis_url=redis_url)
        try:
            worker.start()
            await until(stage.ends.accepted, seconds=BULK_SECONDS, what="the message is found")
            await stage.over(said=[worker])
        finally:
            worker.kill()
        after = await stage.history()
        after.judge(bound=0)
        assert not after.flagged
        return after


@KINDS
async def test_a_receipt_killed_at_its_commit_is_kept_once_when_the_provider_tries_again(
    kind: str, new_durable_database: New, forker: Forker, tmp_path: Path, record_fault: Record
) -> None:
    cases = {
        f"C7.{side}": a_receipt_dies(f"C7.{side}", new_durable_database(kind), forker, tmp_path / side)
        for side in SIDES
    }
    await all_of("F2", kind, cases, record_fault)


async def a_receipt_dies(place: str, url: str, forker: Forker, log: Path) -> History:
    async with served(place, url, forker, log) as (stage, process, asked):
        await stage.publish(media=("sms",))
        await stage.over(said=[process])
        text = stage.ends.texts.accepted[0]
        with pytest.raises(aiohttp.ClientError):
            await stage.ends.texts.post_status(text, "delivered")
        assert await process.end() == -signal.SIGKILL
        assert await receipts(stage) == {"C7.before": 0, "C7.after": 1}[place]
        process.start()
        await is_up(asked)
        for _ in range(2):
            assert await stage.ends.texts.post_status(text, "delivered") < 300
        assert await receipts(stage) == 1
        after = await stage.history()
        after.judge(bound=0)
        assert after.ledger[1, text.to].state is DeliveryState.DELIVERED
        return after


async def receipts(stage: Drill) -> int:
    async with stage.db.transaction(read_only=True) as tx:
        return int(await tx.scalar(select(func.count()).select_from(ReceiptRow)))
