"""When somebody may be asked to confirm, how long that holds, and whose choices count."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from subscribers import names
from subscribers.consent import Choices, SignUpState, is_pumped, may_ask, merge, state_of
from subscribers.models import Frequency, LeastPriority

NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("medium", "asked_ago", "may"),
    [
        ("email", [], True),
        ("email", [HOUR], False),
        ("email", [DAY - timedelta(seconds=1)], False),
        ("email", [DAY], True),
        ("email", [2 * DAY, 10 * DAY], True),
        ("email", [2 * DAY, 10 * DAY, 29 * DAY], False),
        ("email", [2 * DAY, 10 * DAY, 30 * DAY], True),
        ("sms", [HOUR / 4, HOUR / 3], True),
        ("sms", [HOUR / 4, HOUR / 3, HOUR / 2], False),
        ("sms", [HOUR / 4, HOUR / 3, HOUR], True),
        ("sms", [DAY * day for day in range(1, 11)], False),
    ],
)
def test_requests_to_confirm_are_few(medium: str, asked_ago: list[timedelta], may: bool) -> None:
    assert may_ask(medium, [NOW - ago for ago in asked_ago], NOW) is may


@pytest.mark.parametrize(
    ("expires_in", "confirmed", "state"),
    [
        (HOUR, False, SignUpState.WAITING),
        (timedelta(0), False, SignUpState.EXPIRED),
        (-HOUR, False, SignUpState.EXPIRED),
        (-HOUR, True, SignUpState.CONFIRMED),
    ],
)
def test_a_sign_up_waits_until_it_expires_and_stays_confirmed(
    expires_in: timedelta, confirmed: bool, state: SignUpState
) -> None:
    confirmed_at = NOW - DAY if confirmed else None
    assert state_of(expires_at=NOW + expires_in, confirmed_at=confirmed_at, now=NOW) is state


def test_choices_survive_being_kept() -> None:
    choices = Choices(
        area_codes=("E05999901", "E05999902"),
        topics=("burglary",),
        language="cy",
        least_priority=LeastPriority.URGENT,
        frequency=Frequency.WEEKLY,
        name="Zoë O’Brien-Ngũgĩ",
        postcode="SE5 9AA",
        phone="+447700900001",
        subscriber=UUID(int=7),
    )
    assert Choices.from_json(choices.to_json()) == choices
    assert Choices.from_json(Choices().to_json()) == Choices()


def test_areas_of_all_sign_ups_count_but_the_phone_only_of_the_one_followed() -> None:
    followed = Choices(area_codes=("A", "B"), topics=("news",), language="cy")
    other = Choices(area_codes=("B", "C"), topics=("burglary",), phone="+447700900001", name="Somebody")
    merged = merge(followed, [other])
    assert merged.area_codes == ("A", "B", "C")
    assert merged.topics == ("news", "burglary")
    assert (merged.language, merged.phone, merged.name) == ("cy", None, None)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Jo", "Jo"),
        ("  Zoë   O’Brien-Ngũgĩ ", "Zoë O’Brien-Ngũgĩ"),
        ("李", "李"),
        ("Null", "Null"),
        ("<b>Bob</b>", "<b>Bob</b>"),
        ("=cmd()", "=cmd()"),
        ("{{config}}", "{{config}}"),
        ("one\r\nBcc: two", "one Bcc: two"),
        ("a\x00b", "a b"),
        (" \t ", None),
        ("A" * 100, "A" * 100),
    ],
)
def test_anything_may_be_a_name(typed: str, kept: str | None) -> None:
    assert names.read(typed) == kept


@pytest.mark.parametrize("typed", ["A" * 101, "http://spam.example", "see www.spam.example"])
def test_a_web_address_or_an_essay_is_no_name(typed: str) -> None:
    with pytest.raises(names.BadName):
        names.read(typed)


@pytest.mark.parametrize(
    ("sent", "used", "pumped"),
    [(199, 0, False), (200, 0, True), (10_000, 9_500, False), (500, 250, False), (500, 249, True)],
)
def test_codes_that_nobody_uses_betray_a_script(sent: int, used: int, pumped: bool) -> None:
    assert is_pumped(sent=sent, used=used) is pumped
