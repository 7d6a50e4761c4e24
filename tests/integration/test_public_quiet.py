"""Quiet hours and the weekly limit on the preferences page: in plain words, kept as typed, safe to repeat."""

import pytest
from sqlalchemy import select

from notifier.db import Database
from subscribers.models import ConsentEvent, Subscriber
from tests.integration.pages import ALDER, Browser, signed_up

CHOICES = [("area", ALDER), ("topic", "news"), ("frequency", "at_once"), ("least_priority", "everything"),
           ("language", "en")]  # fmt: skip


async def stored(db: Database) -> tuple[int | None, int | None, int | None]:
    async with db.transaction(read_only=True) as tx:
        columns = (Subscriber.quiet_from, Subscriber.quiet_until, Subscriber.weekly_limit)
        return tuple((await tx.execute(select(*columns))).one())


async def test_quiet_hours_and_a_limit_are_kept_shown_and_taken_back(db: Database, browser: Browser) -> None:
    manage = await signed_up(db, browser)
    wished = [*CHOICES, ("quiet_from", "9.30 pm"), ("quiet_until", "08:00"), ("weekly_limit", "3")]
    for _ in range(2):
        response, _ = await browser.send(manage, wished)
        assert response.status == 303
    assert await stored(db) == (21 * 60 + 30, 8 * 60, 3)
    _, page = await browser.get(manage)
    assert 'name="quiet_from" type="text" value="9:30pm"' in page
    assert 'name="quiet_until" type="text" value="8am"' in page
    assert '<option value="3" selected>3 at most</option>' in page
    async with db.transaction(read_only=True) as tx:
        changed = (
            await tx.execute(select(ConsentEvent.purpose).where(ConsentEvent.action == "changed"))
        ).scalars()
        assert {"quiet_hours", "weekly_limit"} <= set(changed)

    await browser.send(manage, CHOICES)
    assert await stored(db) == (21 * 60 + 30, 8 * 60, 3), "a form without these fields changes neither"
    await browser.send(manage, [*CHOICES, ("quiet_from", ""), ("quiet_until", ""), ("weekly_limit", "0")])
    assert await stored(db) == (None, None, None)
    _, page = await browser.get(manage)
    assert '<option value="0" selected>As many as there are</option>' in page


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (
            [("quiet_from", "9 in the evening"), ("quiet_until", "8am")],
            "Enter a time of day, for example 9pm",
        ),
        ([("quiet_from", "9"), ("quiet_until", "8am")], "Enter a time of day"),
        ([("quiet_from", "9pm"), ("quiet_until", "")], "Enter both times of your quiet hours"),
        ([("quiet_from", ""), ("quiet_until", "8am")], "Enter both times of your quiet hours"),
        ([("quiet_from", "9pm"), ("quiet_until", "21:00")], "Enter two different times"),
        ([("weekly_limit", "many")], "Choose how many messages a week"),
        ([("weekly_limit", "-1")], "Choose how many messages a week"),
        ([("weekly_limit", "9999999")], "Choose how many messages a week"),
    ],
)
async def test_what_makes_no_sense_is_said_beside_what_was_typed(
    db: Database, browser: Browser, typed: list[tuple[str, str]], sentence: str
) -> None:
    manage = await signed_up(db, browser)
    response, page = await browser.send(manage, [*CHOICES, *typed])
    assert response.status == 422
    assert sentence in page
    assert all(f'value="{value}"' in page for name, value in typed if name != "weekly_limit")
    assert await stored(db) == (None, None, None)
