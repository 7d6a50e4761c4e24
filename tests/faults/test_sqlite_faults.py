"""An SQLite file that a backup holds, that a full disk stops, or that a power cut leaves: what was committed stays."""

import asyncio
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select, update

from notifier.models import DeliveryState, Message, Team
from tests.faults.caller import caller, is_up
from tests.faults.drill import QUICK, Drill, drill, sender, server
from tests.faults.forker import Forker
from tests.faults.history import Entry, Key, title
from tests.faults.plugin import Line, Size
from tests.providers import Providers, database, until

SLOTS, ROWS_A_SLOT = 4, 5

New = Callable[[str], str]
Record = Callable[[Line], None]


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@contextmanager
def held(file: Path) -> Iterator[None]:
    """The write lock, as a backup tool keeps it."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def is_whole(file: Path) -> bool:
    connection = sqlite3.connect(file)
    try:
        integrity = connection.execute("PRAGMA integrity_check").fetchall()
        return integrity == [("ok",)] and not connection.execute("PRAGMA foreign_key_check").fetchall()
    finally:
        connection.close()


async def test_a_backup_that_holds_the_file_only_makes_everybody_wait(
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    size: Size,
    record_fault: Record,
) -> None:
    url, seconds = new_durable_database("sqlite"), float(size(2, 10))
    async with drill(url, far_ends, 40) as stage:
        process, port = server(forker, far_ends, url, tmp_path / "serve.log")
        try:
            process.start()
            async with caller(stage.db, stage.world.teams[0], port) as asked:
                await is_up(asked)
                await stage.publish()
                await until(lambda: len(far_ends.accepted()) >= 20, seconds=20, what="20 went out")
                with held(file_of(url)):
                    waiting = asyncio.create_task(asked.draft(title(2), key="while-held"))
                    began = time.monotonic()
                    while time.monotonic() < began + seconds:
                        assert await asked.is_there(), "pages that only read are served meanwhile"
                        await asyncio.sleep(0.1)
                    assert not waiting.done()
                status, _ = await waiting
                assert status == 201
            await stage.over(said=[process])
            assert "request_failed" not in process.said()
        finally:
            process.kill()
        found = await stage.history()
    record_fault(found.line(f"F17 locked {seconds:.0f} s", "sqlite", bound=0))
    found.judge(bound=0)


async def test_on_a_full_disk_nothing_is_promised_that_is_not_kept(
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    record_fault: Record,
) -> None:
    """No file of the process may grow any more: the write-ahead log, the database, and its own log too."""
    url = new_durable_database("sqlite")
    async with drill(url, far_ends, 10) as stage:
        process, port = server(forker, far_ends, url, tmp_path / "serve.log")
        most = file_of(url).stat().st_size
        kept: set[str] = set()
        try:
            process.start(most_file_bytes=most)
            async with caller(stage.db, stage.world.teams[0], port) as asked:
                await is_up(asked)
                refused = 0
                for number in range(1, 400):
                    status, answer = await asked.draft(title(number), key=f"draft-{number}")
                    assert status in (201, 503), answer
                    if status == 201:
                        kept.add(answer["id"])
                    else:
                        refused += 1
                        assert answer["detail"]
                    if refused == 3:
                        break
                assert refused == 3
                async with stage.db.transaction(read_only=True) as tx:
                    there = {str(id_) for id_ in (await tx.execute(select(Message.id))).scalars()}
                assert kept == there, "what was answered 201 is there, and nothing else"
                process.kill()
                assert is_whole(file_of(url))
                process.start()
                await is_up(asked)
                assert (await asked.draft(title(400), key="room-again"))[0] == 201
        finally:
            process.kill()
    record_fault(
        Line(fault="F30 disk full", on="sqlite", planned=len(kept), lost=len(kept - there), repeats=0, bound=0,
             flagged=0, note="planned: posts answered 201")
    )  # fmt: skip


# --- F7: the machine stops --------------------------------------------------------------


def copied(file: Path, to: Path) -> Path:
    """The files of an open database as a crash would leave them; its processes stand still meanwhile."""
    for suffix in ("", "-wal"):
        if Path(f"{file}{suffix}").exists():
            shutil.copyfile(f"{file}{suffix}", f"{to}{suffix}")
    return to


@pytest.mark.timeout(900)
async def test_files_copied_while_they_are_written_hold_all_that_was_committed(
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    dice: random.Random,
    size: Size,
    record_fault: Record,
) -> None:
    url, copies = new_durable_database("sqlite"), size(4, 100)
    lost = 0
    async with drill(url, far_ends, 60) as stage:
        process = sender(forker, far_ends, url, tmp_path / "serve.log", factor=QUICK)
        try:
            process.start()
            for number in range(copies):
                if await stage.is_over():
                    await stage.publish()
                await until(lambda: len(far_ends.accepted()) > 0, seconds=20, what="the first went out")
                await asyncio.sleep(dice.random() * 0.15)
                process.freeze()
                known = (await stage.history()).ledger
                file = copied(file_of(url), tmp_path / f"copy{number}.db")
                process.thaw()
                assert is_whole(file)
                lost += await missing(stage, f"sqlite:///{file}", known)
            process.freeze()
            last = copied(file_of(url), tmp_path / "last.db")
        finally:
            process.kill()
        async with database(f"sqlite:///{last}") as db:
            again = Drill(db=db, ends=far_ends, world=stage.world, messages=stage.messages)
            process = sender(forker, far_ends, f"sqlite:///{last}", tmp_path / "again.log", factor=QUICK)
            try:
                process.start()
                seconds = await again.over(said=[process])
            finally:
                process.kill()
            found = await again.history()
    bound = SLOTS * ROWS_A_SLOT
    record_fault(found.line(f"F7 copied {copies} times", "sqlite", bound=bound, seconds=seconds))
    assert lost == 0
    found.judge(bound=bound)


STEPS = [DeliveryState.PENDING, DeliveryState.LEASED, DeliveryState.STARTED, DeliveryState.IN_DOUBT]


def step_of(entry: Entry) -> tuple[int, int]:
    """How far a row has come. Nothing fails here, so it only goes on."""
    return entry.attempts, STEPS.index(entry.state) if entry.state in STEPS else len(STEPS)


async def missing(stage: Drill, url: str, known: Mapping[Key, Entry]) -> int:
    """How many rows of the ledger are less far in a copy than was known when it was made.

    They may be farther: a commit that is in the log, and that nobody was told of before the process stood still.
    """
    async with database(url) as db:
        found = (
            await Drill(db=db, ends=stage.ends, world=stage.world, messages=stage.messages).history()
        ).ledger
    return sum(key not in found or step_of(found[key]) < step_of(entry) for key, entry in known.items())


async def test_a_write_ahead_log_cut_anywhere_ends_with_the_last_commit_that_is_whole(
    new_durable_database: New,
    far_ends: Providers,
    tmp_path: Path,
    dice: random.Random,
    size: Size,
    record_fault: Record,
) -> None:
    url, cuts = new_durable_database("sqlite"), size(40, 1000)
    file = file_of(url)
    async with drill(url, far_ends, 2) as stage:
        team = stage.world.teams[0]
        ends: list[int] = []
        for number in range(60):
            async with stage.db.transaction() as tx:
                name = f"{number} {'x' * number * 40}"
                await tx.execute(update(Team).where(Team.id == team).values(name=name))
            ends.append(log_of(file))
        whole = copied(file, tmp_path / "whole.db")
    places = [dice.randrange(ends[0], ends[-1]) for _ in range(cuts)]
    wrong = [
        at
        for at in places
        if last_commit_of_cut(whole, at) < max(n for n, end in enumerate(ends) if end <= at)
    ]
    record_fault(
        Line(fault="F7 log cut", on="sqlite", planned=cuts, lost=len(wrong), repeats=0, bound=0, flagged=0,
             note="planned: cuts at random bytes")
    )  # fmt: skip
    assert not wrong


def log_of(file: Path) -> int:
    """Bytes of the write-ahead log."""
    return Path(f"{file}-wal").stat().st_size


def last_commit_of_cut(whole: Path, at: int) -> int:
    """The number of the last commit in a copy whose log ends at that byte; the copy must be in order."""
    cut = whole.with_name("cut.db")
    Path(f"{cut}-shm").unlink(missing_ok=True)
    shutil.copyfile(whole, cut)
    Path(f"{cut}-wal").write_bytes(Path(f"{whole}-wal").read_bytes()[:at])
    assert is_whole(cut), f"cut at byte {at}"
    return last_commit(cut)


def last_commit(file: Path) -> int:
    connection = sqlite3.connect(file)
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM teams")]
        return max(int(name.split()[0]) for name in names if name.split()[0].isdigit())
    finally:
        connection.close()
