"""The nightly proof: one process of all does it, a run that was lost is found again, and what is wrong alarms."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select, update

from notifier.db import Tx
from notifier.delivery.alarms import AlarmKind, clear_alarm, raise_alarm
from notifier.delivery.findings import Kind, Proved
from notifier.delivery.proof import Reading, prove
from notifier.models import Run
from subscribers.dialects import insert_for

NAME = "proof"
LOST_AFTER = timedelta(hours=1)


def last_due(at: time, now: datetime, zone: ZoneInfo) -> datetime:
    """The latest moment, in UTC, at which the local clock showed `at`. Pure."""
    local = now.astimezone(zone)
    due = datetime.combine(local.date(), at, tzinfo=zone).astimezone(UTC)
    if due > now:
        due = datetime.combine(local.date() - timedelta(days=1), at, tzinfo=zone).astimezone(UTC)
    return due


async def run_if_due(
    reading: Reading,
    writing: Reading,
    *,
    at: time,
    zone: ZoneInfo,
    refuse_repeats: Collection[str] = (),
    factor: float = 1.0,
) -> Proved | None:
    """Prove the ledger where tonight's run has not been begun by anybody; None where it has.

    reading, writing: open a transaction, handed in by the worker. refuse_repeats: as `prove` takes it.
    """
    async with reading() as tx:
        if not is_due(await _run(tx), at=at, zone=zone, now=tx.now, factor=factor):
            return None
    async with writing() as tx:
        begun = await begin(tx, at=at, zone=zone, factor=factor)
    if begun is None:
        return None
    proved = await prove(reading, refuse_repeats=refuse_repeats)
    async with writing() as tx:
        await finish(tx, begun, proved)
    return proved


def is_due(row: Row[Any] | None, *, at: time, zone: ZoneInfo, now: datetime, factor: float = 1.0) -> bool:
    """Is there a run to make: tonight's, or one that its process did not finish within an hour? Pure."""
    if row is None:
        return True
    is_done = row.started_at >= last_due(at, now, zone) and row.finished_at is not None
    is_under_way = row.finished_at is None and row.started_at > now - LOST_AFTER * factor
    return not is_done and not is_under_way


async def begin(tx: Tx, *, at: time, zone: ZoneInfo, factor: float = 1.0) -> datetime | None:
    """Take the run that is due; when it began, or None. Of two that ask at once one gets it.

    The row changes only from what both have read, and only one of them can change it.
    """
    row = await _run(tx)
    if not is_due(row, at=at, zone=zone, now=tx.now, factor=factor):
        return None
    if row is None:
        taken = await tx.execute(
            insert_for(tx, Run).on_conflict_do_nothing().values(name=NAME, started_at=tx.now, result="")
        )
    else:
        taken = await tx.execute(
            update(Run)
            .where(Run.name == NAME, Run.started_at == row.started_at)
            .values(started_at=tx.now, finished_at=None, result="")
        )
    return tx.now if taken.rowcount else None


async def finish(tx: Tx, begun: datetime, proved: Proved) -> None:
    """Record what a run found; raise an alarm for each kind of fault, and clear those that are mended."""
    await tx.execute(
        update(Run)
        .where(Run.name == NAME, Run.started_at == begun)
        .values(finished_at=tx.now, result=in_words(proved)[:200])
    )
    for kind in Kind:
        number = proved.by_kind.get(kind, 0)
        if not number:
            await clear_alarm(tx, AlarmKind.LEDGER, kind)
            continue
        first = next((each for each in proved.findings if each.kind is kind), None)
        example = f", first: {first.in_words}" if first else ""
        await raise_alarm(tx, AlarmKind.LEDGER, kind, f"{number} found{example}")


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """The latest run that came to its end."""

    at: datetime
    result: str


async def last_run(tx: Tx) -> LastRun | None:
    """What the latest run said, or None while there is none."""
    row = await _run(tx)
    return LastRun(at=row.finished_at, result=row.result) if row and row.finished_at else None


def in_words(proved: Proved) -> str:
    """One sentence for people. Pure."""
    read = f"{proved.deliveries:,} deliveries and {proved.messages:,} messages read"
    if not proved.found:
        return f"{read}, every audience adds up, every state follows from its record"
    wrong = ", ".join(f"{number:,} {kind}" for kind, number in sorted(proved.by_kind.items()))
    return f"{read}, {proved.found:,} wrong ({wrong})"


async def _run(tx: Tx) -> Row[Any] | None:
    return (await tx.execute(select(Run).where(Run.name == NAME))).first()
