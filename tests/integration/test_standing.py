"""An address that returns mail: points, a probe, its end, the word by another way, and its return."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from channels.base import Progress, Receipt
from notifier import config
from notifier.broadcast import probe
from notifier.broadcast.probe import Tended
from notifier.db import Database
from notifier.delivery import receipts, settled
from notifier.delivery.settle import Change, Standing
from notifier.delivery.wording import VARIABLES
from notifier.models import Attempt, DeliveryState, Notice
from subscribers import contact_points, standing, suppression
from subscribers.models import ContactPoint, ContactPointState
from tests.integration.replies import (
    DOMAIN,
    delivery_to,
    email,
    mail,
    mail_in,
    make_world,
    publish,
    settings,
    state_of,
    told,
)
from tests.world import World

ACTIVE, BOUNCED, STOPPED = ContactPointState.ACTIVE, ContactPointState.BOUNCED, ContactPointState.STOPPED


async def one(db: Database) -> tuple[World, UUID, UUID]:
    """A person with an email address and a number, and a message on its way to both."""
    world = await make_world(db, 1)
    await publish(db, world)
    person = world.subscribers[0]
    return world, world.points[person, "email"], world.points[person, "sms"]


async def says(
    db: Database,
    point: UUID,
    progress: Progress,
    *,
    code: str = "",
    permanent: bool = False,
    event: str = "e1",
) -> None:
    """A provider's word, as hooks bring it, on the newest delivery to a contact point."""
    word = Receipt(
        event_id=event,
        provider_id="",
        attempt="",
        progress=progress,
        at=None,
        raw=b"",
        code=code,
        permanent=permanent,
    )
    delivery = await delivery_to(db, point)
    async with db.transaction() as tx:
        await receipts.record(tx, "email_smtp", word, delivery=delivery)


async def is_now(db: Database, point: UUID, **values: object) -> None:
    async with db.transaction() as tx:
        await tx.execute(update(ContactPoint).where(ContactPoint.id == point).values(values))


async def before(db: Database, **ago: float) -> Any:
    async with db.transaction(read_only=True) as tx:
        return tx.now - timedelta(**ago)


async def held(db: Database, point: UUID) -> Any:
    async with db.transaction(read_only=True) as tx:
        return (await tx.execute(select(ContactPoint.__table__).where(ContactPoint.id == point))).one()


async def tended(db: Database, **variables: str) -> Tended:
    given = {"NOTIFIER_MAIL_DOMAIN": DOMAIN, "NOTIFIER_BASE_URL": "https://link.example", **variables}
    async with db.transaction() as tx:
        return await probe.tend(tx, config.build(given).settings if variables else settings())


async def test_several_failures_of_a_day_are_one_point_and_our_own_faults_none(db: Database) -> None:
    _, point, _ = await one(db)
    await says(db, point, Progress.BOUNCED, code="5.7.26", event="ours")
    assert (await held(db, point)).bounce_score == 0
    for number in range(3):
        await says(db, point, Progress.BOUNCED, code="5.2.2", event=f"full{number}")
    row = await held(db, point)
    assert (row.bounce_score, row.state) == (1.0, ACTIVE)


@pytest.mark.parametrize(
    ("code", "permanent"), [("5.1.1", False), ("HardBounce", True)], ids=["by its code", "by the provider"]
)
async def test_an_address_that_is_none_is_ended_at_once_whoever_says_so(
    db: Database, code: str, *, permanent: bool
) -> None:
    _, point, _ = await one(db)
    await says(db, point, Progress.BOUNCED, code=code, permanent=permanent)
    assert await state_of(db, point) == BOUNCED


@pytest.mark.parametrize(
    ("code", "state", "score"), [("550 5.1.1", BOUNCED, 0.0), ("550 5.2.1", ACTIVE, 1.0)]
)
async def test_a_no_over_smtp_weighs_what_a_returned_mail_does(
    db: Database, code: str, state: ContactPointState, score: float
) -> None:
    _, point, _ = await one(db)
    said = Change(
        id=1,
        number=1,
        state=DeliveryState.FAILED,
        code=code,
        contact_point_id=point,
        standing=Standing.BOUNCED,
    )
    async with db.transaction() as tx:
        await settled._mark_addresses(tx, [said])
    row = await held(db, point)
    assert (row.state, row.bounce_score) == (state, score)


async def test_too_many_points_ask_once_for_a_sign_of_life_and_a_returned_one_ends_it(db: Database) -> None:
    _, point, _ = await one(db)
    await is_now(db, point, bounce_score=3.9, bounced_at=await before(db, days=2))
    assert (await tended(db)).asked == 0
    await says(db, point, Progress.BOUNCED, code="5.2.2")
    assert (await tended(db)).asked == 1
    assert (await tended(db)).asked == 0
    assert await told(db, point) == ["probe"]
    assert await state_of(db, point) == ACTIVE
    await says(db, point, Progress.BOUNCED, code="5.2.2", event="e2")  # of the probe, the newest delivery
    assert await state_of(db, point) == BOUNCED


