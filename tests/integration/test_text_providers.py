"""What text providers tell over the web, and what their list tells, ends in the same rows: on both databases."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from channels.base import Channel, Content, Medium, Outgoing
from channels.registry import Channels
from channels.sms_firetext import SmsFiretext
from channels.sms_mmg import SmsMmg
from channels.sms_twilio import SmsTwilio
from notifier import config
from notifier.db import Database
from notifier.delivery.tokens import attempt_token, delivery_token
from notifier.inbox import receive
from notifier.models import Delivery, DeliveryState
from notifier.runtime import Service
from notifier.web.app import make_app
from notifier.worker.poller import Poller
from tests.fakes import firetext, mmg, twilio
from tests.integration.replies import kept
from tests.integration.test_receipts import TAKEN, settles, started

PUBLIC, OURS, ME = "https://link.example", "+447700900100", "+447700900001"
KEY = "key-0123456789abcdef"
Client = TestClient[Any, Any]


async def sent(channel: Channel, attempt: str, delivery: str) -> None:
    content = Content(medium=Medium.SMS, language="en", text="Road closed")
    prepared = channel.prepare(content)
    await channel.send(Outgoing(attempt=attempt, delivery=delivery, to=ME, prepared=prepared, values={}))


@pytest.fixture(params=["firetext", "mmg"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[firetext.FakeFiretext | mmg.FakeMmg]:
    async with firetext.FakeFiretext() if request.param == "firetext" else mmg.FakeMmg() as fake:
        yield fake


async def test_a_receipt_and_a_reply_come_in_over_the_web_with_the_key_alone(
    db: Database, provider: firetext.FakeFiretext | mmg.FakeMmg
) -> None:
    (start,) = await started(db, 1)
    async with db.transaction() as tx:
        await settles(tx, start, TAKEN)
        tokens = attempt_token(tx.keys, start.id, start.number), delivery_token(tx.keys, start.id)
    is_firetext = isinstance(provider, firetext.FakeFiretext)
    channel = (SmsFiretext if is_firetext else SmsMmg)(
        provider.api_key, [OURS], [KEY], base_url=PUBLIC, api_url=provider.url
    )
    service = Service(
        environment=config.build({"NOTIFIER_BASE_URL": PUBLIC}), db=db, channels=Channels([channel])
    )
    async with channel, TestClient(TestServer(make_app(service))) as client:
        await sent(channel, *tokens)
        if isinstance(provider, firetext.FakeFiretext):
            receipt = provider.receipt_form(provider.accepted[0], "0")
            reply = provider.reply_form(sender=ME, to=OURS, body="STOP it, please £ŵ😀")
            told = urlsplit(provider.accepted[0].receipt)
        else:
            receipt = provider.receipt_body(provider.accepted[0], "3", "5")
            reply = provider.reply_body(sender=ME, to=OURS, body="STOP it, please £ŵ😀")
            told = urlsplit(provider.accepted[0].receipt)
        door = f"/hooks/{channel.name}"
        for path, body in ((f"{told.path}?{told.query}", receipt), (f"{door}?key={KEY}", reply)):
            without = await client.post(path.replace(KEY, "another-key-01234567"), data=body)
            assert (without.status, await without.read()) == (403, b"")
            for _ in range(2):
                assert (await client.post(path, data=body)).status == 200
    async with db.transaction() as tx:
        assert await tx.scalar(select(Delivery.state)) == DeliveryState.DELIVERED
        (row,) = await kept(db)
        assert tx.keys.open_text(receive.TEXT, row.id, row.text_sealed) == "STOP it, please £ŵ😀"
        assert row.recipient == OURS


async def test_a_text_that_came_over_the_web_and_stands_in_the_list_is_one(db: Database) -> None:
    async with (
        twilio.FakeTwilio() as provider,
        SmsTwilio(
            twilio.ACCOUNT_SID, [twilio.AUTH_TOKEN], [OURS], base_url=PUBLIC, api_url=provider.url
        ) as channel,
    ):
        service = Service(
            environment=config.build({"NOTIFIER_BASE_URL": PUBLIC}), db=db, channels=Channels([channel])
        )
        heard = provider.keep_incoming(sender=ME, to=OURS, body="heard")
        provider.keep_incoming(sender=ME, to=OURS, body="missed", pictures=[twilio.Picture()])
        body, headers = provider.signed(f"{PUBLIC}/hooks/sms_twilio", provider.hook_fields(heard))
        async with TestClient(TestServer(make_app(service))) as client:
            assert (await client.post("/hooks/sms_twilio", data=body, headers=headers)).status == 200
        await Poller(service).look("sms_twilio")
    async with db.transaction(read_only=True) as tx:
        rows = await kept(db)
        texts = {tx.keys.open_text(receive.TEXT, row.id, row.text_sealed) for row in rows}
    assert (len(rows), texts) == (2, {"heard", "missed"})
