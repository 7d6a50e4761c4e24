"""While the pool of connections is crowded, bulk calls of the API are refused and nothing else is."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from channels.base import Medium
from notifier.db import Database
from notifier.jobs import InProcessJobs
from notifier.models import Role
from notifier.waits import Waits
from notifier.web.api.operation import PREFIX
from notifier.web.shedding import PATIENCE_SECONDS, RETRY_AFTER_SECONDS, is_busy, is_crowded
from subscribers.signing import Keys
from tests.integration.api_calls import DRAFT, call, drafted, token
from tests.integration.desk import Client, open_desk
from tests.world import ward

ALERT = {"kind": "alert", "areas": [ward(0)]}
WINDOW_SECONDS = 1.0
HOOK_KEY = "a_hook_key_of_the_tests"
MAIL = b"From: new@resident.example\r\nTo: replies@link.example\r\nSubject: Lights\r\n\r\nThey are out.\r\n"

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
async def small(database_url: str, keys: Keys) -> AsyncIterator[Database]:
    """A database with as few connections as a pool can have."""
    carriers = {medium.value: "memory" for medium in Medium}
    opened = await Database.opened(
        database_url, keys=keys, jobs=InProcessJobs(), carriers=carriers, pool_size=1
    )
    opened.waits = Waits(window_seconds=WINDOW_SECONDS)
    yield opened
    await opened.close()


@asynccontextmanager
async def busy(db: Database) -> AsyncIterator[None]:
    """Every connection of its pool is lent."""
    pool: Any = db.engine.pool
    async with AsyncExitStack() as lent:
        for _ in range(pool.size() + pool._max_overflow):
            await lent.enter_async_context(db.transaction(read_only=True))
        yield


def signed(body: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    mac = hmac.digest(HOOK_KEY.encode(), stamp.encode() + b"." + body, "sha256").hex()
    return {"X-Notifier-Signature": f"t={stamp},v1={mac}"}


async def until(sign: Callable[[Waits], bool], db: Database) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS + 2):
        while not sign(db.waits):  # noqa: ASYNC110 - time passes, nothing else
            await asyncio.sleep(0.05)


async def approve(client: Client, message: str, headers: dict[str, str]) -> int:
    key = {"Idempotency-Key": f"approve-{message}"}
    async with asyncio.timeout(PATIENCE_SECONDS):  # nobody waits behind the crowd
        return (await call(client, "POST", f"/messages/{message}/approve", headers, **key))[0]


async def test_a_crowd_puts_bulk_off_and_keeps_nothing_else_from_passing(small: Database) -> None:
    async with open_desk(small, NOTIFIER_HOOK_KEYS=HOOK_KEY) as desk, desk.browser() as client:
        await desk.officer("sam@force.example", Role.SERGEANT, desk.world.teams[0])
        headers = await token(desk)
        bulk, alert = await drafted(client, headers), await drafted(client, headers, **ALERT)
        subscriber = {"email": "new@resident.example", "areas": [ward(0)]}
        async with desk.signed_in("sam@force.example") as officer:
            async with busy(small):
                waiting = [
                    asyncio.create_task(client.get(f"/areas/{ward(0)}")),
                    asyncio.create_task(client.post("/hooks/email/raw", data=MAIL, headers=signed(MAIL))),
                ]
                signing_up = asyncio.create_task(call(client, "POST", "/subscribers", headers, subscriber))
                await until(is_crowded, small)

                async with client.get(f"{PREFIX}/messages", headers=headers) as refused:
                    said = json.loads(await refused.text())
                assert (refused.status, refused.content_type) == (429, "application/problem+json")
                assert refused.headers["Retry-After"] == RETRY_AFTER_SECONDS
                assert set(said) == {"type", "title", "status", "detail"}
                for path in ("/conversations", "/consultations", "/teams"):
                    assert (await call(client, "GET", path, headers))[0] == 429
                assert (await call(client, "POST", "/messages", headers, DRAFT))[0] == 429
                assert await approve(client, bulk, headers) == 429

                assert await approve(client, alert, headers) == 200
                await drafted(client, headers, **ALERT, title="Keep your doors shut")
                assert (await call(client, "GET", f"/messages/{alert}", headers))[1]["state"] == "approved"
                assert (await call(client, "POST", f"/messages/{bulk}/cancel", headers))[0] == 200
                async with asyncio.timeout(PATIENCE_SECONDS):
                    assert (await officer.get("/desk/messages/new")).status == 200

            assert (await signing_up)[0] == 202
            assert [(await each).status for each in waiting] == [200, 202]
            text = await (await client.get("/metrics")).text()
            waited = next(
                line for line in text.splitlines() if line.startswith("notifier_database_wait_seconds ")
            )
            assert float(waited.split()[1]) > PATIENCE_SECONDS
            ready = await (await client.get("/health/ready")).json()
            assert (ready["degraded"], ready["sheds_bulk"]) == (True, True)


async def test_the_same_call_is_taken_once_waits_are_short_again(small: Database) -> None:
    async with open_desk(small) as desk, desk.browser() as client:
        headers = await token(desk)
        bulk = await drafted(client, headers)
        async with busy(small):
            waiting = asyncio.create_task(client.get(f"/areas/{ward(0)}"))
            await until(is_crowded, small)
            assert await approve(client, bulk, headers) == 429
        assert (await waiting).status == 200
        assert await approve(client, bulk, headers) == 429  # that long a wait was only just now
        await asyncio.sleep(WINDOW_SECONDS)
        assert await approve(client, bulk, headers) == 200


async def test_an_alert_goes_past_those_who_wait_before_anything_is_refused(small: Database) -> None:
    async with open_desk(small) as desk, desk.browser() as client:
        headers = await token(desk)
        bulk, alert = (
            await drafted(client, headers),
            await drafted(client, headers, **ALERT, title="Keep your doors shut"),
        )
        async with busy(small):
            listing = asyncio.create_task(call(client, "GET", "/messages", headers))
            await until(is_busy, small)
            approving = asyncio.create_task(approve(client, bulk, headers))
            assert await approve(client, alert, headers) == 200
            assert not listing.done()
            assert not approving.done()
            assert not is_crowded(small.waits)
        assert (await listing)[0] == 200
        assert await approving == 200
