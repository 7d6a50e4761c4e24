"""Faults of a provider and of the doorbell: nothing lost, every possible repeat flagged."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import select

from notifier import config
from notifier.broadcast import approve, draft, report
from notifier.models import Delivery
from notifier.runtime import Service, channel_variables, open_service
from notifier.worker import Worker
from tests.fakes import smtp, web
from tests.providers import Providers, providers, until
from tests.servers import RedisServer
from tests.world import World, make_people, make_places, ward

DRILL = {"NOTIFIER_TIME_FACTOR": "0.002"}


@pytest.fixture
async def far_ends() -> AsyncIterator[Providers]:
    async with providers() as ends:
        yield ends


@asynccontextmanager
async def at_work(far_ends: Providers, database_url: str, redis_url: str = "") -> AsyncIterator[Service]:
    """The service with one worker in this process."""
    environment = config.build(
        far_ends.settings(database_url, redis_url=redis_url, **DRILL), channel_variables
    )
    async with open_service(environment) as service:
        worker = Worker(service, service.db.jobs)
        task = asyncio.create_task(worker.run())
        try:
            yield service
        finally:
            worker.stop()
            await task


async def publish(service: Service, people: int, *media: str) -> tuple[World, UUID]:
    async with service.db.transaction() as tx:
        world = await make_places(tx)
        await make_people(tx, world, people, wards=(0,), media=media)
    async with service.db.transaction() as tx:
        written = draft.Draft(
            kind="priority_update",
            texts={"en": ("Patrols tonight", "We will be in the park from 6pm.")},
            areas=(ward(0),),
            media=media,
        )
        message = await draft.save(tx, written, team=world.teams[0], author=None)
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    return world, message


async def is_over(service: Service, message: UUID) -> bool:
    async with service.db.transaction(read_only=True) as tx:
        found = await report.progress(tx, message)
    return found is not None and found.is_over


async def flagged(service: Service, world: World) -> set[str]:
    async with service.db.transaction(read_only=True) as tx:
        points = await tx.execute(select(Delivery.contact_point_id).where(Delivery.maybe_repeat.is_(True)))
        return {world.addresses[point] for point in points.scalars()}


async def test_mail_cut_after_the_dot_is_sent_once_more_under_the_same_message_id(
    database_url: str, far_ends: Providers
) -> None:
    far_ends.mail.script_text("person0@mail.example", smtp.Trouble.CUT_AFTER_DOT)
    async with at_work(far_ends, database_url) as service:
        world, message = await publish(service, 3, "email")
        await until(lambda: is_over(service, message), seconds=40, what="the message is over")
        assert await flagged(service, world) == {"person0@mail.example"}
    taken = Counter(mail.to for mail in far_ends.mail.accepted)
    assert taken == {"person0@mail.example": 2, "person1@mail.example": 1, "person2@mail.example": 1}
    ids = {m.message["Message-ID"] for m in far_ends.mail.accepted if m.to == "person0@mail.example"}
    assert len(ids) == 1


async def test_a_mail_refused_for_now_goes_later_and_one_refused_for_good_never(
    database_url: str, far_ends: Providers
) -> None:
    far_ends.mail.script("person0@mail.example", "451 4.3.0 try later")
    far_ends.mail.script("person1@mail.example", "550 5.1.1 no such user", "250 never asked again")
    async with at_work(far_ends, database_url) as service:
        _, message = await publish(service, 2, "email")
        await until(lambda: is_over(service, message), seconds=40, what="the message is over")
        async with service.db.transaction(read_only=True) as tx:
            assert await report.counts(tx, message) == {"accepted": 1, "failed": 1}
    assert [mail.to for mail in far_ends.mail.accepted] == ["person0@mail.example"]


async def test_a_text_taken_without_an_answer_is_found_by_look_up_and_not_repeated(
    database_url: str, far_ends: Providers
) -> None:
    far_ends.texts.script("+447700900000", web.Trouble.TAKE_AND_CUT)
    async with at_work(far_ends, database_url) as service:
        world, message = await publish(service, 2, "sms")
        await until(lambda: is_over(service, message), seconds=40, what="the message is over")
        assert await flagged(service, world) == set()
        async with service.db.transaction(read_only=True) as tx:
            assert await report.counts(tx, message) == {"accepted": 2}
    assert Counter(text.to for text in far_ends.texts.accepted) == {"+447700900000": 1, "+447700900001": 1}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_redis_killed_and_started_again_loses_nothing(
    database_url: str, durable_redis: RedisServer, far_ends: Providers
) -> None:
    async with at_work(far_ends, database_url, durable_redis.url) as service:
        _, first = await publish(service, 40, "email")
        durable_redis.kill()
        await until(lambda: is_over(service, first), seconds=40, what="the message is over without Redis")
        durable_redis.start()
    assert set(Counter(far_ends.accepted()).values()) == {1}
    assert len(far_ends.accepted()) == 40
