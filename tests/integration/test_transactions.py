"""Who writes to SQLite when many want to: each in its turn, and nobody who only reads waits for them."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from notifier import db as database
from notifier.db import Database, is_away
from subscribers.models import DataKey, new_id

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CROWD = 40  # more than the pool has connections


async def write(db: Database, purpose: str) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            insert(DataKey).values(id=new_id(), purpose=purpose, wrapped=b"-", created_at=tx.now)
        )


async def purposes(db: Database) -> Sequence[str]:
    """As they were written: ids of one millisecond have no order."""
    async with db.transaction(read_only=True) as tx:
        return (await tx.execute(select(DataKey.purpose).order_by(text("rowid")))).scalars().all()


async def test_a_crowd_of_writers_goes_in_the_order_it_came_and_holds_up_no_reader(db: Database) -> None:
    async with asyncio.TaskGroup() as crowd, db.transaction():
        for number in range(CROWD):
            crowd.create_task(write(db, f"writer-{number}"))
            await asyncio.sleep(0)
        assert not [each for each in await purposes(db) if each.startswith("writer-")]
    assert [each for each in await purposes(db) if each.startswith("writer-")] == [
        f"writer-{number}" for number in range(CROWD)
    ]


async def test_what_is_kept_apart_goes_ahead_of_the_crowd(db: Database) -> None:
    async with db.apart() as apart, asyncio.TaskGroup() as crowd, db.transaction():
        for number in range(3):
            crowd.create_task(write(db, f"writer-{number}"))
            await asyncio.sleep(0)
        crowd.create_task(write(apart, "writer-apart"))
        await asyncio.sleep(0)
    ours = [each for each in await purposes(db) if each.startswith("writer-")]
    assert ours == ["writer-apart", "writer-0", "writer-1", "writer-2"]


async def test_a_writer_whose_turn_never_comes_is_told_so_and_blocks_nobody(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SQLITE_PATIENCE_SECONDS", 0.05)
    async with db.transaction():
        with pytest.raises(PoolTimeout) as raised:
            await write(db, "late")
        waiting = asyncio.create_task(write(db, "given up"))
        await asyncio.sleep(0)
        waiting.cancel()
    assert is_away(raised.value)
    await write(db, "next")
    assert set(await purposes(db)) & {"late", "given up", "next"} == {"next"}
