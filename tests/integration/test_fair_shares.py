"""Teams that post at the same time move on together, on both databases."""

from collections import Counter
from uuid import UUID

from sqlalchemy import Table, insert, select

from channels.memory import Memory
from notifier.broadcast.notices import notice
from notifier.db import Database, Tx
from notifier.delivery.claim import claim
from notifier.delivery.tokens import delivery_token
from notifier.models import Delivery, Lane, Message, NoticeKind, Team, TeamKind
from notifier.worker import Worker
from subscribers.models import Base, new_id
from tests.integration.ledger import publish, world_of

TEAMS, EACH = 20, 12


async def test_twenty_teams_that_post_at_once_move_on_together(
    db: Database, worker: Worker, memory: Memory
) -> None:
    """At any moment of the drain no team has got more than twice as far as another."""
    world = await world_of(db, EACH, media=("email",), wards=(0,))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        for number in range(TEAMS - 1):
            await copied(tx, message, number)
    await worker.drain()
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(select(Delivery.id, Delivery.message_id))
        message_of = {delivery_token(db.keys, row.id): row.message_id for row in rows}
    got: Counter[UUID] = Counter(dict.fromkeys(message_of.values(), 0))
    for sent in memory.sent:
        got[message_of[sent.message.delivery]] += 1
        assert max(got.values()) <= max(2 * min(got.values()), 2)
    assert set(got.values()) == {EACH}


async def copied(tx: Tx, message: UUID, number: int) -> None:
    """The same message of another team, planned for the same people."""
    team, copy = new_id(), new_id()
    values = {"id": team, "slug": f"t{number}", "name": f"Team {number}", "kind": TeamKind.SNT}
    await tx.execute(insert(Team), values)
    row = (await tx.execute(select(Message.__table__).where(Message.id == message))).mappings().one()
    await tx.execute(insert(Message), {**row, "id": copy, "team_id": team, "form_key": f"copy {number}"})
    for name in ("message_texts", "message_areas", "message_topics", "deliveries"):
        table: Table = Base.metadata.tables[name]
        rows = (await tx.execute(select(table).where(table.c.message_id == message))).mappings().all()
        again = [
            {column: value for column, value in each.items() if column not in ("id", "queue")}
            | {"message_id": copy}
            for each in rows
        ]
        if again:
            await tx.execute(insert(table), again)


async def test_a_notice_does_not_wait_behind_a_lane_full_of_messages(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 30, media=("email",), wards=(0,))
    await publish(db, world, wards=(0,), kind="news")
    async with db.transaction() as tx:
        point = world.points[world.subscribers[0], "email"]
        variables = {"items": [], "frequency": "daily"}
        await notice(tx, point, kind=NoticeKind.DIGEST, template="digest", variables=variables)
        taken = await claim(tx, Lane.BULLETIN, 10, "worker")
    assert sum(row.notice_id is not None for row in taken) == 1
