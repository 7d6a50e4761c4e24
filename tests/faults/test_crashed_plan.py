"""PostgreSQL crashes while a message is planned: what was not on the disk yet went as a whole, and is planned again."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import event, select

from notifier.broadcast import approve, draft, plan
from notifier.db import Database
from notifier.models import Delivery, Message, MessageState
from subscribers.models import ContactPoint
from tests.integration.ledger import world_of
from tests.servers import Postgres
from tests.world import BOROUGH


async def _planned(db: Database, message: UUID) -> list[UUID]:
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(
            select(ContactPoint.subscriber_id)
            .join(Delivery, Delivery.contact_point_id == ContactPoint.id)
            .where(Delivery.message_id == message)
            .order_by(ContactPoint.subscriber_id)
        )
        return [person for person in rows.scalars() if person]


@pytest.mark.parametrize("pages", [1, 3])
async def test_a_plan_goes_on_where_a_crash_left_it(
    pages: int,
    new_durable_database: Callable[[str], str],
    durable_postgres: Postgres,
    open_database: Callable[[str], Awaitable[Database]],
) -> None:
    db = await open_database(new_durable_database("postgresql"))
    world = await world_of(db, 40)
    everybody = sorted(world.subscribers)
    words = draft.Draft(
        kind="news", texts={"en": ("A walk", "Come along.")}, areas=(BOROUGH,), media=("email",)
    )
    async with db.transaction() as tx:
        message = await draft.save(tx, words, team=world.teams[0], author=None)
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    said: list[str] = []
    listen = (db.engine.sync_engine, "before_cursor_execute")
    event.listen(*listen, lambda _c, _u, statement, *_: said.append(statement))
    for _ in range(pages):
        async with db.transaction() as tx:
            assert not await plan.plan_page(tx, message, page=10)
    durable_postgres.crash()
    durable_postgres.start()
    async with db.transaction(read_only=True) as tx:
        row = (await tx.execute(select(Message.state, Message.planned_to).where(Message.id == message))).one()
    assert row.state in (MessageState.APPROVED, MessageState.PLANNING)
    kept = [person for person in everybody if row.planned_to and person <= row.planned_to]
    assert await _planned(db, message) == kept
    done, more = False, 0
    while not done:
        async with db.transaction() as tx:
            done = await plan.plan_page(tx, message, page=10)
        more += 1
    assert await _planned(db, message) == everybody
    unflushed = [statement for statement in said if "synchronous_commit" in statement]
    assert len(unflushed) == pages + more - 1  # the last page's commit is on the disk
    await db.close()
