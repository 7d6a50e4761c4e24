"""The ledger on both databases: what is planned is sent once, and every outcome has its state."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from channels.base import (
    Accepted,
    Failed,
    Outcome,
    Progress,
    Receipt,
    Refusal,
    Refused,
    Throttled,
    Unknown,
)
from channels.memory import Memory
from notifier.broadcast import plan, report
from notifier.broadcast.notices import notice
from notifier.db import Database
from notifier.delivery import receipts
from notifier.delivery import sweep as sweeping
from notifier.delivery.claim import claim, renew
from notifier.delivery.explain import timeline
from notifier.delivery.mark import mark
from notifier.delivery.send import tried
from notifier.delivery.settle import decide, taken
from notifier.delivery.settled import record
from notifier.delivery.sweep import rescue, sweep
from notifier.delivery.tokens import attempt_token
from notifier.models import Attempt, Delivery, DeliveryState, Lane, Message, NoticeKind
from notifier.worker import Worker
from subscribers.models import ContactPoint, ContactPointState, Subscription
from tests.integration.ledger import deliver, publish, states, world_of


async def test_everyone_in_the_wards_gets_one_copy_on_each_medium(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 12, second_ward=True)
    message = await publish(db, world)
    await worker.drain()
    sent = Counter((m.to, m.message.prepared.medium) for m in memory.sent)
    # Twelve people spread over six wards, each also in the next: wards 0 and 1 hold 0, 1, 5, 6, 7 and 11.
    expected = {
        (world.addresses[world.points[world.subscribers[i], medium]], medium)
        for i in (0, 1, 5, 6, 7, 11)
        for medium in ("email", "sms")
    }
    assert sent == dict.fromkeys(expected, 1)
    assert await states(db, message) == {"accepted": 12}


async def test_a_heartbeat_prolongs_what_is_leased_ahead(db: Database) -> None:
    await publish(db, await world_of(db))
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 10, "me")
        await tx.execute(update(Delivery).values(lease_until=tx.now))
    async with db.transaction() as tx:
        await renew(tx, "me", Lane.WARD, [row.id for row in rows])
        found = await tx.execute(select(Delivery.id).where(Delivery.lease_until > tx.now))
        prolonged = set(found.scalars())
    assert prolonged == {row.id for row in rows} != set()


async def test_planning_twice_adds_nobody(db: Database, worker: Worker) -> None:
    world = await world_of(db)
    message = await publish(db, world)
    async with db.transaction() as tx:
        await tx.execute(update(Message).values(state="planning", plan_cursor=None))
    async with db.transaction() as tx:
        assert await plan.plan_page(tx, message)
    assert sum((await states(db, message)).values()) == 8


async def test_two_claimers_never_hold_the_same_row(db: Database) -> None:
    world = await world_of(db)
    await publish(db, world)
    async with db.transaction() as tx:
        first = await claim(tx, Lane.WARD, 5, "one")
    async with db.transaction() as tx:
        second = await claim(tx, Lane.WARD, 50, "two")
    assert not {c.id for c in first} & {c.id for c in second}
    assert len(first) + len(second) == 8


async def test_a_stale_fence_starts_nothing(db: Database) -> None:
    world = await world_of(db)
    await publish(db, world)
    async with db.transaction() as tx:
        late = await claim(tx, Lane.WARD, 50, "sleeper")
        await tx.execute(update(Delivery).values(lease_until=tx.now - timedelta(seconds=1)))
    async with db.transaction() as tx:
        assert (await sweep(tx)).returned == 8
        await claim(tx, Lane.WARD, 50, "other")
    async with db.transaction() as tx:
        assert await mark(tx, late, "sleeper", timeout_seconds=10) == []


async def test_a_row_claimed_twice_by_one_worker_starts_once(db: Database) -> None:
    """Its lease ran out while it waited for a place, and the same worker took it again: both stand in its queue."""
    world = await world_of(db)
    await publish(db, world)
    async with db.transaction() as tx:
        first = await claim(tx, Lane.WARD, 50, "one")
        await tx.execute(update(Delivery).values(lease_until=tx.now - timedelta(seconds=1)))
    async with db.transaction() as tx:
        await sweep(tx)
        again = await claim(tx, Lane.WARD, 50, "one")
    async with db.transaction() as tx:
        started = await mark(tx, [*first, *again], "one", timeout_seconds=10)
    assert Counter(each.id for each in started) == Counter(row.id for row in again)
    assert {each.number for each in started} == {2}


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Accepted(provider_id="p1"), "accepted"),
        (Failed(reason="connection refused"), "pending"),
        (Throttled(after_seconds=60), "pending"),
        (Refused(why=Refusal.BAD_ADDRESS, reason="no such user", code="550 5.1.1"), "failed"),
        (Refused(why=Refusal.OPTED_OUT, reason="opted out", code="21610"), "suppressed"),
        (Refused(why=Refusal.CONTENT, reason="spam", code="554"), "held"),
        (Refused(why=Refusal.NOT_ALLOWED, reason="no credit"), "pending"),
        (Unknown(reason="timed out"), "in_doubt"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
async def test_every_outcome_has_its_state(
    db: Database, worker: Worker, memory: Memory, outcome: Outcome, state: str
) -> None:
    world = await world_of(db, 1, media=("sms",))
    message = await publish(db, world, wards=(0,))
    memory.script(
        world.addresses[world.points[world.subscribers[0], "sms"]], outcome, Unknown(reason="never reached")
    )
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 1, worker.owner)
    await deliver(worker, rows)
    assert await states(db, message) == {state: 1}


async def test_a_bad_address_is_not_written_to_again(db: Database, worker: Worker, memory: Memory) -> None:
    world = await world_of(db, 1, media=("email",))
    point = world.points[world.subscribers[0], "email"]
    memory.script(world.addresses[point], Refused(why=Refusal.BAD_ADDRESS, reason="no such user"))
    await publish(db, world, wards=(0,))
    await worker.drain()
    async with db.transaction() as tx:
        assert await tx.scalar(select(ContactPoint.state).where(ContactPoint.id == point)) == "bounced"


class Mute(Memory):
    """A provider that cannot be asked what it took, like SMTP."""

    look_up = None  # type: ignore[assignment]


@pytest.mark.parametrize("memory", [Mute], indirect=True)
async def test_in_doubt_is_tried_once_more_flagged_and_then_left_to_a_person(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 1, media=("email",))
    address = world.addresses[world.points[world.subscribers[0], "email"]]
    memory.script(address, Unknown(reason="cut after the dot"), Unknown(reason="cut after the dot"))
    message = await publish(db, world, wards=(0,))
    for _ in range(8):
        await worker.drain()
        async with db.transaction() as tx:
            await tx.execute(update(Delivery).values(due_at=tx.now))
        await worker.sweep()
    assert await states(db, message) == {"unknown": 1}
    async with db.transaction() as tx:
        assert await tx.scalar(select(Delivery.maybe_repeat)) is True
        assert len((await tx.execute(select(Attempt))).all()) == 2


async def test_an_alert_in_doubt_is_tried_again_at_once_and_flagged(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 1, media=("sms",))
    address = world.addresses[world.points[world.subscribers[0], "sms"]]
    memory.script(address, Unknown(reason="timed out"), Accepted(provider_id="p2"))
    message = await publish(db, world, wards=(0,), kind="alert")
    await worker.drain()
    assert await states(db, message) == {"accepted": 1}
    async with db.transaction() as tx:
        assert await tx.scalar(select(Delivery.maybe_repeat)) is True


async def test_a_worker_lost_after_the_mark_leaves_a_doubt_and_before_it_a_due_row(
    db: Database, worker: Worker
) -> None:
    world = await world_of(db, 2, media=("email",), wards=(0,))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 2, "lost")
    async with db.transaction() as tx:
        await mark(tx, rows[:1], "lost", timeout_seconds=10)
        await tx.execute(update(Delivery).values(lease_until=tx.now - timedelta(seconds=1)))
    async with db.transaction() as tx:
        swept = await sweep(tx)
    assert (swept.returned, swept.doubted) == (1, 1)
    assert await states(db, message) == {"pending": 1, "in_doubt": 1}


async def test_alerts_and_notices_are_rescued_though_bulk_is_not_looked_through(db: Database) -> None:
    world = await world_of(db, 3, media=("email",), wards=(0,))
    news = await publish(db, world, wards=(0,))
    alert = await publish(db, world, wards=(0,), kind="alert", override_reason="a child is missing")
    async with db.transaction() as tx:
        urgent = await claim(tx, Lane.URGENT, 9, "lost")
        await claim(tx, Lane.WARD, 9, "lost")
    async with db.transaction() as tx:
        await mark(tx, urgent[:1], "lost", timeout_seconds=10)
        await tx.execute(update(Delivery).values(lease_until=tx.now - timedelta(seconds=1)))
    async with db.transaction() as tx:
        swept = await rescue(tx, bulk=False)
    assert (swept.returned, swept.doubted) == (2, 1)
    assert (await states(db, alert), await states(db, news)) == ({"pending": 3}, {"leased": 3})
    async with db.transaction() as tx:
        assert (await rescue(tx, bulk=True)).returned == 3
    assert await states(db, news) == {"pending": 3}


async def test_a_full_page_of_lost_rows_says_that_there_are_more(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "PAGE", 4)
    world = await world_of(db, 5, media=("email",), wards=(0,))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 9, "lost")
        await mark(tx, rows[:2], "lost", timeout_seconds=10)
        await tx.execute(update(Delivery).values(lease_until=tx.now - timedelta(seconds=1)))
    more = []
    for _ in range(2):
        async with db.transaction() as tx:
            more.append((await sweep(tx)).more)
    assert more == [True, False]
    assert await states(db, message) == {"pending": 3, "in_doubt": 2}


async def test_a_message_is_not_done_while_rows_of_it_are_in_flight(db: Database) -> None:
    world = await world_of(db, 1, media=("email",), wards=(0,))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 9, "one")
        assert (await sweep(tx)).finished == 0
        started = await mark(tx, rows, "one", timeout_seconds=10)
        assert (await sweep(tx)).finished == 0
        await record(tx, [taken(Accepted(provider_id="p"), row) for row in started])
        assert (await sweep(tx)).finished == 1
    assert await states(db, message) == {"accepted": 1}


async def test_a_late_answer_settles_a_delivery_already_in_doubt(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 1, media=("email",))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 1, "slow")
    async with db.transaction() as tx:
        (started,) = await mark(tx, rows, "slow", timeout_seconds=10)
        await tx.execute(update(Delivery).values(lease_until=tx.now - timedelta(seconds=1)))
    async with db.transaction() as tx:
        await sweep(tx)
    async with db.transaction() as tx:
        outcome = Accepted(provider_id="late")
        facts = tried(started, memory.capabilities.idempotency)
        await record(tx, [decide(outcome, facts, now=tx.now, jitter=0)])
    assert await states(db, message) == {"accepted": 1}


async def test_who_left_after_approval_is_counted_and_suppressed(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 2, media=("email", "sms"), wards=(0,))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        await tx.execute(
            update(Subscription)
            .where(Subscription.subscriber_id == world.subscribers[0])
            .values(ended_at=tx.now, ended_reason="left")
        )
        await tx.execute(
            update(ContactPoint)
            .where(ContactPoint.id == world.points[world.subscribers[1], "sms"])
            .values(state=ContactPointState.STOPPED, stopped_at=tx.now)
        )
    await worker.drain()
    assert await states(db, message) == {"suppressed": 3, "accepted": 1}


async def test_receipts_raise_a_state_whatever_their_order(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 1, media=("sms",))
    message = await publish(db, world, wards=(0,))
    await worker.drain()
    async with db.transaction() as tx:
        row = (await tx.execute(select(Attempt.delivery_id, Attempt.number))).one()
        token = attempt_token(tx.keys, row.delivery_id, row.number)

    async def receive(event_id: str, progress: Progress) -> bool:
        async with db.transaction() as tx:
            word = Receipt(
                event_id=event_id, provider_id="p", attempt=token, progress=progress, at=None, raw=b"{}"
            )
            return await receipts.record(tx, "memory", word)

    assert await receive("e1", Progress.DELIVERED)
    assert not await receive("e1", Progress.DELIVERED)
    assert await receive("e2", Progress.SENT)
    assert await receive("e3", Progress.UNDELIVERED)
    assert await states(db, message) == {"delivered": 1}


async def test_a_receipt_before_our_own_settle_resolves_the_doubt(db: Database) -> None:
    world = await world_of(db, 1, media=("sms",))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 1, "cut")
    async with db.transaction() as tx:
        (started,) = await mark(tx, rows, "cut", timeout_seconds=10)
        token = attempt_token(tx.keys, started.id, started.number)
    async with db.transaction() as tx:
        word = Receipt(
            event_id="e", provider_id="SM1", attempt=token, progress=Progress.SENT, at=None, raw=b"{}"
        )
        await receipts.record(tx, "memory", word)
    assert await states(db, message) == {"accepted": 1}


async def test_a_message_is_done_only_when_nothing_is_open(db: Database, worker: Worker) -> None:
    world = await world_of(db)
    message = await publish(db, world)
    await worker.sweep()
    async with db.transaction() as tx:
        assert await tx.scalar(select(Message.state).where(Message.id == message)) == "sending"
    await worker.drain()
    await worker.sweep()
    async with db.transaction() as tx:
        found = await report.progress(tx, message)
    assert found is not None
    assert (found.state, found.sums_up, found.reached) == ("done", True, 8)


async def test_a_notice_is_a_delivery_and_its_timeline_tells_it(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 1)
    async with db.transaction() as tx:
        point = world.points[world.subscribers[0], "sms"]
        args = {"kind": NoticeKind.HELP, "template": "help", "variables": {}, "dedupe_key": "help-today"}
        assert await notice(tx, point, **args)  # type: ignore[arg-type]
        assert await notice(tx, point, **args) is None  # type: ignore[arg-type]
    await worker.drain()
    assert "999" in memory.sent[0].words.text
    async with db.transaction() as tx:
        told = await timeline(tx, await tx.scalar(select(Delivery.id)), zone=worker.service.settings.zone)
    assert told is not None
    assert told.state is DeliveryState.ACCEPTED
    assert [step.what.split(" as ")[0] for step in told.steps] == [
        "planned",
        "attempt 1 started",
        "attempt 1 accepted",
    ]
