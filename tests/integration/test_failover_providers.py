"""Failover between Twilio and FireText by their own channels, judged by what the two stand-ins took: on both databases."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import pytest
from sqlalchemy import update

from notifier import config
from notifier.db import Database
from notifier.jobs import InProcessJobs
from notifier.models import Delivery
from notifier.runtime import channel_variables, open_service
from notifier.worker import Worker
from tests.fakes import FakeTwilio
from tests.fakes.firetext import API_KEY, FakeFiretext
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN
from tests.fakes.web import Trouble
from tests.integration.ledger import publish, states, world_of
from tests.integration.several import column
from tests.world import World

PEOPLE = 24
OF_TWILIO, OF_FIRETEXT = "+447700900801", "+447700900811"


@dataclass
class Both:
    """The service with both open, and the two far ends."""

    db: Database
    worker: Worker
    twilio: FakeTwilio
    firetext: FakeFiretext
    world: World

    def taken(self) -> Counter[str]:
        """Who got a text, once for each time one was taken."""
        return Counter(
            [*(text.to for text in self.twilio.accepted), *(text.to for text in self.firetext.accepted)]
        )

    def each_once(self) -> Counter[str]:
        return Counter(self.world.addresses[point] for point in self.world.points.values())

    async def publish(self) -> UUID:
        found: UUID = await publish(self.db, self.world, wards=(0,), media=("sms",))
        return found


@pytest.fixture
async def both(database_url: str) -> AsyncIterator[Both]:
    async with FakeTwilio() as twilio, FakeFiretext() as firetext:
        environment = config.build(
            {
                "NOTIFIER_DATABASE_URL": database_url,
                "NOTIFIER_SECRET_KEYS": "only-the-tests-know-this-secret",
                "NOTIFIER_CHANNELS": "sms_twilio sms_firetext outbox",
                "NOTIFIER_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
                "NOTIFIER_TWILIO_AUTH_TOKEN": AUTH_TOKEN,
                "NOTIFIER_TWILIO_API_URL": twilio.url,
                "NOTIFIER_SMS_NUMBERS": OF_TWILIO,
                "NOTIFIER_FIRETEXT_API_KEY": API_KEY,
                "NOTIFIER_FIRETEXT_SENDERS": OF_FIRETEXT,
                "NOTIFIER_FIRETEXT_HOOK_KEYS": "a-key-of-the-hook-0123",
                "NOTIFIER_FIRETEXT_API_URL": firetext.url,
                "NOTIFIER_FAILOVER_AFTER": "0",
                "NOTIFIER_SLOTS": "2",
            },
            channel_variables,
        )
        async with open_service(environment, jobs=InProcessJobs()) as service:
            world = await world_of(service.db, PEOPLE, wards=(0,), media=("sms",))
            yield Both(
                db=service.db,
                worker=Worker(service, service.db.jobs),
                twilio=twilio,
                firetext=firetext,
                world=world,
            )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_second_provider_only_stands_by(both: Both) -> None:
    await both.publish()
    await both.worker.drain()
    assert both.taken() == both.each_once()
    assert list(both.firetext.accepted) == []
    assert await both.worker.fail_over() == 0


async def test_while_one_is_unreachable_everybody_is_reached_by_the_other_once(both: Both) -> None:
    await both.twilio.stop()
    message = await both.publish()
    await both.worker.drain()
    assert await both.worker.fail_over() == PEOPLE
    await both.worker.drain()
    assert await states(both.db, message) == {"accepted": PEOPLE}
    assert both.taken() == both.each_once()
    assert {text.sender for text in both.firetext.accepted} == {OF_FIRETEXT.removeprefix("+")}


async def test_what_one_took_without_an_answer_is_never_sent_by_the_other(both: Both) -> None:
    both.twilio.always("send", Trouble.TAKE_AND_CUT)
    message = await both.publish()
    await both.worker.drain()
    in_doubt = len(list(both.twilio.accepted))
    assert 5 <= in_doubt < PEOPLE
    assert await both.worker.fail_over() == PEOPLE - in_doubt
    await both.worker.drain()
    assert await states(both.db, message) == {"accepted": PEOPLE - in_doubt, "in_doubt": in_doubt}
    assert both.taken() == both.each_once()
    both.twilio.always("send", None)
    async with both.db.transaction() as tx:
        await tx.execute(update(Delivery).where(Delivery.state == "in_doubt").values(due_at=tx.now))
    await both.worker.sweep()
    assert await states(both.db, message) == {"accepted": PEOPLE}  # found at Twilio, each by its own number
    assert set(await column(both.db, Delivery.reason, Delivery.channel == "sms_twilio")) == {
        "found at the provider"
    }
    assert both.taken() == both.each_once()
