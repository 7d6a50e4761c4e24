"""Machines whose clocks are an hour wrong: nobody is lost, nothing expires early, no lease runs out early."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.drill import QUICK, Drill, drill
from tests.faults.plugin import Line
from tests.providers import Notifier, Providers, free_port, until

SLOTS, ROWS_A_SLOT = 4, 5

New = Callable[[str], str]
Record = Callable[[Line], None]

# Runs before anything else of a process: what it is told of the time is wrong, and it cannot notice.
WRONG_CLOCK = """
import datetime, os, time
wrong = float(os.environ["WRONG_BY_SECONDS"])
real_time, real = time.time, datetime.datetime


class Known(type(real)):
    def __instancecheck__(cls, thing):
        return isinstance(thing, real)

    def __subclasscheck__(cls, kind):
        return issubclass(kind, real)


class Wrong(real, metaclass=Known):
    @classmethod
    def now(cls, tz=None):
        return real.now(tz) + datetime.timedelta(seconds=wrong)

    @classmethod
    def utcnow(cls):
        return real.utcnow() + datetime.timedelta(seconds=wrong)


time.time = lambda: real_time() + wrong
time.time_ns = lambda: int((real_time() + wrong) * 1e9)
datetime.datetime = Wrong
"""


def process(
    ends: Providers, url: str, folder: Path, name: str, *, wrong_by_seconds: float, factor: float
) -> Notifier:
    """A `notifier` whose clock is wrong."""
    place = folder / "wrong"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(WRONG_CLOCK)
    settings = ends.settings(
        url,
        NOTIFIER_LISTEN=f"127.0.0.1:{free_port()}",
        NOTIFIER_TIME_FACTOR=str(factor),
        NOTIFIER_SLOTS=str(SLOTS),
        WRONG_BY_SECONDS=str(wrong_by_seconds),
        PYTHONPATH=os.pathsep.join([str(place), *(path for path in sys.path if path)]),
    )
    assert abs(told_the_time(settings) - time.time() - wrong_by_seconds) < 60
    command = "serve" if url.startswith("sqlite") else "work"
    return Notifier(settings, command, log=folder / f"{name}.log")


def told_the_time(settings: dict[str, str]) -> float:
    """What a process of these settings takes for the time."""
    asked = [sys.executable, "-c", "from datetime import *; print(datetime.now(UTC).timestamp())"]
    said = subprocess.run(asked, env=settings, capture_output=True, text=True, check=True)
    return float(said.stdout)


@pytest.mark.once_on("postgresql")
async def test_clocks_that_are_an_hour_wrong_change_nothing(
    kind: str,
    new_durable_database: New,
    far_ends: Providers,
    tmp_path: Path,
    record_fault: Record,
) -> None:
    """On PostgreSQL one is an hour ahead and one behind, and one of them dies: leases are the database's time."""
    url = new_durable_database(kind)
    async with drill(url, far_ends, 80) as stage:
        ahead = process(far_ends, url, tmp_path, "ahead", wrong_by_seconds=3600, factor=QUICK)
        behind = process(far_ends, url, tmp_path, "behind", wrong_by_seconds=-3600, factor=QUICK)
        try:
            ahead.start()
            if kind == "postgresql":
                behind.start()
            await stage.publish()
            await some_more(stage, 40)
            ahead.kill()
            if kind == "sqlite":
                behind.start()
            seconds = await stage.over(seconds=60)
        finally:
            ahead.kill()
            behind.kill()
        found = await stage.history()
    bound = SLOTS * ROWS_A_SLOT
    record_fault(found.line("F31 clocks +1 h and -1 h", kind, bound=bound, seconds=seconds))
    found.judge(bound=bound)
    assert found.states == {"accepted": len(found.ledger)}


async def some_more(stage: Drill, number: int) -> None:
    enough = len(stage.ends.accepted()) + number
    await until(lambda: len(stage.ends.accepted()) >= enough, seconds=40, what=f"{number} more went out")
