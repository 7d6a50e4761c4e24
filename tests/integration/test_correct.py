"""Corrections: to exactly those who may have got the first message, and to nobody else."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, update

from channels.base import Refusal, Refused, Unknown
from channels.memory import Memory
from notifier.broadcast import approve, correct, digest, draft, endorse, overview, plan, recall, report, stuck
from notifier.db import Database
from notifier.errors import Conflict, NotFound
from notifier.models import Delivery, DeliveryState, Lane, Message, MessageState
from notifier.worker import Worker
from subscribers.models import ContactPoint, ContactPointState, Frequency
from tests.integration.ledger import publish, states, world_of
from tests.world import World, make_people


async def corrected(db: Database, world: World, original: UUID, *, approved: bool = True) -> UUID:
    """A correction of the first team's message, planned in small pages where it is approved."""
    async with db.transaction() as tx:
        begun, team = await correct.begin(tx, original, teams=[world.teams[0]])
        message = await draft.save(tx, begun, team=team, author=None)
    if approved:
        async with db.transaction() as tx:
            shown = await approve.reach(tx, message)
            await approve.approve(tx, message, team=world.teams[0], officer=None)
        done = False
        while not done:
            async with db.transaction() as tx:
                done = await plan.plan_page(tx, message, page=3)
        async with db.transaction() as tx:
            found = await report.progress(tx, message)
        assert found is not None
        assert found.audience == shown.deliveries
        assert {medium: sum(by.values()) for medium, by in found.by_medium.items()} == shown.at_once
    return message


async def points(db: Database, message: UUID) -> set[UUID]:
    async with db.transaction(read_only=True) as tx:
        return set(
            (
                await tx.execute(select(Delivery.contact_point_id).where(Delivery.message_id == message))
            ).scalars()
        )


async def test_a_correction_goes_to_exactly_those_who_may_have_got_the_first(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    mine = world.subscribers
    addresses = [world.points[person, "email"] for person in mine if (person, "email") in world.points]
    bad, doubtful, later, left = addresses[0], addresses[1], addresses[6], addresses[7]
    memory.script(world.addresses[bad], Refused(why=Refusal.BAD_ADDRESS, reason="no such mailbox"))
    memory.script(world.addresses[doubtful], Unknown(reason="no answer"))
    first = await publish(db, world, media=("email", "sms", "social"))
    async with db.transaction() as tx:
        await make_people(tx, world, 2, wards=(0,))  # they came after the first message
        await tx.execute(
            update(Delivery)
            .where(Delivery.contact_point_id == later)
            .values(due_at=tx.now + timedelta(hours=1))
        )
    await worker.drain()
    assert (await states(db, first))["pending"] == 1
    draft_of_it = await corrected(db, world, first, approved=False)
    with pytest.raises(Conflict, match="still going out"):
        async with db.transaction() as tx:
            await approve.approve(tx, draft_of_it, team=world.teams[0], officer=None)
    async with db.transaction() as tx:
        await recall.cancel(tx, first, team=world.teams[0])
        await tx.execute(
            update(ContactPoint)
            .where(ContactPoint.id == left)
            .values(state=ContactPointState.STOPPED, stopped_at=tx.now)
        )
    second = await corrected(db, world, first)
    expected = await points(db, first) - {bad, later, left}
    assert await points(db, second) == expected
    assert doubtful in expected
    async with db.transaction(read_only=True) as tx:
        written = await overview.get(tx, second, None)
    assert (written.lane, written.title) == (Lane.WARD, "Patrols tonight")
    memory.sent.clear()
    await worker.drain()
    assert await states(db, second) == {"accepted": len(expected)}


async def test_who_read_it_in_a_digest_gets_the_correction_at_once(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 3, media=("email",), frequency=Frequency.DAILY, wards=(0,))
    first = await publish(db, world, wards=(0,), media=("email",))
    async with db.transaction() as tx:
        await digest.plan_page(tx, worker.service.settings, until=tx.now + timedelta(seconds=1))
    await worker.drain()
    await worker.sweep()
    second = await corrected(db, world, first)
    memory.sent.clear()
    await worker.drain()
    assert await states(db, second) == {"accepted": 3}
    assert all("Part of that was wrong" in sent.words.text for sent in memory.sent)


async def test_only_a_message_that_went_out_is_corrected_and_only_by_its_team(db: Database) -> None:
    world = await world_of(db, 3)
    first = await publish(db, world)
    async with db.transaction() as tx:
        with pytest.raises(NotFound):
            await correct.begin(tx, first, teams=[world.teams[1]])
        begun, team = await correct.begin(tx, first, teams=None)
        second = await draft.save(tx, begun, team=team, author=None)
        with pytest.raises(Conflict, match="change it instead"):
            await correct.begin(tx, second, teams=None)
        with pytest.raises(NotFound):
            await draft.save(tx, replace(begun, form_key="x"), team=world.teams[1], author=None)


async def test_a_correction_of_a_large_alert_needs_two_officers_as_the_alert_did(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 4)
    first = await publish(db, world, wards=(0, 1, 2), kind="alert")
    await worker.drain()
    await worker.sweep()
    message = await corrected(db, world, first, approved=False)
    async with db.transaction() as tx:
        written = await overview.get(tx, message, None)
        assert written.lane is Lane.URGENT
        assert await endorse.needs_second(tx, written, await approve.reach(tx, message))


async def test_what_waits_for_a_person_is_sent_again_flagged_or_given_up(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    message = await publish(db, world)
    async with db.transaction() as tx:
        ids = (await tx.execute(select(Delivery.id).order_by(Delivery.id))).scalars().all()
        for state, reason, some in (
            (DeliveryState.HELD, "cannot be written", ids[:2]),
            (DeliveryState.UNKNOWN, "no evidence; a person may decide", ids[2:4]),
        ):
            await tx.execute(update(Delivery).where(Delivery.id.in_(some)).values(state=state, reason=reason))
    await worker.drain()
    await worker.sweep()
    async with db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(Message.state)) == MessageState.DONE
        found = await stuck.stuck(tx, message)
        assert {(each.state, each.number) for each in found} == {("held", 2), ("unknown", 2)}
    team = world.teams[0]
    async with db.transaction() as tx:
        held = {"state": DeliveryState.HELD, "reason": "cannot be written"}
        assert await stuck.give_up(tx, message, team=team, **held) == 2  # type: ignore[arg-type]
        assert await stuck.send_again(tx, message, team=team, **held) == 0  # type: ignore[arg-type]
        unknown = {"state": DeliveryState.UNKNOWN, "reason": "no evidence; a person may decide"}
        assert await stuck.send_again(tx, message, team=team, **unknown) == 2  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            await stuck.send_again(tx, message, team=world.teams[1], **unknown)  # type: ignore[arg-type]
    await worker.drain()
    assert await states(db, message) == {"accepted": 6, "failed": 2}
    async with db.transaction(read_only=True) as tx:
        progress = await report.progress(tx, message)
    assert progress is not None
    assert progress.possible_repeats == 2
