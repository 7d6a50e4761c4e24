"""The rehearsal of a whole city: `python -m benchmarks.drill [--people 1000000]`.

One bulletin to everybody, workers killed at random (SIGKILL, seeded) from beginning to end and started again, an alert
to a neighbourhood in the middle; then the far end's own count is held against the ledger, and the ledger is proved.
Leases and waits are shortened by one stated factor; everything else is as in production.
"""

import asyncio
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field

import click
from sqlalchemy import func, select

from benchmarks.lanes import ALERTED, alert, gather
from benchmarks.machine import Sink, percentile, sink
from benchmarks.stage import Stage, people, postgres_stage, publish, settled
from notifier.db import Database
from notifier.models import Delivery
from tests.providers import Notifier

FACTOR = 0.1
SLOTS, ROWS_A_SLOT = 32, 5


@dataclass
class Killer:
    """Keeps workers running, and kills one of them every few seconds."""

    workers: list[Notifier]
    chance: random.Random
    pause_seconds: float
    kills: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        while not self.stopping.is_set():
            try:
                async with asyncio.timeout(self.chance.uniform(0.5, 1.5) * self.pause_seconds):
                    await self.stopping.wait()
            except TimeoutError:
                worker = self.chance.choice(self.workers)
                await asyncio.to_thread(worker.kill)
                worker.start()
                self.kills += 1


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of a drill. taken: by the far end, repeats among them. bound: most repeats the kills allow."""

    planned: int
    waits: list[float]
    kills: int
    seconds: float
    taken: int
    repeats: int
    flagged: int
    proof: "subprocess.CompletedProcess[str]"

    @property
    def bound(self) -> int:
        return self.kills * SLOTS * ROWS_A_SLOT

    @property
    def expected(self) -> int:
        return self.planned + len(self.waits)

    @property
    def lost(self) -> int:
        return self.expected - (self.taken - self.repeats)

    @property
    def is_well(self) -> bool:
        few = self.repeats <= min(self.bound, self.flagged)
        return self.lost == 0 and few and self.proof.returncode == 0

    def words(self) -> str:
        p50, p99 = percentile(self.waits, 0.5), percentile(self.waits, 0.99)
        return (
            f"bulletin of {self.planned:,}, alert of {len(self.waits):,}, {self.kills} kills, waits × {FACTOR}\n"
            f"over in {self.seconds:.0f} s; the alert was accepted in p50 {p50:.2f} s, p99 {p99:.2f} s\n"
            f"taken by the far end {self.taken:,}, lost {self.lost}, "
            f"repeats {self.repeats} (bound {self.bound:,}), flagged {self.flagged:,}\n"
            f"doctor --ledger: exit {self.proof.returncode}: {self.proof.stdout.strip()[-600:]}"
        )


async def drill(
    stage: Stage, far_end: Sink, *, number: int, alerted: int, chance: random.Random, pause: float
) -> Report:
    """Publish, kill, alert, wait, prove."""
    settings = stage.settings(far_end, slots=SLOTS, NOTIFIER_TIME_FACTOR=str(FACTOR))
    workers = [Notifier(settings, "work", log=stage.folder / f"worker{n}.log") for n in range(2)]
    killer = Killer(workers=workers, chance=chance, pause_seconds=pause)
    async with stage.opened() as db:
        made = await people(stage, db, number)
        await gather(db, alerted)
        bulletin, planned = await publish(db, made.team, made.force)
        began = time.monotonic()
        try:
            for worker in workers:
                worker.start()
            killing = asyncio.create_task(killer.run())
            try:
                await asyncio.to_thread(far_end.wait_for, planned // 2, seconds=1800)
                waits = await alert(db, made.team, ALERTED)
                await asyncio.to_thread(far_end.wait_for, int(0.98 * planned), seconds=1800)
            finally:
                killer.stopping.set()
                await killing
            await settled(db, bulletin, seconds=600)
            seconds = time.monotonic() - began
        finally:
            for worker in workers:
                await asyncio.to_thread(worker.stop)
        flagged = await _flagged(db)
        proof = await asyncio.to_thread(_prove, settings)
    taken, repeats = far_end.count()
    return Report(
        planned=planned,
        waits=waits,
        kills=killer.kills,
        seconds=seconds,
        taken=taken,
        repeats=repeats,
        flagged=flagged,
        proof=proof,
    )


async def _flagged(db: Database) -> int:
    async with db.transaction(read_only=True) as tx:
        return int(await tx.scalar(select(func.count()).where(Delivery.maybe_repeat.is_(True))))


def _prove(settings: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    code = "from notifier.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "doctor", "--ledger"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


@click.command()
@click.option("--people", "number", default=1_000_000, show_default=True)
@click.option("--alerted", default=5_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--pause", default=5.0, show_default=True, help="Seconds between two kills, about.")
def main(number: int, alerted: int, seed: int, pause: float) -> None:
    """Exit code 1 where anything was lost, repeated beyond the bound, or does not add up."""
    click.echo(f"seed {seed}", err=True)
    with postgres_stage() as stage, sink() as far_end:
        work = drill(stage, far_end, number=number, alerted=alerted, chance=random.Random(seed), pause=pause)
        report = asyncio.run(work)
    click.echo(report.words())
    sys.exit(0 if report.is_well else 1)


if __name__ == "__main__":
    main()
