"""`explain`: why a person got a message, got it later, or did not. On both databases, and never an address."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from channels.memory import Memory
from notifier.broadcast import approve, draft, recall
from notifier.broadcast.explain import Told, explain
from notifier.broadcast.narrow import Draw, Narrow
from notifier.db import Database
from notifier.errors import NotFound
from notifier.models import Hold, HoldScope
from notifier.worker import Worker
from subscribers.dialects import insert_for
from subscribers.models import ContactPoint, Frequency, Subscriber, Subscription, new_id
from tests.integration.ledger import publish, world_of
from tests.world import World, ward

LONDON = ZoneInfo("Europe/London")


async def told(db: Database, world: World, message: UUID, person: int = 0) -> dict[str | None, Told]:
    async with db.transaction(read_only=True) as tx:
        found: Sequence[Told] = await explain(tx, world.subscribers[person], message, zone=LONDON)
    text = " ".join(each.text for each in found)
    assert not any(address in text for address in world.addresses.values())
    return {each.medium: each for each in found}


async def rules(db: Database, world: World, message: UUID, person: int = 0) -> dict[str | None, str]:
    return {medium: each.why.rule for medium, each in (await told(db, world, message, person)).items()}


async def test_who_got_it_and_who_was_not_meant(db: Database, worker: Worker, memory: Memory) -> None:
    world = await world_of(db, 4)
    message = await publish(db, world, wards=(0,), kind="news", topics=("crime-prevention",))
    await worker.drain()
    assert await rules(db, world, message) == {"email": "sent", "sms": "sent"}
    assert (await told(db, world, message))["sms"].text.startswith("By text message: It went out at ")
    assert await rules(db, world, message, 1) == {None: "area"}

    async def after(**values: object) -> dict[str | None, str]:
        """The rule for somebody who follows the ward with these changes to their subscription."""
        async with db.transaction() as tx:
            await tx.execute(
                update(Subscription)
                .where(Subscription.subscriber_id == world.subscribers[1])
                .values(area_code=ward(0), **values)
            )
        return await rules(db, world, message, 1)

    assert await after(least_priority="priority") == {None: "kind"}
    assert await after(topic_slug="burglary") == {None: "topic"}
    async with db.transaction() as tx:
        now = tx.now
    assert await after(topic_slug="crime-prevention", least_priority="everything", started_at=now) == {
        None: "joined"
    }
    early = now - timedelta(hours=3)
    assert await after(started_at=early, ended_at=early) == {None: "left"}
    assert await after(ended_at=None) == {"email": "ledger", "sms": "ledger"}


async def test_an_address_that_could_not_take_it_and_a_way_it_did_not_go(
    db: Database, worker: Worker
) -> None:
    world = await world_of(db, 2, wards=(0,), media=("email",))
    async with db.transaction() as tx:
        late = ContactPoint.id == world.points[world.subscribers[1], "email"]
        await tx.execute(update(ContactPoint).where(late).values(verified_at=tx.now + timedelta(hours=1)))
    message = await publish(db, world, wards=(0,))
    await worker.drain()
    assert await rules(db, world, message) == {"email": "sent", "sms": "no address"}
    assert await rules(db, world, message, 1) == {"email": "not confirmed", "sms": "no address"}


async def test_what_waits_and_what_ended_says_so(db: Database, worker: Worker) -> None:
    world = await world_of(db, 3, wards=(0,), media=("email",))
    message = await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        await recall.pause(tx, message, team=world.teams[0])
    assert (await rules(db, world, message))["email"] == "paused"
    async with db.transaction() as tx:
        await recall.resume(tx, message, team=world.teams[0])
        held = {"scope": HoldScope.SYSTEM, "key": "", "reason": "Drill", "by": "test", "since": tx.now}
        await tx.execute(insert_for(tx, Hold), held)
    assert "on hold (Drill)" in (await told(db, world, message))["email"].text
    async with db.transaction() as tx:
        await recall.cancel(tx, message, team=world.teams[0])
    assert (await rules(db, world, message))["email"] == "cancelled"


async def test_a_digest_and_quiet_hours_are_named(db: Database, worker: Worker) -> None:
    world = await world_of(db, 1, wards=(0,), media=("email",), frequency=Frequency.DAILY)
    message = await publish(db, world, wards=(0,))
    assert "It waits for their daily digest of " in (await told(db, world, message))["email"].text
    async with db.transaction() as tx:
        local = tx.now.astimezone(LONDON)
        minute = local.hour * 60 + local.minute
        quiet = {"quiet_from": (minute - 60) % 1440, "quiet_until": (minute + 120) % 1440}
        await tx.execute(update(Subscriber).values(**quiet))
        await tx.execute(update(Subscription).values(frequency=Frequency.AT_ONCE))
    second = await publish(db, world, wards=(0,), texts={"en": ("At night", "Words.")})
    await worker.drain()
    found = (await told(db, world, second))["email"]
    assert found.why.rule == "quiet hours"
    assert found.text.startswith("By email: Quiet hours: it waits until ")
    assert found.delivery is not None


async def test_those_whom_chance_left_out_are_told_so(db: Database, worker: Worker) -> None:
    world = await world_of(db, 6, wards=(0,), media=("email",))
    sampled = await publish(db, world, wards=(0,), narrow=Narrow(sample=Draw(size=2, seed=7)))
    found = [(await rules(db, world, sampled, person)).get("email", "sample") for person in range(6)]
    assert sorted(found) == ["in line"] * 2 + ["sample"] * 4


async def test_those_who_read_another_language_are_told_so(db: Database) -> None:
    world = await world_of(db, 2, wards=(0,), media=("email",))
    async with db.transaction() as tx:
        welsh = Subscriber.id == world.subscribers[0]
        await tx.execute(update(Subscriber).where(welsh).values(language="cy"))
    message = await publish(db, world, wards=(0,), narrow=Narrow(languages=("cy",)))
    assert (await rules(db, world, message))["email"] == "in line"
    assert await rules(db, world, message, 1) == {None: "languages"}


async def test_a_draft_the_erased_and_the_unknown(db: Database) -> None:
    world = await world_of(db, 1, wards=(0,))
    words = {"en": ("Not yet", "Words.")}
    async with db.transaction() as tx:
        new = draft.Draft(kind="news", texts=words, areas=(ward(0),), media=("email",))
        message = await draft.save(tx, new, team=world.teams[0], author=None)
    assert await rules(db, world, message) == {None: "draft"}
    async with db.transaction() as tx:
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    assert await rules(db, world, message) == {"email": "planning", "sms": "channel"}
    async with db.transaction() as tx:
        await tx.execute(update(Subscriber).values(state="erased"))
    assert await rules(db, world, message) == {None: "erased"}
    for person, about in ((new_id(), message), (world.subscribers[0], new_id())):
        with pytest.raises(NotFound):
            await _explained(db, person, about)


async def _explained(db: Database, person: UUID, message: UUID) -> Sequence[Told]:
    async with db.transaction(read_only=True) as tx:
        return await explain(tx, person, message, zone=LONDON)
