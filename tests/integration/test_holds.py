"""Holds on everything, a channel or a team: nothing starts while one stands, and nothing is lost by it."""

import pytest
from sqlalchemy import select, update

from channels.memory import Memory
from notifier.db import Database
from notifier.delivery import holds
from notifier.delivery.claim import claim
from notifier.errors import Conflict, Invalid
from notifier.models import AuditEvent, Delivery, HoldScope, Lane
from notifier.worker import Worker
from tests.integration.ledger import deliver, publish, states, world_of

BY = "officer:someone"


async def test_nothing_starts_while_it_is_held_and_all_goes_once_it_is_released(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    held = [
        (HoldScope.SYSTEM, ""),
        (HoldScope.CHANNEL, "memory"),
        (HoldScope.TEAM, str(world.teams[0])),
    ]
    message = await publish(db, world)
    for scope, key in held:
        async with db.transaction() as tx:
            await holds.place(tx, scope, key, reason="the provider sends everything twice", by=BY)
            await tx.execute(update(Delivery).values(due_at=tx.now))
        await worker.drain()
        assert memory.sent == []
        assert await states(db, message) == {"pending": 8}
        async with db.transaction() as tx:
            await holds.lift(tx, scope, key, by=BY)
    async with db.transaction() as tx:
        await holds.place(tx, HoldScope.TEAM, str(world.teams[1]), reason="another team's", by=BY)
        await tx.execute(update(Delivery).values(due_at=tx.now))
    await worker.drain()
    assert await states(db, message) == {"accepted": 8}
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(select(AuditEvent.action, AuditEvent.object_kind).order_by(AuditEvent.id))
        assert [tuple(row) for row in rows][:2] == [
            ("held", "sending_system"),
            ("released", "sending_system"),
        ]


async def test_a_row_claimed_before_the_hold_is_turned_back_at_the_mark(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    message = await publish(db, world)
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 5, worker.owner)
    async with db.transaction() as tx:
        await holds.place(tx, HoldScope.SYSTEM, "", reason="stop", by=BY)
    await deliver(worker, rows)
    assert memory.sent == []
    assert await states(db, message) == {"pending": 8}


async def test_a_hold_needs_a_reason_and_stands_once(db: Database) -> None:
    world = await world_of(db, 1)
    async with db.transaction() as tx:
        with pytest.raises(Invalid):
            await holds.place(tx, HoldScope.SYSTEM, "", reason="  ", by=BY)
        await holds.place(tx, HoldScope.TEAM, str(world.teams[0]), reason="why", by=BY)
        await holds.place(tx, HoldScope.SYSTEM, "", reason="too  many\nbounces", by=BY)
        with pytest.raises(Conflict):
            await holds.place(tx, HoldScope.SYSTEM, "", reason="again", by=BY)
        found = await holds.standing(tx)
        assert [(each.scope, each.name, each.reason) for each in found] == [
            (HoldScope.SYSTEM, "", "too many bounces"),
            (HoldScope.TEAM, "Abbey and Bridge team", "why"),
        ]
        await holds.lift(tx, HoldScope.SYSTEM, "", by=BY)
        with pytest.raises(Conflict):
            await holds.lift(tx, HoldScope.SYSTEM, "", by=BY)
