"""Quiet hours and closing hours on the wall's clock, above all on the two nights when it jumps."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.delivery.hours import (
    Hours,
    end_of_quiet,
    hours_in,
    is_quiet,
    last_closing,
    next_closing,
    next_morning,
)
from subscribers.models import Frequency

LONDON = ZoneInfo("Europe/London")
MINUTE = timedelta(minutes=1)
SPRING, AUTUMN = datetime(2027, 3, 28, 1, tzinfo=UTC), datetime(2027, 10, 31, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "at", "end"),
    [
        ("21:00-08:00", "2027-01-10 20:59", None),
        ("21:00-08:00", "2027-01-10 21:00", "2027-01-11 08:00"),
        ("21:00-08:00", "2027-01-11 07:59:59", "2027-01-11 08:00"),
        ("21:00-08:00", "2027-01-11 08:00", None),
        ("12:00-14:00", "2027-07-10 11:30", "2027-07-10 13:00"),
        ("00:00-00:00", "2027-01-10 00:00", None),
        # Over the night that loses an hour, and the one that gains one: 8am on the wall either way.
        ("21:00-08:00", "2027-03-27 22:00", "2027-03-28 07:00"),
        ("21:00-08:00", "2027-10-30 22:00", "2027-10-31 08:00"),
        # 1:30am does not exist: the clock jumps from 1am to 2am, out of quiet hours.
        ("23:00-01:30", "2027-03-28 00:10", "2027-03-28 01:00"),
        ("00:30-01:00", "2027-03-28 00:45", "2027-03-28 01:00"),
        # Quiet hours that lie within the hour that is missing never begin.
        ("01:10-01:50", "2027-03-28 01:00", None),
        # 1:30am comes twice: the first ends them, and the second 1am begins them again.
        ("23:00-01:30", "2027-10-31 00:10", "2027-10-31 00:30"),
        ("23:00-01:30", "2027-10-31 00:45", None),
        ("23:00-01:30", "2027-10-31 01:05", "2027-10-31 01:30"),
        ("23:00-02:00", "2027-10-31 00:10", "2027-10-31 02:00"),
        # The jump back lands in hours that had ended.
        ("01:00-01:45", "2027-10-31 00:50", None),
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall(hours: str, at: str, end: str | None) -> None:
    found = end_of_quiet([hours_in(hours)], utc(at), LONDON)
    assert found == (utc(end) if end else None)


MINUTES = st.integers(0, 24 * 60 - 1)
HOURS = st.builds(Hours, start=MINUTES, end=MINUTES)
NEAR_A_JUMP = st.builds(
    lambda jump, minutes: jump + timedelta(minutes=minutes),
    st.sampled_from([SPRING, AUTUMN, datetime(2027, 7, 1, tzinfo=UTC)]),
    st.integers(-36 * 60, 36 * 60),
)


@settings(max_examples=150, deadline=None)
@example(hours=Hours(start=60, end=90), at=AUTUMN)
@example(hours=Hours(start=61, end=60), at=SPRING - timedelta(hours=20))
@given(hours=HOURS, at=NEAR_A_JUMP)
def test_nothing_starts_within_quiet_hours_nor_later_than_it_must(hours: Hours, at: datetime) -> None:
    end = end_of_quiet([hours], at, LONDON) or at
    assert not is_quiet([hours], end, LONDON)
    minutes = int((end - at) / MINUTE)
    assert all(is_quiet([hours], at + MINUTE * minute, LONDON) for minute in range(minutes))


@settings(max_examples=60, deadline=None)
@given(one=HOURS, other=HOURS, at=NEAR_A_JUMP)
def test_two_kinds_of_quiet_hours_are_both_kept(one: Hours, other: Hours, at: datetime) -> None:
    end = end_of_quiet([one, other], at, LONDON) or at
    if end - at < timedelta(days=2):
        assert not is_quiet([one, other], end, LONDON)
        minutes = int((end - at) / MINUTE)
        assert all(is_quiet([one, other], at + MINUTE * minute, LONDON) for minute in range(minutes))


def test_hours_that_leave_no_minute_of_the_day_still_have_an_answer() -> None:
    at = utc("2027-01-10 12:00")
    end = end_of_quiet([hours_in("08:00-20:00"), hours_in("20:00-08:00")], at, LONDON)
    assert end is not None
    assert end - at >= timedelta(days=2)


@pytest.mark.parametrize(
    ("hours", "at", "morning"),
    [
        ([], "2027-01-10 12:00", "2027-01-11 08:00"),
        (["21:00-07:30"], "2027-07-10 12:00", "2027-07-11 06:30"),
        (["21:00-08:00"], "2027-03-27 12:00", "2027-03-28 07:00"),
        (["07:00-09:15"], "2027-01-10 12:00", "2027-01-11 09:15"),
        (["21:00-08:00"], "2027-07-10 23:30", "2027-07-12 07:00"),  # past midnight on the wall
    ],
)
def test_the_next_day_begins_when_its_night_is_over(hours: list[str], at: str, morning: str) -> None:
    assert next_morning(utc(at), [hours_in(text) for text in hours], LONDON) == utc(morning)


@pytest.mark.parametrize(
    ("frequency", "now", "last", "following"),
    [
        (Frequency.DAILY, "2027-01-10 17:00", "2027-01-10 17:00", "2027-01-11 17:00"),
        (Frequency.DAILY, "2027-01-10 16:59", "2027-01-09 17:00", "2027-01-10 17:00"),
        (Frequency.DAILY, "2027-03-28 12:00", "2027-03-27 17:00", "2027-03-28 16:00"),
        (Frequency.DAILY, "2027-10-31 16:30", "2027-10-30 16:00", "2027-10-31 17:00"),
        (Frequency.WEEKLY, "2027-03-26 16:59", "2027-03-19 17:00", "2027-03-26 17:00"),
        (Frequency.WEEKLY, "2027-03-29 09:00", "2027-03-26 17:00", "2027-04-02 16:00"),
    ],
)
def test_digests_close_at_five_on_the_wall(frequency: Frequency, now: str, last: str, following: str) -> None:
    assert last_closing(frequency, utc(now), LONDON) == utc(last)
    assert next_closing(frequency, utc(now), LONDON) == utc(following)


CLOCKS = re.compile(
    r"\b(?:datetime\.(?:now|utcnow|today)|date\.today|time\.(?:time|time_ns))\(|\bfunc\.now\("
)
ROOT = Path(__file__).parents[2]


def test_what_decides_reads_no_clock_of_its_own_process() -> None:
    """Hosts' clocks differ, and step; `tx.now` is the database's. (`new_id` takes the time for order alone.)"""
    packages = (
        "notifier/delivery",
        "notifier/broadcast",
        "notifier/inbox",
        "notifier/consultation",
        "subscribers",
    )
    files = [file for package in packages for file in sorted((ROOT / package).rglob("*.py"))]
    found = {
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in files
        for line in file.read_text(encoding="utf-8").splitlines()
        if CLOCKS.search(line)
    }
    assert len(files) > 40
    assert found == {"subscribers/models.py: stamp = time.time_ns() // 1_000_000"}
