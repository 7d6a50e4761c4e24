"""Several channels of one medium: SQL deals deliveries to them as Python does, on both databases."""

from datetime import UTC, datetime
from itertools import cycle
from typing import Any
from uuid import UUID

from sqlalchemy import case, insert, select

from notifier.broadcast.notices import notice
from notifier.carriers import Carrier, Carriers
from notifier.db import Database
from notifier.models import Delivery, NoticeKind
from subscribers.models import ContactPoint, new_id
from tests.integration.ledger import publish, world_of
from tests.integration.several import OF_B, TextsA, TextsB, share
from tests.world import World

ENDS = (0, 0x2491, 0x2492, 0x2493, 0x9FFF, 0xA000, 0xFFFF)  # about where a seventh ends


async def test_a_database_deals_addresses_as_python_does(db: Database) -> None:
    weights = {"sms_a": 1, "sms_b": 0, "sms_c": 2, "sms_d": 4}
    four = [Carrier(channel=name, weight=weight) for name, weight in weights.items()]
    dealt_to = Carriers({"sms": four, "email": [Carrier(channel="mail", weight=1)]})
    points = [*(new_id() for _ in range(100)), *(UUID(int=(n << 20) | end) for n, end in enumerate(ENDS))]
    async with db.transaction() as tx:
        rows = [_unknown(point, medium) for point, medium in zip(points, cycle(["sms", "sms", "email"]))]
        await tx.execute(insert(ContactPoint), rows)
        dealt = case(*dealt_to.cases(ContactPoint.medium, ContactPoint.id, of=tx.dialect))
        found = (await tx.execute(select(ContactPoint.id, ContactPoint.medium, dealt.label("dealt")))).all()
    assert len(found) == len(points)
    assert all(row.dealt == dealt_to.channel_for(row.medium, row.id) for row in found)


def _unknown(point: UUID, medium: str) -> dict[str, Any]:
    return {
        "id": point,
        "medium": medium,
        "address_sealed": b"",
        "address_hash": point.bytes * 2,
        "state": "unconfirmed",
        "created_at": datetime.now(UTC),
    }


async def channels_of(db: Database, message: object) -> dict[UUID, str]:
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(
            select(Delivery.contact_point_id, Delivery.channel)
            .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
            .where(Delivery.message_id == message, ContactPoint.medium == "sms")
        )
        return {row.contact_point_id: row.channel for row in rows}


async def test_a_person_stays_with_one_channel_from_message_to_message(db: Database) -> None:
    world = await world_of(db, 40, wards=(0,))
    share(db, TextsA(), TextsB(), weights={"sms_a": 70, "sms_b": 30})
    first = await channels_of(db, await publish(db, world, wards=(0,)))
    second = await channels_of(db, await publish(db, world, wards=(0,), kind="alert"))
    assert first == second
    assert set(first.values()) == {"sms_a", "sms_b"}
    assert first == {point: db.carriers.channel_for("sms", point) for point in first}


async def planned_notice(db: Database, world: World, from_number: str) -> str:
    point = world.points[world.subscribers[0], "sms"]
    async with db.transaction() as tx:
        made = await notice(
            tx, point, kind=NoticeKind.HELP, template="help", variables={"from_number": from_number}
        )
        found: str = await tx.scalar(select(Delivery.channel).where(Delivery.notice_id == made))
    return found


async def test_what_answers_a_text_goes_by_the_channel_that_has_its_number(db: Database) -> None:
    world = await world_of(db, 1, wards=(0,))
    share(db, TextsA(), TextsB(), weights={"sms_a": 1})
    assert await planned_notice(db, world, OF_B[1]) == "sms_b"
    assert await planned_notice(db, world, "") == "sms_a"
