"""SIGKILL in the middle of messages, again and again, by a drawn schedule: none lost, repeats within the bound.

Half of the victims die at a fail point of the schedule, half by a kill from outside after some more was
taken. W, the bound, is *M* rows for each slot of each lane of a killed worker.
"""

import contextlib
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from notifier.models import DeliveryState
from tests.faults.drill import QUICK, Drill, drill, planned, sender
from tests.faults.forker import Forked, Forker
from tests.faults.history import story
from tests.faults.plugin import Line, Size
from tests.providers import providers, until
from tests.servers import RedisServer

SLOTS, ROWS_A_SLOT = 4, 5
POINTS = ("C2", "C3", "C4", "C5", "C6")

New = Callable[[str], str]
Record = Callable[[Line], None]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_workers_killed_again_and_again_lose_nothing_and_flag_every_repeat(
    kind: str,
    kill_round: int,
    new_durable_database: New,
    redis_server: RedisServer,
    forker: Forker,
    tmp_path: Path,
    dice: random.Random,
    size: Size,
    record_fault: Record,
) -> None:
    url, kills, people = new_durable_database(kind), size(10, 50), size(50, 150)
    redis_url = redis_server.url if kind == "postgresql" else ""
    async with providers() as ends, drill(url, ends, people) as stage:
        workers = [
            sender(forker, ends, url, tmp_path / f"work{i}.log", redis_url=redis_url, factor=QUICK)
            for i in range(1 if kind == "sqlite" else 2)
        ]
        try:
            for worker in workers:
                worker.start()
            killed = 0
            while killed < kills:
                await keep_busy(stage)
                killed += await kill(dice.choice(workers), stage, dice)
            seconds = await stage.over(seconds=120, said=workers)
        finally:
            for worker in workers:
                worker.kill()
        found = await stage.history()
        for key in sorted(found.repeated - found.flagged)[:3]:
            print(key, await story(stage.db, found.ledger[key].id))  # noqa: T201 - shown where the test fails
    left = found.ended(DeliveryState.HELD, DeliveryState.UNKNOWN) & found.missed  # a person decides
    bound = killed * SLOTS * ROWS_A_SLOT
    record_fault(
        found.line(
            f"F1 {killed} kills #{kill_round + 1}",
            kind,
            bound=bound,
            seconds=seconds,
            note=f"left to a person: {len(left)}",
        )
    )
    found.judge(bound=bound, missed=left)
    assert len(left) <= len(found.ledger) // 10


async def keep_busy(stage: Drill) -> None:
    """One more message where the last ones are nearly out."""
    planned = audience(stage) * len(stage.messages)
    if planned - len(stage.ends.accepted()) < audience(stage):
        kind = ("priority_update", "news", "alert")[len(stage.messages) % 3]
        await stage.publish(kind=kind, media=("email", "sms", "social"))


def audience(stage: Drill) -> int:
    """A mail and a text for each of them, and a post."""
    return len(stage.world.points) + 1


async def kill(victim: Forked, stage: Drill, dice: random.Random) -> int:
    """End one process as the schedule says, and start it again unarmed; how many were killed."""
    if dice.random() < 0.5:
        enough = len(stage.ends.accepted()) + dice.randrange(1, 40)
        with contextlib.suppress(AssertionError):
            await until(lambda: len(stage.ends.accepted()) >= enough, seconds=1, what="some went out")
        victim.kill()
        victim.start()
        return 1
    place = f"{dice.choice(POINTS)}.{dice.choice(('before', 'after'))}:kill@{dice.randrange(1, 4)}"
    victim.kill()
    victim.start(NOTIFIER_FAILPOINT=place)
    await keep_busy(stage)
    with contextlib.suppress(AssertionError):
        await until(lambda: victim.ended() is not None, seconds=1, what="it dies")
    victim.kill()
    victim.start()
    return 2


@pytest.mark.parametrize(("message_kind", "most_seconds", "factor"), [("news", 75, 0.2), ("alert", 20, 0.2)])
async def test_what_a_dead_worker_had_only_claimed_is_taken_over_in_time(
    message_kind: str,
    most_seconds: int,
    factor: float,
    new_durable_database: New,
    forker: Forker,
    tmp_path: Path,
    record_fault: Record,
) -> None:
    """The figure holds for the leases of production: here both are shortened by the same factor."""
    url = new_durable_database("postgresql")
    async with providers() as ends, drill(url, ends, 10) as stage:
        victim = sender(forker, ends, url, tmp_path / "victim.log", factor=factor)
        other = sender(forker, ends, url, tmp_path / "other.log", factor=factor)
        try:
            await planned(stage, await stage.publish(kind=message_kind))
            victim.start(NOTIFIER_FAILPOINT="C3:kill")
            assert await victim.end() == -signal.SIGKILL
            claimed = (await stage.history()).ended(DeliveryState.LEASED)
            other.start()
            seconds = await stage.over(said=[other])
            other.kill()
            again = await stage.publish(kind=message_kind)
            await planned(stage, again)
            other.start()
            idle = await stage.over(again, said=[other])
        finally:
            victim.kill()
            other.kill()
        found = await stage.history()
    note = f"{(seconds - idle) / factor:.0f} s at default leases, {most_seconds} are the bound"
    record_fault(
        found.line(f"F1 {message_kind} taken over", "postgresql", bound=0, seconds=seconds, note=note)
    )
    found.judge(bound=0)
    assert claimed
    assert seconds - idle <= most_seconds * factor, "what it takes beyond a start and a message as such"
