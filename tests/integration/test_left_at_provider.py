"""Who told the provider to stop, and not us: learnt when a text is refused, and kept as lastingly as by our own word."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from channels.base import Medium, Refusal, Refused
from channels.memory import Memory
from notifier.broadcast.approve import reach
from notifier.broadcast.draft import Draft, save
from notifier.broadcast.notices import notice
from notifier.db import Database
from notifier.models import Delivery, NoticeKind
from notifier.worker import Worker
from subscribers import contact_points
from subscribers.models import ConsentEvent, ContactPoint, Suppression
from subscribers.suppression import is_suppressed
from tests.integration.ledger import publish, states, world_of
from tests.integration.replies import phone, state_of, text_in
from tests.world import World, ward

LEFT = Refused(why=Refusal.OPTED_OUT, reason="they opted out at the provider", code="21610")


async def known_of(db: Database, point: UUID) -> tuple[Any, ...]:
    """State, whether it is suppressed, and the consents on record."""
    async with db.transaction(read_only=True) as tx:
        row = (await tx.execute(select(ContactPoint).where(ContactPoint.id == point))).one()
        events = await tx.execute(
            select(ConsentEvent.action, ConsentEvent.source, ConsentEvent.actor).where(
                ConsentEvent.contact_point_id == point
            )
        )
        listed = await is_suppressed(tx, row.medium, row.address_hash)
        return row.state, listed, [tuple(event) for event in events]


async def refused_once(db: Database, worker: Worker, memory: Memory, people: int = 2) -> tuple[World, UUID]:
    """A text to each of them; the first one's is refused."""
    world = await world_of(db, people, media=("sms",), wards=(0,))
    memory.script(phone(world), LEFT)
    message = await publish(db, world, wards=(0,), media=("sms",))
    await worker.drain()
    assert await states(db, message) == {"suppressed": 1, "accepted": people - 1}
    return world, world.points[world.subscribers[0], "sms"]


async def test_a_text_refused_because_they_left_stops_them_here_with_the_evidence(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world, point = await refused_once(db, worker, memory)
    assert await known_of(db, point) == ("stopped", True, [("withdrawn", "provider", "provider")])
    async with db.transaction() as tx:
        words = Draft(
            kind="news", texts={"en": ("Fair", "A fair on Sunday.")}, areas=(ward(0),), media=("sms",)
        )
        message = await save(tx, words, team=world.teams[0], author=None)
        assert (await reach(tx, message)).deliveries == 1  # the other one


async def test_what_waits_for_them_is_not_sent_and_a_second_refusal_says_nothing_new(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 1, media=("sms",), wards=(0,))
    for _ in range(3):
        await publish(db, world, wards=(0,), media=("sms",))
    memory.script(phone(world), LEFT, LEFT, LEFT)
    await worker.drain()
    point = world.points[world.subscribers[0], "sms"]
    assert (await known_of(db, point))[2] == [("withdrawn", "provider", "provider")]
    async with db.transaction(read_only=True) as tx:
        assert set((await tx.execute(select(Delivery.state))).scalars()) == {"suppressed"}
        assert len((await tx.execute(select(Suppression))).all()) == 1
    assert memory.sent == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_they_come_back_by_their_own_word(db: Database, worker: Worker, memory: Memory) -> None:
    world, point = await refused_once(db, worker, memory)
    await text_in(db, phone(world), "START")
    await text_in(db, phone(world), "OK")
    assert await state_of(db, point) == "active"
    assert (await known_of(db, point))[1] is False


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_address_nobody_confirmed_stops_and_a_number_of_ours_does_not(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db, 0)
    async with db.transaction() as tx:
        strange = await contact_points.ensure(tx, Medium.SMS, "+447700900444")
        ours = await contact_points.find(tx, Medium.SMS, world.numbers[0])
        assert ours is not None
        for point in (strange.id, ours.id):
            await notice(tx, point, kind=NoticeKind.CONFIRM, template="help", variables={})
    memory.script("+447700900444", LEFT)
    memory.script(world.numbers[0], LEFT)
    await worker.drain()
    assert (await known_of(db, strange.id))[:2] == ("stopped", True)
    assert (await known_of(db, ours.id))[:2] == ("active", False)
