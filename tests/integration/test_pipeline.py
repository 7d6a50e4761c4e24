"""The worker's pipeline on both databases: bounded by its slots, and held up by no single row."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update

from channels.base import Content, Doubt, Idempotency, Outcome, Outgoing, Prepared, Unknown
from channels.memory import Memory
from notifier.db import Database
from notifier.delivery.claim import Claimed, claim, release
from notifier.delivery.mark import mark
from notifier.delivery.sweep import sweep
from notifier.models import Attempt, Delivery, DeliveryEvent, Lane, MessageText, WorkerRow
from notifier.worker import Worker
from notifier.worker.pipeline import Pipeline
from subscribers.contact_points import hold
from subscribers.models import ContactPoint
from subscribers.suppression import stop
from tests.integration.ledger import publish, states, world_of
from tests.providers import until

SEED, TRIALS = 20261122, 60


class Poisoned(Memory):
    """Cannot even prepare what was written in Welsh."""

    def prepare(self, content: Content) -> Prepared:
        if content.language == "cy":
            while True:
                pass
        return super().prepare(content)


@pytest.mark.parametrize("memory", [Poisoned], indirect=True)
async def test_words_that_never_come_to_an_end_and_an_address_that_does_not_open_are_held_alone(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 4, media=("email",), wards=(0,))
    message = await publish(db, world, wards=(0,))
    sealed, welsh = (world.points[world.subscribers[i], "email"] for i in (0, 1))
    async with db.transaction() as tx:
        await tx.execute(
            update(ContactPoint).where(ContactPoint.id == sealed).values(address_sealed=b"\0" * 40)
        )
        await tx.execute(update(Delivery).where(Delivery.contact_point_id == welsh).values(language="cy"))
        await tx.execute(
            insert(MessageText),
            {"message_id": message, "language": "cy", "title": "T", "body": "B", "content_hash": b"0" * 32},
        )
    began = time.monotonic()
    await worker.drain()
    assert time.monotonic() - began < 20
    assert await states(db, message) == {"accepted": 2, "held": 2}
    async with db.transaction(read_only=True) as tx:
        held = await tx.execute(select(DeliveryEvent.kind, DeliveryEvent.state, DeliveryEvent.number))
        assert {tuple(row) for row in held} == {("held", "held", 1)}
        reasons = (await tx.execute(select(Delivery.reason).where(Delivery.state == "held"))).scalars()
        assert set(reasons) == {
            "its address cannot be opened",
            "its words cannot be made: TookTooLong",
        }


class Forgetful(Memory):
    """Knows a key again for some time only."""

    capabilities = replace(Memory.capabilities, idempotency=Idempotency.KEY, keys_kept_seconds=3000)


@pytest.mark.parametrize("memory", [Forgetful], indirect=True)
async def test_who_forgets_keys_is_told_since_when_a_try_may_have_arrived(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 1, media=("email",), wards=(0,))
    address = world.addresses[world.points[world.subscribers[0], "email"]]
    memory.script(address, Unknown(reason="no answer in time"), taken=True)
    await publish(db, world, wards=(0,))
    await worker.drain()
    first, again = (sent.message.doubt for sent in memory.sent)
    assert first is None
    async with db.transaction(read_only=True) as tx:
        begun = await tx.scalar(select(func.min(Attempt.started_at)))
    assert again == Doubt(since=begun, claimed=frozenset())


class Crowd(Memory):
    """Takes 20 ms for each message, and counts how many it has in hand."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once = self.most = 0

    async def send(self, message: Outgoing) -> Outcome:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.02)
        self.at_once -= 1
        return await super().send(message)


@pytest.mark.parametrize("memory", [Crowd], indirect=True)
async def test_no_more_is_started_and_unsettled_than_the_slots_may_hold(
    db: Database, worker: Worker, memory: Crowd
) -> None:
    world = await world_of(db, 120, media=("email",), wards=(0,))
    message = await publish(db, world, wards=(0,))
    draining = asyncio.create_task(worker.drain())
    most = 0
    while not draining.done():
        async with db.transaction(read_only=True) as tx:
            rows = await tx.execute(select(Delivery.id).where(Delivery.state == "started"))
            most = max(most, len(rows.all()))
        await asyncio.sleep(0.002)
    await draining
    slots = worker.service.settings.slots
    assert 1 < memory.most <= slots
    assert 1 < most <= 5 * slots
    assert await states(db, message) == {"accepted": 120}


