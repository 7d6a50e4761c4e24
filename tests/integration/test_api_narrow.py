"""The API shows what narrows a message's audience, as it was asked, before and after approval."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import insert

from notifier.broadcast import overview
from notifier.db import Database
from subscribers.models import Postcode
from tests.integration.api_calls import DRAFT, call, drafted, token
from tests.integration.desk import Client, Desk, open_desk
from tests.world import BOROUGH, ward

POSTCODE = {
    "postcode": "SE5 9AA",
    "ward_code": ward(0),
    "borough_code": BOROUGH,
    "easting": 530000,
    "northing": 180000,
}
NOBODY_LEFT_OUT: dict[str, list[str]] = {"areas": [], "topics": [], "messages": []}
WHOLE = {
    "languages": ["cy", "en"],
    "postcodes": ["SE5 9AA"],
    "near": {"metres": 800, "postcode": "SE5 9AA", "easting": None, "northing": None},
    "sample": {"size": 5, "seed": 7},
    "exclude": {**NOBODY_LEFT_OUT, "areas": [ward(1)], "topics": ["crime-prevention"]},
}
EMPTY: dict[str, Any] = {
    "languages": [],
    "postcodes": [],
    "near": None,
    "sample": None,
    "exclude": NOBODY_LEFT_OUT,
}


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db) as opened:
        async with opened.db.transaction() as tx:
            await tx.execute(insert(Postcode), POSTCODE)
        yield opened


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    async with desk.browser() as browser:
        yield browser


async def shown(client: Client, headers: dict[str, str], message: str) -> Any:
    status, found = await call(client, "GET", f"/messages/{message}", headers)
    assert status == 200, found
    return found["narrow"]


async def test_all_that_narrows_is_shown_and_may_be_sent_back(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    first = await drafted(client, headers, narrow=WHOLE)
    assert await shown(client, headers, first) == WHOLE
    again = await drafted(client, headers, narrow=await shown(client, headers, first))
    assert await shown(client, headers, again) == WHOLE
    assert await shown(client, headers, await drafted(client, headers)) is None


async def test_a_point_a_sample_without_a_seed_and_messages_left_out(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    before = await drafted(client, headers)
    await call(client, "POST", f"/messages/{before}/cancel", headers)
    point = {"metres": 300, "postcode": "", "easting": 530_100, "northing": 180_000}
    left_out = {**NOBODY_LEFT_OUT, "messages": [before]}
    asked = {"near": point, "exclude": left_out, "sample": {"size": 2}}
    found = await shown(client, headers, await drafted(client, headers, narrow=asked))
    assert found["sample"].pop("seed") >= 0
    assert found == {**EMPTY, "near": point, "exclude": left_out, "sample": {"size": 2}}


async def test_it_is_shown_the_same_once_its_people_are_drawn(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    narrow = {**EMPTY, "sample": {"size": 1, "seed": 3}}
    message = await drafted(client, headers, narrow=narrow)
    status, approved = await call(client, "POST", f"/messages/{message}/approve", headers)
    assert (status, approved["narrow"]) == (200, narrow)


async def test_an_approval_covers_whom_it_is_narrowed_to(desk: Desk, client: Client) -> None:
    headers = await token(desk)
    prints = set()
    for body in (DRAFT, {**DRAFT, "narrow": {"languages": ["cy"]}}):
        message = await drafted(client, headers, **body)
        async with desk.db.transaction(read_only=True) as tx:
            (line,) = await overview.page(tx, desk.world.teams, after=None, limit=1)
            assert str(line.id) == message
            prints.add((await overview.get(tx, line.id, desk.world.teams)).fingerprint)
    assert len(prints) == 2
