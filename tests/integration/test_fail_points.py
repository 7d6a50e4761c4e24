"""A commit point is reached by a transaction that wrote a row, and by no other: nothing-to-do commits too."""

import pytest
from sqlalchemy import Update, select, update

from notifier import failpoints
from notifier.db import Database
from notifier.models import Team
from tests.integration.replies import make_world
from tests.world import World


@pytest.fixture(autouse=True)
def _disarmed():  # type: ignore[no-untyped-def]
    yield
    failpoints.arm("")


def renamed(world: World, name: str) -> Update:
    return update(Team).where(Team.id == world.teams[0], Team.name != name).values(name=name)


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_commit_strikes_once_it_wrote_a_row(db: Database, side: str) -> None:
    world = await make_world(db)
    failpoints.arm(f"C3.{side}:raise")
    async with db.transaction(point="C3") as tx:
        await tx.execute(select(Team.id).with_for_update())
        await tx.execute(update(Team).where(Team.slug == "nobody").values(name="x"))
    with pytest.raises(failpoints.FailPointReached):
        await db.attempt(lambda tx: tx.execute(renamed(world, "Renamed")), point="C3")
    async with db.transaction(point="C3") as tx:
        name = await tx.scalar(select(Team.name).where(Team.id == world.teams[0]))
    assert (name == "Renamed") is (side == "after")


async def test_the_third_time_is_the_third_that_wrote_a_row(db: Database) -> None:
    world = await make_world(db)
    failpoints.arm("C6:raise@3")
    for name in ("one", "one", "two", "two"):
        await db.attempt(lambda tx, name=name: tx.execute(renamed(world, name)), point="C6")  # type: ignore[misc]
    with pytest.raises(failpoints.FailPointReached):
        await db.attempt(lambda tx: tx.execute(renamed(world, "three")), point="C6")


async def test_a_point_that_is_not_armed_stops_nobody(db: Database) -> None:
    world = await make_world(db)
    failpoints.arm("C4:raise")
    await db.attempt(lambda tx: tx.execute(renamed(world, "one")), point="C3")
    await db.attempt(lambda tx: tx.execute(renamed(world, "two")))
