"""A message that waits, is taken back, or goes out in a digest: on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from channels.memory import Memory
from notifier.broadcast import approve, draft, plan, recall, report
from notifier.db import Database
from notifier.delivery.claim import claim
from notifier.delivery.closing import close_page
from notifier.errors import Conflict
from notifier.models import Delivery, DeliveryEvent, Lane, Message, MessageState
from notifier.worker import Worker
from subscribers.models import ContactPoint, ContactPointState, Frequency
from tests.integration.ledger import deliver, digests_until, publish, states, world_of
from tests.world import ward


async def test_a_paused_message_waits_and_a_resumed_one_repeats_nothing(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    message = await publish(db, world)
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 3, worker.owner)
    await deliver(worker, rows)
    async with db.transaction() as tx:
        await recall.pause(tx, message, team=world.teams[0])
    await worker.drain()
    assert len(memory.sent) == 3
    async with db.transaction() as tx:
        await recall.resume(tx, message, team=world.teams[0])
    await worker.drain()
    assert len({m.message.delivery for m in memory.sent}) == len(memory.sent) == 8


async def test_a_cancelled_message_starts_nothing_more(db: Database, worker: Worker, memory: Memory) -> None:
    world = await world_of(db)
    message = await publish(db, world)
    async with db.transaction() as tx:
        await recall.cancel(tx, message, team=world.teams[0])
    await worker.drain()
    assert await states(db, message) == {"cancelled": 8}
    assert memory.sent == []
    with pytest.raises(Conflict):
        async with db.transaction() as tx:
            await recall.resume(tx, message, team=world.teams[0])


async def test_a_large_message_is_cancelled_at_once_and_closed_in_pages_even_if_the_job_is_lost(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    message = await publish(db, world)
    async with db.transaction() as tx:
        taken = await claim(tx, Lane.WARD, 2, worker.owner)
        await tx.execute(update(Message).values(state="cancelled"))
        assert not await close_page(tx, message, page=3)
    assert await states(db, message) == {"cancelled": 3, "pending": 3, "leased": 2}
    await worker.sweep()  # the job that closes was lost
    assert await states(db, message) == {"cancelled": 6, "leased": 2}
    await deliver(worker, taken)
    assert memory.sent == []
    assert await states(db, message) == {"cancelled": 8}
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(select(DeliveryEvent.delivery_id, DeliveryEvent.kind))
        assert sorted(row.kind for row in rows) == ["cancelled"] * 8
        assert (await report.counts(tx, message)) == {"cancelled": 8}


async def test_a_message_cancelled_while_it_is_planned_keeps_what_was_planned(db: Database) -> None:
    world = await world_of(db)
    async with db.transaction() as tx:
        new = draft.Draft(
            kind="news", texts={"en": ("Title", "Words")}, areas=(ward(0), ward(1)), media=("email", "sms")
        )
        message = await draft.save(tx, new, team=world.teams[0], author=None)
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    async with db.transaction() as tx:
        assert not await plan.plan_page(tx, message, page=2)
    async with db.transaction() as tx:
        await recall.cancel(tx, message, team=world.teams[0])
    async with db.transaction() as tx:
        assert await plan.plan_page(tx, message)
        found = await report.progress(tx, message)
    assert found is not None
    assert found.audience == found.stopped == sum(found.counts.values()) > 0


async def test_a_scheduled_message_that_was_paused_waits_for_its_time(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    async with db.transaction() as tx:
        later = tx.now + timedelta(hours=2)
    message = await publish(db, world, send_at=later)
    async with db.transaction() as tx:
        await recall.pause(tx, message, team=world.teams[0])
        await recall.resume(tx, message, team=world.teams[0])
        assert await tx.scalar(select(Message.state)) == MessageState.SCHEDULED
        await recall.cancel(tx, message, team=world.teams[0])  # taken back whole
    assert await states(db, message) == {"cancelled": 8}


async def test_a_scheduled_message_is_planned_at_once_and_sent_when_due(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    async with db.transaction() as tx:
        later = tx.now + timedelta(hours=2)
    message = await publish(db, world, send_at=later)
    await worker.drain()
    assert memory.sent == []
    async with db.transaction() as tx:
        await tx.execute(update(Message).values(send_at=tx.now - timedelta(seconds=1)))
        await tx.execute(update(Delivery).values(due_at=tx.now - timedelta(seconds=1)))
    await worker.drain()
    assert await states(db, message) == {"accepted": 8}


async def test_digest_subscribers_get_theirs_in_one_digest(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 3, media=("email",), frequency=Frequency.DAILY, wards=(0,))
    first = await publish(db, world, wards=(0,))
    second = await publish(
        db, world, wards=(0,), texts={"en": ("Bike marking", "Bring your bike on Saturday.")}
    )
    await worker.drain()
    assert memory.sent == []
    async with db.transaction() as tx:
        until = tx.now + timedelta(seconds=1)
    assert await digests_until(db, worker, until) == 3
    assert await digests_until(db, worker, until + timedelta(seconds=1)) == 0
    await worker.drain()
    assert len(memory.sent) == 3
    assert all("Patrols tonight" in m.words.text and "Bike marking" in m.words.text for m in memory.sent)
    for message in (first, second):
        assert await states(db, message) == {"accepted": 3}


async def test_an_alert_does_not_wait_for_a_digest(db: Database, worker: Worker, memory: Memory) -> None:
    world = await world_of(db, 2, media=("sms",), frequency=Frequency.WEEKLY, wards=(0,))
    message = await publish(db, world, wards=(0,), kind="alert")
    await worker.drain()
    assert await states(db, message) == {"accepted": 2}


async def test_a_digest_that_never_leaves_takes_its_deliveries_with_it(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 2, media=("email",), frequency=Frequency.DAILY, wards=(0,))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        until = tx.now + timedelta(seconds=1)
    assert await digests_until(db, worker, until) == 2
    async with db.transaction() as tx:
        await tx.execute(
            update(ContactPoint)
            .where(ContactPoint.id == world.points[world.subscribers[0], "email"])
            .values(state=ContactPointState.STOPPED, stopped_at=tx.now)
        )
        await tx.execute(
            update(Delivery)
            .where(
                Delivery.contact_point_id == world.points[world.subscribers[1], "email"],
                Delivery.notice_id.is_not(None),
            )
            .values(expires_at=tx.now)
        )
    await worker.sweep()
    await worker.drain()
    assert memory.sent == []
    assert await states(db, message) == {"suppressed": 1, "expired": 1}
