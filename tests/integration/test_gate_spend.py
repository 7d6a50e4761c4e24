"""The day's limits on spending: never passed, not even by two workers at once; alerts go out all the same."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from notifier.db import Database
from notifier.delivery import spend
from notifier.delivery.alarms import open_alarms
from notifier.delivery.spend import Caps, Charged, Cost, next_midnight, read_caps
from notifier.models import Alarm, Lane, Spending

LONDON = ZoneInfo("Europe/London")
CAPS = Caps(channels={"sms": 100.0}, teams={"sms": 60.0})


def texts(
    count: int, team: str = "abbey", lane: Lane = Lane.WARD, parts: int = 1, first: int = 0
) -> list[Cost]:
    return [
        Cost(id=first + i, channel="sms", team=team, lane=lane, parts=parts, pence=4.0 * parts)
        for i in range(count)
    ]


async def charge(db: Database, costs: list[Cost], caps: Caps = CAPS) -> Charged:
    async with db.transaction() as tx:
        return await spend.charge(tx, costs, caps, LONDON)


async def spent(db: Database) -> dict[str, tuple[int, float]]:
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(select(Spending.team, Spending.parts, Spending.pence))
        return {row.team: (row.parts, row.pence) for row in rows if row.parts}


async def test_a_team_s_limit_and_the_channel_s_limit_hold(db: Database) -> None:
    charged = await charge(db, texts(20))
    assert sorted(charged.over) == list(range(15, 20))
    assert set(charged.over.values()) == {"the team's limit for today is spent on this channel"}
    assert await spent(db) == {"abbey": (15, 60.0)}
    charged = await charge(db, texts(20, "dock"))
    assert len(charged.over) == 10
    assert "the service's limit for today is spent on this channel" in charged.over.values()
    assert await spent(db) == {"abbey": (15, 60.0), "dock": (10, 40.0)}
    async with db.transaction() as tx:
        assert {(a.kind, a.key) for a in await open_alarms(tx)} == {("spend", "sms/abbey"), ("spend", "sms")}


async def test_two_workers_at_once_do_not_pass_it(db: Database) -> None:
    teams = ["abbey", "dock", "elm", ""]
    charged = await asyncio.gather(
        *(charge(db, texts(3, teams[i % 4], first=3 * i), Caps(channels={"sms": 100.0})) for i in range(16))
    )
    assert sum(parts for parts, _ in (await spent(db)).values()) == 25
    assert sum(3 - len(each.over) for each in charged) == 25


async def test_alerts_go_out_and_an_operator_is_told(db: Database) -> None:
    await charge(db, texts(15))
    charged = await charge(db, texts(5, lane=Lane.URGENT))
    assert charged.over == {}
    assert await spent(db) == {"abbey": (20, 80.0)}
    assert len((await charge(db, texts(1, lane=Lane.TRANSACTIONAL))).over) == 1
    async with db.transaction() as tx:
        assert [a.kind for a in await open_alarms(tx)] == ["spend"]


async def test_what_is_free_writes_nothing_and_what_has_no_limit_is_only_counted(db: Database) -> None:
    free = [Cost(id=1, channel="mail", team="abbey", lane=Lane.WARD, parts=1, pence=0.0)]
    assert (await charge(db, free)).over == {}
    assert await spent(db) == {}
    assert (await charge(db, texts(40, parts=2), spend.NO_CAPS)).over == {}
    assert await spent(db) == {"abbey": (80, 320.0)}


async def test_what_was_not_taken_is_given_back(db: Database) -> None:
    await charge(db, texts(15))
    async with db.transaction() as tx:
        await spend.refund(tx, texts(4), LONDON)
    assert await spent(db) == {"abbey": (11, 44.0)}
    assert len((await charge(db, texts(5))).over) == 1
    async with db.transaction() as tx:
        await spend.refund(tx, texts(99), LONDON)
    assert await spent(db) == {}


async def test_the_next_day_has_a_limit_of_its_own(db: Database) -> None:
    await charge(db, texts(16))
    async with db.transaction() as tx:
        await spend.clear_yesterday(tx, LONDON)
        assert len(await open_alarms(tx)) == 1
        yesterday = tx.now - timedelta(days=1)
        await tx.execute(update(Spending).values(day=yesterday.astimezone(LONDON).date()))
        await tx.execute(update(Alarm).values(raised_at=yesterday))
        await spend.clear_yesterday(tx, LONDON)
        assert await open_alarms(tx) == []
    assert (await charge(db, texts(15))).over == {}


@pytest.mark.parametrize(
    ("now", "midnight"),
    [
        (datetime(2026, 11, 22, 12, tzinfo=UTC), datetime(2026, 11, 23, 0, tzinfo=UTC)),
        (datetime(2027, 3, 27, 23, 30, tzinfo=UTC), datetime(2027, 3, 28, 0, tzinfo=UTC)),
        (datetime(2027, 3, 28, 0, 30, tzinfo=UTC), datetime(2027, 3, 28, 23, tzinfo=UTC)),
        (datetime(2027, 10, 30, 23, 30, tzinfo=UTC), datetime(2027, 11, 1, 0, tzinfo=UTC)),
    ],
)
def test_the_day_ends_at_local_midnight(now: datetime, midnight: datetime) -> None:
    assert next_midnight(now, LONDON) == midnight


def test_limits_are_read_off_the_setting_in_pounds() -> None:
    assert read_caps(["sms_twilio=500", "sms_twilio/team=0.5"]) == Caps(
        channels={"sms_twilio": 50000.0}, teams={"sms_twilio": 50.0}
    )
