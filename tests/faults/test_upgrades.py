"""A database that grows while it is used, and one filled by an older version: every row stays, nothing stops."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from notifier import migrations
from notifier.db import Database
from tests.faults.caller import caller, is_up
from tests.faults.drill import drill, in_this_process, server
from tests.faults.forker import Forker
from tests.faults.history import title
from tests.faults.plugin import Line, Size
from tests.providers import Providers, until

New = Callable[[str], str]
Record = Callable[[Line], None]
Rows = dict[str, list[tuple[str, ...]]]


@pytest.mark.once_on("postgresql")
async def test_a_filled_database_of_the_first_version_keeps_every_row(
    kind: str, new_durable_database: New, far_ends: Providers, record_fault: Record
) -> None:
    """Filled by sending, taken back to the first schema, and brought to the newest again."""
    url = new_durable_database(kind)
    async with drill(url, far_ends, 30) as stage:
        await stage.publish(media=("email", "sms", "social"))
        async with in_this_process(far_ends, url):
            await stage.over()
        await stage.publish()
        await stage.db.engine.dispose()
        await asyncio.to_thread(migrations.downgrade, url, "0001")
        columns = await columns_of(stage.db)
        before = await rows(stage.db, columns)
        await stage.db.engine.dispose()
        await asyncio.to_thread(migrations.upgrade, url)
        after = await rows(stage.db, columns)
        lost = sum(len(set(before[table]) - set(after[table])) for table in before)
        async with in_this_process(far_ends, url):
            await stage.over()
        found = await stage.history()
    number = sum(len(some) for some in before.values())
    record_fault(
        Line(fault="F42 0001 to newest", on=kind, planned=number, lost=lost, repeats=found.repeats, bound=0,
             flagged=len(found.flagged), note="planned: rows of every table")
    )  # fmt: skip
    assert before == after
    assert found.repeats == 0
    assert not found.missed


async def test_a_table_that_grows_while_it_is_used_stops_nobody(
    new_durable_database: New,
    far_ends: Providers,
    forker: Forker,
    tmp_path: Path,
    size: Size,
    record_fault: Record,
) -> None:
    """A migration of the expanding kind: a column that may be empty, an index built while others write."""
    url = new_durable_database("postgresql")
    async with drill(url, far_ends, size(80, 5000)) as stage:
        process, port = server(forker, far_ends, url, tmp_path / "serve.log")
        try:
            process.start()
            async with caller(stage.db, stage.world.teams[0], port) as asked:
                await is_up(asked)
                await stage.publish()
                await until(lambda: len(far_ends.accepted()) >= 40, seconds=20, what="40 went out")
                growing = asyncio.create_task(grow(stage.db))
                number = 100
                while not growing.done() or number < 105:
                    number += 1
                    assert (await asked.draft(title(number), key=f"key-{number}"))[0] == 201
                await growing
            await stage.over(seconds=100, said=[process])
            assert "request_failed" not in process.said()
        finally:
            process.kill()
        found = await stage.history()
    record_fault(found.line("F42 grown under load", "postgresql", bound=0))
    found.judge(bound=0)
    assert not found.flagged


async def grow(db: Database) -> None:
    statements = (
        "ALTER TABLE deliveries ADD COLUMN added_later text",
        "ALTER TABLE messages ADD COLUMN added_later text",
        "CREATE INDEX CONCURRENTLY ix_deliveries_added_later ON deliveries (added_later)",
    )
    for statement in statements:
        async with db.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.exec_driver_sql(statement)


async def columns_of(db: Database) -> Mapping[str, list[str]]:
    """Every table of ours, and its columns."""
    async with db.engine.connect() as connection:
        return await connection.run_sync(_columns)


def _columns(connection: Connection) -> Mapping[str, list[str]]:
    found = inspect(connection)
    return {
        table: [column["name"] for column in found.get_columns(table)]
        for table in found.get_table_names()
        if table != "alembic_version"
    }


async def rows(db: Database, columns: Mapping[str, list[str]]) -> Rows:
    """All rows of those columns, in one order."""
    found: Rows = {}
    async with db.engine.connect() as connection:
        for table, names in columns.items():
            listed = ", ".join(f'"{name}"' for name in names)
            result = await connection.execute(text(f'SELECT {listed} FROM "{table}"'))  # noqa: S608 - our own names
            found[table] = sorted(tuple(str(value) for value in row) for row in result)
    return found
