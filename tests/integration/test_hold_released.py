"""Rows that a hold or a pause met between their claim and their mark: they leave at once when it ends, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import func, select

from channels.memory import Memory
from notifier.broadcast import recall
from notifier.db import Database, Tx
from notifier.delivery import holds
from notifier.delivery.claim import claim
from notifier.models import Delivery, DeliveryEvent, HoldScope, Lane
from notifier.worker import Worker
from tests.integration.ledger import deliver, publish, states, world_of

BY = "officer:someone"
MOST_SECONDS = 2.0
EVERYTHING = 8  # deliveries of the message


@pytest.mark.parametrize("what", ["system", "channel", "team", "message"])
async def test_what_was_turned_back_leaves_at_once_when_the_hold_ends(
    db: Database, worker: Worker, memory: Memory, what: str
) -> None:
    world = await world_of(db)
    team, message = world.teams[0], await publish(db, world)
    keys = {"system": "", "channel": "memory", "team": str(team)}

    async def stop(tx: Tx) -> None:
        if what == "message":
            await recall.pause(tx, message, team=team)
        else:
            await holds.place(tx, HoldScope(what), keys[what], reason="a drill", by=BY)

    async def go_on(tx: Tx) -> None:
        if what == "message":
            await recall.resume(tx, message, team=team)
        else:
            await holds.lift(tx, HoldScope(what), keys[what], by=BY)

    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 5, worker.owner)
    await in_a_transaction(db, stop)
    await deliver(worker, rows)
    fences = await claims(db)
    for _ in range(3):
        await worker.drain()
    assert memory.sent == []
    assert await states(db, message) == {"pending": EVERYTHING}
    assert await claims(db) == fences  # nobody takes them again and again meanwhile

    await in_a_transaction(db, go_on)
    async with asyncio.timeout(MOST_SECONDS):
        await worker.drain()
    assert await states(db, message) == {"accepted": EVERYTHING}
    assert len(memory.sent) == EVERYTHING


async def test_a_row_turned_back_keeps_its_place_and_leaves_no_event(db: Database, worker: Worker) -> None:
    await publish(db, await world_of(db))
    before = await due_times(db)
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 5, worker.owner)
        await holds.place(tx, HoldScope.SYSTEM, "", reason="a drill", by=BY)
    await deliver(worker, rows)
    assert await due_times(db) == before
    async with db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(DeliveryEvent)) == 0


async def in_a_transaction(db: Database, act: Callable[[Tx], Awaitable[None]]) -> None:
    async with db.transaction() as tx:
        await act(tx)


async def claims(db: Database) -> int:
    """How often any row was claimed."""
    async with db.transaction(read_only=True) as tx:
        return int(await tx.scalar(select(func.sum(Delivery.fence))))


async def due_times(db: Database) -> list[tuple[int, object]]:
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(select(Delivery.id, Delivery.due_at).order_by(Delivery.id))
        return [(row.id, row.due_at) for row in rows]
