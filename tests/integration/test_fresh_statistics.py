"""What an import leaves behind for the planner: statistics of every table it filled, so that an audience is counted at once."""

import asyncio
import csv
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import event, insert, text

from notifier.cli import notifier
from notifier.cli.areas import import_file
from notifier.db import Database
from subscribers import postcode_files
from subscribers.audience import Criteria
from subscribers.imports import COLUMNS
from subscribers.models import LeastPriority, Postcode
from subscribers.postcode_import import Import
from subscribers.reach import count
from subscribers.signing import Keys
from tests.world import BOROUGH, TOPIC, make_places, ward

PEOPLE = 1_500
KEY = "a-secret-that-only-the-tests-know"
COUNT_SECONDS = 1.0  # of a statement that takes some milliseconds
HAS_ANY = "SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_stat1'"
KNOWN = {
    "sqlite": "SELECT DISTINCT tbl FROM sqlite_stat1",
    "postgresql": "SELECT relname FROM pg_stat_user_tables WHERE last_analyze IS NOT NULL",
}


@pytest.fixture
def keys() -> Keys:
    """A ring that can stand in an environment variable, which knows no spaces inside a key."""
    return Keys([KEY])


async def analyzed(db: Database) -> set[str]:
    """The tables whose statistics somebody asked for."""
    async with db.transaction(read_only=True) as tx:
        if tx.dialect == "sqlite" and not await tx.scalar(text(HAS_ANY)):
            return set()
        return set((await tx.execute(text(KNOWN[tx.dialect]))).scalars())


@pytest.fixture
async def places(db: Database) -> Database:
    async with db.transaction() as tx:
        await make_places(tx)
        await tx.execute(
            insert(Postcode),
            [
                {"postcode": f"SE5 9A{letter}", "ward_code": ward(number), "borough_code": BOROUGH}
                for number, letter in enumerate("ABDEFG")
            ],
        )
    return db


async def bring(folder: Path, url: str, number: int) -> str:
    """Import that many people from a file; gives what the command said."""
    file = folder / "people.csv"
    with file.open("w", newline="") as handle:
        rows = csv.writer(handle)
        rows.writerow(COLUMNS)
        for each in range(number):
            phone, code = f"+4477{each:08d}", f"SE5 9A{'ABDEFG'[each % 6]}"
            rows.writerow([f"p{each}@mail.example", phone, code, "", "en", "2025-03-31", "form"])
    environment = {
        "NOTIFIER_DATABASE_URL": url,
        "NOTIFIER_SECRET_KEYS": KEY,
        "NOTIFIER_CHANNELS": "memory",
    }
    command = ("subscribers", "import", str(file))
    result = await asyncio.to_thread(CliRunner(env=environment).invoke, notifier, command)
    assert result.exit_code == 0, result.output
    return result.output


async def test_an_audience_is_counted_at_once_after_a_large_import(
    places: Database, database_url: str, tmp_path: Path
) -> None:
    await bring(tmp_path, database_url, PEOPLE)
    assert await analyzed(places) >= {"subscribers", "contact_points", "subscriptions", "consent_events"}
    criteria = Criteria(
        areas=tuple(ward(number) for number in range(6)),
        topics=(TOPIC,),
        media=("email", "sms"),
        wanted_by=(LeastPriority.EVERYTHING,),
    )
    async with asyncio.timeout(COUNT_SECONDS), places.transaction() as tx:
        reach = await count(tx, criteria, tx.now)
    assert reach.people == PEOPLE


async def test_a_small_import_leaves_the_statistics_alone(
    places: Database, database_url: str, tmp_path: Path
) -> None:
    await bring(tmp_path, database_url, 3)
    assert "subscribers" not in await analyzed(places)


async def test_postcodes_are_known_to_the_planner_after_their_import_and_not_asked_for_again(
    db: Database, tmp_path: Path
) -> None:
    path = tmp_path / "file.csv"
    lines = [
        f"ZE{first} {second}{third},,{BOROUGH},{ward(first % 6)},447000,1141000,60.15,-1.15"
        for first in range(1, 60)
        for second in range(1, 10)
        for third in ("AA", "AB")
    ]
    path.write_text("\n".join(["pcds,doterm,oslaua,osward,oseast1m,osnrth1m,lat,long", *lines]) + "\n")
    said: list[str] = []
    listen = (db.engine.sync_engine, "before_cursor_execute")
    event.listen(*listen, lambda _c, _u, statement, *_: said.append(statement))
    for asked in (["ANALYZE postcodes", "ANALYZE areas"], []):
        said.clear()
        with postcode_files.opened(path) as file:
            await import_file(db, file, Import(layout=file.layout, vintage="2013-08"))
        assert [each for each in said if each.startswith("ANALYZE")] == asked
    assert await analyzed(db) >= {"postcodes", "areas"}