async def test_a_probe_that_does_not_come_back_clears_the_score(db: Database) -> None:
    _, point, _ = await one(db)
    await is_now(
        db, point, bounce_score=4.5, bounced_at=await before(db, days=8), probed_at=await before(db, days=6)
    )
    assert (await tended(db)).cleared == 0
    await is_now(db, point, probed_at=await before(db, days=8))
    assert (await tended(db)).cleared == 1
    row = await held(db, point)
    assert (row.bounce_score, row.bounced_at, row.probed_at, row.state) == (0.0, None, None, ACTIVE)


async def test_its_owner_is_told_once_each_time_by_a_confirmed_number_and_the_text_hides_the_address(
    db: Database,
) -> None:
    world, point, number = await one(db)
    await says(db, point, Progress.BOUNCED, code="5.1.1")
    assert (await tended(db)).told == 1
    assert (await tended(db)).told == 0
    async with db.transaction() as tx:
        row = (await tx.execute(select(Notice).where(Notice.template == "returned"))).one()
        given: Mapping[str, str] = json.loads(tx.keys.open_text(VARIABLES, row.id, row.variables_sealed))
    assert row.contact_point_id == number
    address = email(world)
    assert given["masked"] == f"{address[0]}...@..."
    assert address not in json.dumps(given)
    await is_now(db, point, state=ACTIVE, bounced_at=None)
    await says(db, point, Progress.BOUNCED, code="5.1.1", event="again")
    assert [(await tended(db)).told for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("why", ["stopped", "not confirmed", "on the list", "night"])
async def test_nobody_is_told_where_they_may_not_be(db: Database, why: str) -> None:
    _, point, number = await one(db)
    await says(db, point, Progress.BOUNCED, code="5.1.1")
    night = {}
    if why == "stopped":
        await is_now(db, number, state=STOPPED)
    elif why == "not confirmed":
        await is_now(db, number, verified_at=None)
    elif why == "on the list":
        async with db.transaction() as tx:
            contact = await contact_points.get(tx, number)
            assert contact is not None
            await suppression.suppress(tx, contact, reason=suppression.STOPPED)
    else:
        now = (await before(db)).astimezone(settings().zone)
        hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
        night = {"NOTIFIER_QUIET_HOURS": f"sms={hours}"}
    assert (await tended(db, **night)).told == 0
    assert await told(db, number) == []


async def test_a_mail_from_the_address_itself_brings_it_back(db: Database) -> None:
    world, point, _ = await one(db)
    await says(db, point, Progress.BOUNCED, code="5.1.1")
    await mail_in(db, mail(sender=email(world), headers="Auto-Submitted: auto-replied\n"))
    assert await state_of(db, point) == BOUNCED
    await mail_in(db, mail(sender=email(world)))
    row = await held(db, point)
    assert (row.state, row.stopped_at, row.bounced_at) == (ACTIVE, None, None)


async def test_what_arrives_after_the_failure_brings_it_back_and_what_left_before_does_not(
    db: Database,
) -> None:
    _, point, _ = await one(db)
    await says(db, point, Progress.BOUNCED, code="5.1.1")
    delivery = await delivery_to(db, point)
    async with db.transaction() as tx:
        first = {"number": 1, "started_at": tx.now - timedelta(hours=1), "owner": "w"}
        await tx.execute(insert(Attempt).values(delivery_id=delivery, **first))
    await says(db, point, Progress.DELIVERED, event="early")
    assert await state_of(db, point) == BOUNCED
    async with db.transaction() as tx:
        later = update(Attempt).where(Attempt.delivery_id == delivery)
        await tx.execute(later.values(started_at=tx.now + timedelta(hours=1)))
    await says(db, point, Progress.DELIVERED, event="late")
    assert await state_of(db, point) == ACTIVE


@pytest.mark.parametrize("why", ["its owner stopped it", "it is on the list", "they have another by now"])
async def test_what_was_not_ended_by_us_alone_stays_ended(db: Database, why: str) -> None:
    world, point, _ = await one(db)
    await says(db, point, Progress.BOUNCED, code="5.1.1")
    async with db.transaction() as tx:
        contact = await contact_points.get(tx, point)
        assert contact is not None
        if why == "its owner stopped it":
            await suppression.stop(tx, contact, source="link", actor="subscriber")
        elif why == "it is on the list":
            await suppression.suppress(tx, contact, reason=suppression.STOPPED)
        else:
            other = await contact_points.ensure(tx, "email", "another@mail.example")
            await contact_points.activate(tx, other, world.subscribers[0])
    async with db.transaction() as tx:
        assert not await standing.revive(tx, point)
    assert await state_of(db, point) == (STOPPED if why == "its owner stopped it" else BOUNCED)


async def test_a_complaint_stops_the_address_for_good_whichever_way_it_came(db: Database) -> None:
    _, point, _ = await one(db)
    await says(db, point, Progress.COMPLAINED)
    assert await state_of(db, point) == STOPPED
    async with db.transaction() as tx:
        contact = await contact_points.get(tx, point)
        assert contact is not None
        assert await suppression.is_suppressed(tx, "email", contact.address_hash)
