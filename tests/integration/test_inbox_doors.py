"""The doors of the inbox that open over the web, on both databases: signed hooks, whole mails."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from channels.base import HookReply, HookRequest
from channels.errors import BadHook
from channels.memory import Memory
from channels.registry import Channels
from channels.sms_twilio import SmsTwilio
from notifier import config
from notifier.db import Database, Tx
from notifier.delivery.tokens import attempt_token
from notifier.inbox import calls, receive
from notifier.inbox.route import Facts
from notifier.models import Delivery, IncomingState
from notifier.runtime import Service
from notifier.web.app import make_app
from notifier.worker import Worker
from tests.fakes.twilio import FakeTwilio
from tests.integration.replies import DOMAIN, SHARED_NUMBER, delivery_to, kept, mail, make_world, publish

PUBLIC = "https://link.example"
HOOK = f"{PUBLIC}/hooks/sms_twilio"
KEY = "a hook key of the tests"
TWILIO = FakeTwilio()
Client = TestClient[Any, Any]


class Unreadable(Memory):
    """Takes hooks whose signature is good and whose body makes no sense."""

    name = "unreadable"

    async def verify(self, request: HookRequest) -> bool:
        return True

    def parse(self, request: HookRequest) -> list[object]:
        raise KeyError(request.body) if request.body.startswith(b"fault") else BadHook

    def answer(self) -> HookReply:
        return HookReply()


@pytest.fixture
async def service(db: Database) -> AsyncIterator[Service]:
    variables = {
        "NOTIFIER_BASE_URL": PUBLIC,
        "NOTIFIER_MAIL_DOMAIN": DOMAIN,
        "NOTIFIER_HOOK_KEYS": f"another {KEY.replace(' ', '_')}",
        "NOTIFIER_SMS_NUMBERS": SHARED_NUMBER,
    }
    environment = config.build(variables)
    twilio = SmsTwilio(TWILIO.account_sid, [TWILIO.auth_token], [SHARED_NUMBER], base_url=PUBLIC)
    async with twilio:
        yield Service(environment=environment, db=db, channels=Channels([twilio, Unreadable(), Memory()]))


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(service))) as found:
        yield found


def text_call(body: str = "Who do I tell?", **changes: str) -> tuple[bytes, dict[str, str]]:
    fields = TWILIO.incoming_fields(sender="+447700900001", to=SHARED_NUMBER, body=body)
    return TWILIO.signed(HOOK, fields | changes)


def raw_signature(
    body: bytes, *, at: float | None = None, key: str = KEY.replace(" ", "_")
) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    mac = hmac.digest(key.encode(), stamp.encode() + b"." + body, "sha256").hex()
    return {"X-Notifier-Signature": f"t={stamp},v1={mac}"}


# --- Hooks ------------------------------------------------------------------------------------


async def test_a_signed_text_is_committed_before_it_is_answered(db: Database, client: Client) -> None:
    body, headers = text_call("Ünïcödé 👍 \x00")
    answered = await client.post("/hooks/sms_twilio", data=body, headers=headers)
    assert (answered.status, await answered.read()) == (
        200,
        b'<?xml version="1.0" encoding="UTF-8"?><Response/>',
    )
    (row,) = await kept(db)
    assert (row.state, row.recipient, row.medium) == (IncomingState.STORED, SHARED_NUMBER, "sms")
    async with db.transaction() as tx:
        assert tx.keys.open_text(receive.TEXT, row.id, row.text_sealed) == "Ünïcödé 👍 \x00"
        assert tx.keys.open(receive.RAW, row.id, row.raw_sealed) == body
        assert tx.keys.open_text(receive.SENDER, row.id, row.sender_sealed) == "+447700900001"


async def test_the_same_call_five_times_is_one_message(db: Database, client: Client) -> None:
    body, headers = text_call()
    answers = await asyncio.gather(
        *(client.post("/hooks/sms_twilio", data=body, headers=headers) for _ in range(5))
    )
    assert [answered.status for answered in answers] == [200] * 5
    assert len(await kept(db)) == 1


@pytest.mark.parametrize(
    "change",
    [
        "no signature",
        "another signature",
        "body changed",
        "field added",
        "field repeated",
        "not a form",
        "another account",
        "to another path",
    ],
)
async def test_what_is_not_signed_gets_an_empty_403(db: Database, client: Client, change: str) -> None:
    body, headers = text_call()
    path = "/hooks/sms_twilio"
    match change:
        case "no signature":
            del headers["X-Twilio-Signature"]
        case "another signature":
            headers["X-Twilio-Signature"] = "A" * 28
        case "body changed":
            body = body.replace(b"Who", b"who")
        case "field added":
            body += b"&Extra=1"
        case "field repeated":
            body += b"&" + urlencode({"Body": "Who do I tell?"}).encode()
        case "not a form":
            body, headers["Content-Type"] = b'{"Body": "x"}', "application/json"
        case "another account":
            body, headers = text_call(AccountSid="AC" + "9" * 32)
        case "to another path":
            path += "?attempt=x"
    answered = await client.post(path, data=body, headers=headers)
    assert (answered.status, await answered.read()) == (403, b"")
    assert await kept(db) == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/hooks/sms_twilio", {}, b"", 405),
        ("POST", "/hooks/memory", {}, b"", 404),
        ("POST", "/hooks/nothing", {}, b"", 404),
        ("POST", "/hooks/sms_twilio", {"Content-Encoding": "gzip"}, b"x", 415),
        ("POST", "/hooks/sms_twilio", {}, b"x" * 2_000_000, 413),
        ("POST", "/hooks/sms_twilio", {"Content-Type": "multipart/form-data"}, b"\xff\xfe", 403),
        ("POST", "/hooks/email/raw", {}, b"From: a@b.example\r\n\r\n", 403),
        ("POST", "/hooks/email/raw", {"X-Notifier-Signature": "t=1,v1=00"}, b"", 403),
    ],
)
async def test_a_call_of_the_wrong_shape_is_refused(
    db: Database, client: Client, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    answered = await client.request(method, path, data=BytesIO(body), headers=headers)
    assert (answered.status, await answered.read()) == (status, b"")
    assert await kept(db) == []


@pytest.mark.parametrize("body", [b"\xff\x00 nonsense", b"fault of the channel"])
async def test_a_signed_call_that_cannot_be_read_is_quarantined_and_answered(
    db: Database, client: Client, body: bytes
) -> None:
    for _ in range(2):
        assert (await client.post("/hooks/unreadable", data=body)).status == 200
    (row,) = await kept(db)
    assert (row.state, row.kind, row.channel) == (IncomingState.QUARANTINED, "unreadable", "unreadable")
    async with db.transaction() as tx:
        whole = calls.read(tx.keys.open(receive.RAW, row.id, row.raw_sealed), PUBLIC)
    assert whole is not None
    assert (whole.url, whole.body) == (f"{PUBLIC}/hooks/unreadable", body)
    assert "Host" in whole.headers


async def test_a_receipt_raises_the_delivery_its_address_names(db: Database, client: Client) -> None:
    world = await make_world(db, 1)
    await publish(db, world)
    delivery = await delivery_to(db, world.points[world.subscribers[0], "sms"])
    async with db.transaction() as tx:
        fields = {
            "AccountSid": TWILIO.account_sid, "From": SHARED_NUMBER, "To": "+447700900000",
            "MessageSid": f"SM{1:032x}", "MessageStatus": "delivered",
        }  # fmt: skip
        path = f"/hooks/sms_twilio?attempt={attempt_token(tx.keys, delivery, 1)}"
    body, headers = TWILIO.signed(f"{PUBLIC}{path}", fields)
    for _ in range(2):
        assert (await client.post(path, data=body, headers=headers)).status == 200
    async with db.transaction() as tx:
        assert await tx.scalar(select(Delivery.state).where(Delivery.id == delivery)) == "delivered"
    assert await kept(db) == []


async def test_a_whole_mail_signed_with_an_older_key_is_kept(db: Database, client: Client) -> None:
    raw = mail(sender="sam@mail.example")
    for _ in range(2):
        assert (
            await client.post("/hooks/email/raw", data=BytesIO(raw), headers=raw_signature(raw))
        ).status == 202
    (row,) = await kept(db)
    async with db.transaction() as tx:
        assert tx.keys.open(receive.RAW, row.id, row.raw_sealed) == raw


async def test_a_whole_mail_may_be_large_but_not_larger_than_the_cap(db: Database, client: Client) -> None:
    raw = b"From: a@b.example\r\n\r\n" + b"x" * 3_000_000
    assert (
        await client.post("/hooks/email/raw", data=BytesIO(raw), headers=raw_signature(raw))
    ).status == 202
    raw += b"x" * 25_000_000
    assert (
        await client.post("/hooks/email/raw", data=BytesIO(raw), headers=raw_signature(raw))
    ).status == 413
    assert len(await kept(db)) == 1


async def test_a_signature_that_is_six_minutes_old_is_none(db: Database, client: Client) -> None:
    raw = mail(sender="sam@mail.example")
    headers = raw_signature(raw, at=time.time() - 360)
    assert (await client.post("/hooks/email/raw", data=BytesIO(raw), headers=headers)).status == 403


async def test_what_the_worker_is_told_of_it_routes(db: Database, service: Service, client: Client) -> None:
    await make_world(db)
    body, headers = text_call()
    await client.post("/hooks/sms_twilio", data=body, headers=headers)
    (row,) = await kept(db)
    worker = Worker(service, db.jobs)
    await worker.handlers["route"](str(row.id))
    assert [each.state for each in await kept(db)] == [IncomingState.ROUTED]


async def test_a_message_that_trips_the_worker_is_put_aside_after_three_tries(
    db: Database, service: Service, client: Client
) -> None:
    async def trips(tx: Tx, facts: Facts) -> None:
        raise ValueError("a fault of ours")

    body, headers = text_call()
    await client.post("/hooks/sms_twilio", data=body, headers=headers)
    (row,) = await kept(db)
    worker = Worker(replace(service, resolvers=(trips,)), db.jobs)
    for _ in range(3):
        with pytest.raises(ValueError, match="a fault of ours"):
            await worker.handlers["route"](str(row.id))
    await worker.handlers["route"](str(row.id))
    (row,) = await kept(db)
    assert (row.state, row.tries, row.reason) == ("quarantined", 3, "could not be handled: ValueError")
