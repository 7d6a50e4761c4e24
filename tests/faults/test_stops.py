"""Paused, cancelled, opted out of: nothing starts after the commit, and nobody is written to twice."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from notifier.broadcast import leaving, recall
from notifier.models import Attempt, Delivery, DeliveryState
from tests.faults.drill import Drill, drill, in_this_process, sender
from tests.faults.forker import Forker
from tests.faults.plugin import Line, Size
from tests.providers import DOMAIN, Providers, until

SLOTS, ROWS_A_SLOT = 4, 5
EFFECTIVE_SECONDS = 2.0
SLOWLY = (
    "email_smtp=20,sms_twilio=20"  # 32 of bulk at once and 32 a second: some are left when it is told to stop
)

New = Callable[[str], str]
Record = Callable[[Line], None]


async def some_more(stage: Drill, number: int) -> None:
    enough = len(stage.ends.accepted()) + number
    await until(lambda: len(stage.ends.accepted()) >= enough, seconds=40, what=f"{number} more went out")


async def falls_silent(stage: Drill) -> tuple[int, float]:
    """How many were still taken from now on, and when the last of them came."""
    began, first = time.monotonic(), len(stage.ends.accepted())
    seen, last = first, 0.0
    while time.monotonic() - began < EFFECTIVE_SECONDS / 2 + last:
        await asyncio.sleep(0.02)
        if len(stage.ends.accepted()) > seen:
            seen, last = len(stage.ends.accepted()), time.monotonic() - began
    return seen - first, last


@pytest.mark.once_on("sqlite")
async def test_a_message_stops_when_told_goes_on_after_a_restart_and_ends_when_cancelled(
    kind: str,
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    size: Size,
    record_fault: Record,
) -> None:
    url, people = new_durable_database(kind), size(75, 5000)
    bound = SLOTS * ROWS_A_SLOT
    async with drill(url, far_ends, people) as stage:
        team = stage.world.teams[0]
        process = sender(forker, far_ends, url, tmp_path / "work.log", NOTIFIER_RATES=SLOWLY)
        try:
            process.start()
            message = await stage.publish()
            await some_more(stage, 25)
            async with stage.db.transaction() as tx:
                await recall.pause(tx, message, team=team)
            extra, seconds = await falls_silent(stage)
            paused = await stage.history()
            assert await process.stop() == 0
            process.start()
            await asyncio.sleep(0.5)
            assert (await stage.history()).taken == paused.taken, "a restart does not wake what is paused"
            async with stage.db.transaction() as tx:
                await recall.resume(tx, message, team=team)
            await some_more(stage, 25)
            async with stage.db.transaction() as tx:
                await recall.cancel(tx, message, team=team)
            after_cancel, cancel_seconds = await falls_silent(stage)
            await stage.over(said=[process])
        finally:
            process.kill()
        found = await stage.history()
    slowest = max(seconds, cancel_seconds)
    line = found.line(
        "F36 paused and cancelled", kind, bound=0, seconds=slowest, note="seconds: until silence"
    )
    record_fault(line)
    cancelled = found.ended(DeliveryState.CANCELLED)
    found.judge(bound=0, missed=cancelled)
    assert len(cancelled) >= people // 5, "it was stopped in its midst"
    assert not found.flagged
    assert max(extra, after_cancel) <= bound
    assert slowest <= EFFECTIVE_SECONDS


@pytest.mark.once_on("postgresql")
async def test_nothing_starts_for_somebody_after_their_opt_out(
    kind: str,
    new_durable_database: New,
    far_ends: Providers,
    dice: random.Random,
    size: Size,
    record_fault: Record,
) -> None:
    """Every address opts out while the message goes out; four opt out at a time, one slot sends."""
    url, people = new_durable_database(kind), size(100, 10_000)
    async with drill(url, far_ends, people, media=("email",)) as stage:
        points = list(stage.world.points.values())
        dice.shuffle(points)
        before: dict[UUID, int] = {}
        async with in_this_process(far_ends, url, NOTIFIER_SLOTS="1"):
            message = await stage.publish(media=("email",))
            await some_more(stage, 3)

            async def leave(some: list[UUID]) -> None:
                for point in some:
                    async with stage.db.transaction() as tx:
                        await leaving.stop(tx, point, source="link", public_url=f"https://{DOMAIN}")
                    before[point] = await attempts(stage, message, point)

            await asyncio.gather(*(leave(points[at::4]) for at in range(4)))
            await stage.over(seconds=40 + people / 50)  # each who left is also told so, by the one slot
        raced = sum(1 for number in before.values() if number == 0)
        late = sum([await attempts(stage, message, point) > before[point] for point in points])
        found = await stage.history()
    record_fault(
        Line(fault="F37 opt-outs", on=kind, planned=people, lost=0, repeats=late, bound=0, flagged=len(found.flagged),
             note=f"repeats: started after the commit; {raced} came in time")
    )  # fmt: skip
    found.judge(bound=0, missed=found.ended(DeliveryState.SUPPRESSED))
    assert raced >= people // 10, "most were already sent: there was no race"
    assert late == 0


async def attempts(stage: Drill, message: UUID, point: UUID) -> int:
    async with stage.db.transaction(read_only=True) as tx:
        return int(
            await tx.scalar(
                select(func.count())
                .select_from(Attempt)
                .join(Delivery, Delivery.id == Attempt.delivery_id)
                .where(Delivery.message_id == message, Delivery.contact_point_id == point)
            )
        )