async def test_a_mark_that_grew_old_before_its_turn_sends_nothing_and_is_tried_again(
    db: Database, worker: Worker, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that stood still between mark and send wakes up with a mark that others may have undone."""
    world = await world_of(db, 3, media=("email",), wards=(0,))
    message = await publish(db, world, wards=(0,))
    hand_over = Pipeline._start

    async def stand_still(pipeline: Pipeline, rows: object) -> None:
        await hand_over(pipeline, rows)  # type: ignore[arg-type]
        monkeypatch.setattr(Pipeline, "_start", hand_over)
        late = time.monotonic() + 3600
        monkeypatch.setattr(time, "monotonic", lambda: late)

    monkeypatch.setattr(Pipeline, "_start", stand_still)
    pipeline = worker._pipelines[Lane.WARD]
    running = asyncio.create_task(pipeline.run(until_idle=True))
    await asyncio.sleep(0.3)
    monkeypatch.undo()
    pipeline.bell.set()
    await running
    async with db.transaction(read_only=True) as tx:
        outcomes = (await tx.execute(select(Attempt.outcome, Attempt.became))).all()
    assert Counter(tuple(row) for row in outcomes) == {("unsent", "pending"): 3, ("accepted", "accepted"): 3}
    assert await states(db, message) == {"accepted": 3}
    assert len(memory.sent) == 3


async def test_a_delivery_that_loses_its_worker_three_times_is_held(db: Database) -> None:
    world = await world_of(db, 1, media=("email",), wards=(0,))
    message = await publish(db, world, wards=(0,))
    for _ in range(3):
        async with db.transaction() as tx:
            await tx.execute(update(Delivery).values(state="pending", due_at=tx.now))
            rows = await claim(tx, Lane.WARD, 1, "lost")
        async with db.transaction() as tx:
            assert await mark(tx, rows, "lost", timeout_seconds=10)
            await tx.execute(update(Delivery).values(lease_until=tx.now - timedelta(seconds=1)))
        async with db.transaction() as tx:
            await sweep(tx)
    assert await states(db, message) == {"held": 1}
    async with db.transaction(read_only=True) as tx:
        events = await tx.execute(
            select(DeliveryEvent.state, DeliveryEvent.number).order_by(DeliveryEvent.id)
        )
        assert [tuple(row) for row in events] == [("in_doubt", 1), ("in_doubt", 2), ("held", 3)]


async def test_a_row_given_back_and_one_put_off_are_due_again(db: Database) -> None:
    world = await world_of(db, 2, media=("email",), wards=(0,))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 2, "worker")
    async with db.transaction() as tx:
        assert await release(tx, "worker", [rows[0].id]) == 1
        assert await release(tx, "somebody else") == 0
    assert await states(db, message) == {"pending": 1, "leased": 1}


async def test_a_running_worker_beats_and_leaves_no_row_behind(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 6, media=("email",), wards=(0,))
    message = await publish(db, world, wards=(0,))
    running = asyncio.create_task(worker.run())

    async def owners() -> list[str]:
        async with db.transaction(read_only=True) as tx:
            return list((await tx.execute(select(WorkerRow.owner))).scalars())

    async def is_over() -> bool:
        return await states(db, message) == {"accepted": 6} and await owners() == [worker.owner]

    try:
        await until(is_over, seconds=20, what="six are accepted, and the worker has said that it lives")
    finally:
        worker.stop()
        await running
    assert await owners() == []


async def test_once_a_stop_holds_the_address_no_attempt_starts_any_more(db: Database) -> None:
    """Stop and mark at the same moment, many times: what the stop saw as it took hold is all there ever is."""
    random = Random(SEED)  # noqa: S311 - to be replayed
    world = await world_of(db, TRIALS, media=("sms",), wards=(0,))
    await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, TRIALS, "worker")
    for row in rows:
        acts = [_marks(db, row, random.random()), _stops(db, row.contact_point_id, random.random())]
        random.shuffle(acts)
        counted = await asyncio.gather(*acts)
        async with db.transaction(read_only=True) as tx:
            there = await tx.scalar(select(func.count()).where(Attempt.delivery_id == row.id))
            state = await tx.scalar(select(Delivery.state).where(Delivery.id == row.id))
        assert there == sum(counted)
        assert state == ("started" if there else "suppressed")


async def _marks(db: Database, row: Claimed, jitter: float) -> int:
    await asyncio.sleep(jitter * 0.003)
    async with db.transaction() as tx:
        await mark(tx, [row], "worker", timeout_seconds=10)
    return 0


async def _stops(db: Database, point: UUID, jitter: float) -> int:
    """How many attempts had started when the stop took hold of the address."""
    await asyncio.sleep(jitter * 0.003)
    async with db.transaction() as tx:
        contact = await hold(tx, point)
        assert contact is not None
        started = await tx.scalar(
            select(func.count())
            .select_from(Attempt)
            .join(Delivery, Delivery.id == Attempt.delivery_id)
            .where(Delivery.contact_point_id == point)
        )
        await stop(tx, contact, source="text", actor="subscriber")
    return int(started or 0)
