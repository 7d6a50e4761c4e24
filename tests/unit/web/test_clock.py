"""Dates and times as officers type them, above all on the two nights when the clocks change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from notifier.web.desk import clock
from notifier.web.times import in_words, read_time

LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize("day", ["2027-04-30", "30/04/2027", "30 4 2027", "30.4.2027", " 30/4/2027 "])
@pytest.mark.parametrize("at", ["18:30", "6:30pm", "6.30pm", "6:30 PM", "18:30:00"])
def test_a_date_and_a_time_are_read_however_they_are_written(day: str, at: str) -> None:
    assert clock.read(day, at, LONDON).at == datetime(2027, 4, 30, 17, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "day", ["", "31/04/2027", "2027-02-30", "tomorrow", "04/30/2027", "1/1/27", "٣/٤/2027x"]
)
def test_a_day_that_is_none_is_said_so(day: str) -> None:
    assert clock.read(day, "10:00", LONDON).wrong.startswith("Enter a real date")


@pytest.mark.parametrize("at", ["", "25:61", "24:00", "6", "13pm", "0am", "noon", "12:5"])
def test_a_time_that_is_none_is_said_so(at: str) -> None:
    assert clock.read("2027-04-30", at, LONDON).wrong.startswith("Enter a real time")


def test_midday_and_midnight_are_what_people_mean() -> None:
    assert read_time("12pm") == read_time("12:00")
    assert read_time("12am") == read_time("00:00")


@pytest.mark.parametrize("minutes", [0, 1, 59, 60, 12 * 60, 12 * 60 + 30, 21 * 60, 24 * 60 - 1])
def test_a_time_in_words_is_read_as_the_same_again(minutes: int) -> None:
    at = read_time(in_words(minutes))
    assert at is not None
    assert at.hour * 60 + at.minute == minutes


def test_a_time_that_the_clocks_skip_is_refused_and_the_next_real_one_offered() -> None:
    skipped = clock.read("2027-03-28", "01:30", LONDON)
    assert (skipped.at, skipped.choices) == (None, (("next", "Sunday 28 March 2027, 2am"),))
    taken = clock.read("2027-03-28", "01:30", LONDON, choice="next")
    assert taken.at == datetime(2027, 3, 28, 1, 0, tzinfo=UTC)


def test_a_time_that_comes_twice_asks_which() -> None:
    doubled = clock.read("2027-10-31", "01:30", LONDON)
    assert doubled.at is None
    assert [value for value, _ in doubled.choices] == ["first", "second"]
    assert "BST" in doubled.choices[0][1]
    assert "GMT" in doubled.choices[1][1]
    first, second = (
        clock.read("2027-10-31", "01:30", LONDON, choice=which).at for which in ("first", "second")
    )
    assert (first, second) == (
        datetime(2027, 10, 31, 0, 30, tzinfo=UTC),
        datetime(2027, 10, 31, 1, 30, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("typed", "at", "note"),
    [
        (
            "2027-03-28T01:30",
            "2027-03-28T01:00",
            "so that time does not exist: it is Sunday 28 March 2027, 2am",
        ),
        ("2027-03-28T01:00", "2027-03-28T01:00", "does not exist"),
        ("2027-03-28T02:00", "2027-03-28T01:00", ""),
        ("2027-03-28T00:59", "2027-03-28T00:59", ""),
        ("2027-10-31T01:30", "2027-10-31T00:30", "it is the first time, before they go back (BST)"),
        ("2027-10-31T00:59", "2027-10-30T23:59", ""),
        ("2027-10-31T02:00", "2027-10-31T02:00", ""),
        ("2027-07-01T09:00", "2027-07-01T08:00", ""),
    ],
)
def test_where_nobody_can_be_asked_it_is_the_next_real_time_and_the_first_of_two(
    typed: str, at: str, note: str
) -> None:
    found = clock.settle(datetime.fromisoformat(typed), LONDON)
    assert found.at == datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert (note in found.note) if note else not found.note


def test_the_second_of_two_times_is_said_to_be_the_second() -> None:
    second = datetime(2027, 10, 31, 1, 30, tzinfo=UTC)
    assert "the second time, after they have gone back (GMT)" in clock.note(second, LONDON)
    assert clock.note(datetime(2027, 3, 28, 1, 0, tzinfo=UTC), LONDON) == ""


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01", "2099-06-01"])
def test_far_days_do_not_fail(day: str) -> None:
    found = clock.read(day, "00:00", ZoneInfo("Pacific/Auckland"))
    assert found.at is not None or found.wrong
