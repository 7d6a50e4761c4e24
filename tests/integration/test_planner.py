"""What PostgreSQL's planner makes of our statements where its statistics mislead it."""

from typing import Any

import pytest
from sqlalchemy import text

from notifier.db import Database, Tx
from notifier.delivery.claim import claim
from notifier.delivery.mark import mark
from notifier.models import Lane
from subscribers import dialects
from subscribers.audience import Criteria, Span, select_audience
from subscribers.models import LeastPriority
from tests.integration.ledger import publish, world_of
from tests.world import ward


@pytest.mark.parametrize("everybody", [False, True])
async def test_a_page_that_looks_like_one_row_to_the_planner_is_not_read_for_each_person(
    db: Database, everybody: bool
) -> None:
    """Two bounds within one step of its histogram: a force's bulletin to a million took seconds a page."""
    people = 600
    world = await world_of(db, people, media=("email",), wards=(0,))
    criteria = Criteria(
        areas=(ward(0),),
        topics=(),
        media=("email",),
        wanted_by=tuple(LeastPriority),
        is_everywhere=everybody,
    )
    ids = sorted(world.subscribers)
    page = Span(after=ids[100], upto=ids[400])
    async with db.transaction() as tx:
        if tx.dialect == "postgresql":
            for table, column in KEYS_OF_PAGES:
                await tx.execute(text(f"ALTER TABLE {table} ALTER {column} SET STATISTICS 1"))
                await tx.execute(text(f"ANALYZE {table}"))
            await dialects.write_widely(tx, in_step=criteria.is_nearly_everybody)
        found = select_audience(criteria, tx.now, page)
        assert len((await tx.execute(found)).all()) == 300
        if tx.dialect == "postgresql":
            words = found.compile(dialect=tx.connection.dialect, compile_kwargs={"literal_binds": True})
            plan_said = await tx.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {words}".replace(":", r"\:")))
            assert sum(_thrown_away(plan_said[0]["Plan"])) < people


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_claim_and_a_mark_write_to_no_index(db: Database) -> None:
    """Or a mail costs nine entries in indexes instead of six."""
    world = await world_of(db, 40, media=("email",), wards=(0,))
    await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        before = await _updated(tx)
        rows = await claim(tx, Lane.WARD, 40, "one")
        after = await _updated(tx)
    assert (after[0] - before[0], after[1] - before[1]) == (40, 40)
    async with db.transaction() as tx:  # what the claim left behind may be cleared away now
        before = await _updated(tx)
        assert len(await mark(tx, rows, "one", timeout_seconds=10)) == 40
        after = await _updated(tx)
    assert (after[0] - before[0], after[1] - before[1]) == (40, 40)


async def _updated(tx: Tx) -> tuple[int, ...]:
    """(rows updated, of them without a word to any index) of the deliveries, as this connection counts them."""
    said = text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'deliveries'")
    return tuple((await tx.execute(said)).one())


KEYS_OF_PAGES = (
    ("subscribers", "id"),
    ("contact_points", "subscriber_id"),
    ("subscriptions", "subscriber_id"),
)


def _thrown_away(step: dict[str, Any]) -> list[int]:
    """Rows that each join of a plan put together in vain."""
    below = [number for each in step.get("Plans", ()) for number in _thrown_away(each)]
    return [int(step.get("Rows Removed by Join Filter", 0)) * int(step["Actual Loops"]), *below]
