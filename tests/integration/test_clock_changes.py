"""A message for a time that the clocks skip, or show twice, written on the desk."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from notifier.db import Database
from notifier.models import Message, Role
from tests.integration.desk import Client, Desk, open_desk
from tests.integration.desk_forms import errors_in, send_form
from tests.integration.ledger import next_change

EMAIL = "sam@force.example"
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db) as opened:
        await opened.officer(EMAIL, Role.SERGEANT, opened.world.teams[0])
        yield opened


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    async with desk.signed_in(EMAIL) as browser:
        yield browser


async def sent_at(db: Database) -> datetime | None:
    async with db.transaction(read_only=True) as tx:
        at: datetime | None = await tx.scalar(
            select(Message.send_at).order_by(Message.created_at.desc()).limit(1)
        )
        return at


@pytest.mark.parametrize(
    ("month", "choice", "hour", "said"),
    [
        (3, "next", 1, "2am"),
        (10, "first", 0, "the first time, before they go back (BST)"),
        (10, "second", 1, "the second time, after they have gone back (GMT)"),
    ],
)
async def test_the_desk_asks_and_says_back_which_time_it_took(
    db: Database, desk: Desk, client: Client, month: int, choice: str, hour: int, said: str
) -> None:
    day = next_change(month)
    typed = {"when": "later", "send_date": day.isoformat(), "send_time": "01:30"}
    status, _, page = await send_form(client, **typed)
    assert status == 422
    assert any("The clocks go" in sentence for sentence in errors_in(page))
    assert f'value="{choice}"' in page
    status, path, page = await send_form(client, **typed, send_clock=choice)
    assert (status, path.endswith("/preview")) == (200, True)
    assert said in page
    at = await sent_at(db)
    assert at == datetime(day.year, day.month, day.day, hour, 0 if month == 3 else 30, tzinfo=UTC)
