"""What counts against an address, and how it fades."""

from datetime import UTC, datetime, timedelta

import pytest

from subscribers.standing import HALF_LIFE, LIMIT, Weight, score_at, weigh, with_point

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "permanent", "weight"),
    [
        ("5.1.1", False, Weight.END),
        ("5.1.10", False, Weight.END),
        ("5.1.2", True, Weight.END),
        ("5.4.4", False, Weight.END),
        ("", True, Weight.END),
        ("HardBounce", True, Weight.END),
        ("550", True, Weight.END),
        ("5.0.0", True, Weight.END),
        ("5.0.0", False, Weight.POINT),
        ("5.2.2", False, Weight.POINT),
        ("5.2.1", False, Weight.POINT),
        ("4.1.1", False, Weight.POINT),
        ("4.4.7", False, Weight.POINT),
        ("", False, Weight.POINT),
        ("5.1.100", False, Weight.POINT),
        ("5.7.1", True, Weight.NOTHING),
        ("5.7.26", False, Weight.NOTHING),
        ("4.7.0", False, Weight.NOTHING),
        ("5.6.0", True, Weight.NOTHING),
        ("5.1.8", True, Weight.NOTHING),
        ("5.2.3", False, Weight.NOTHING),
        ("5.3.4", False, Weight.NOTHING),
        ("5.5.2", True, Weight.NOTHING),
    ],
)
def test_a_failure_ends_counts_or_says_nothing_of_the_person(
    code: str, weight: Weight, *, permanent: bool
) -> None:
    assert weigh(code, permanent=permanent) is weight


@pytest.mark.parametrize(
    ("code", "weight"), [("5.2.2", Weight.END), ("4.4.7", Weight.END), ("5.7.1", Weight.NOTHING)]
)
def test_a_returned_probe_ends_the_address_unless_it_was_our_fault(code: str, weight: Weight) -> None:
    assert weigh(code, permanent=False, probe=True) is weight


def test_a_score_halves_in_six_weeks_and_never_grows_by_itself() -> None:
    assert score_at(4.0, NOW, NOW + HALF_LIFE) == pytest.approx(2.0)
    assert score_at(4.0, NOW, NOW - timedelta(days=1)) == 4.0
    assert score_at(0.0, None, NOW) == 0.0


def test_there_is_one_point_a_day_at_most() -> None:
    assert with_point(0.0, None, NOW) == 1.0
    assert with_point(1.0, NOW, NOW + timedelta(hours=11)) is None
    assert with_point(1.0, NOW, NOW + timedelta(hours=13)) == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(("every", "points"), [(1, 5), (7, 5), (14, 8), (35, None)])
def test_how_many_bounces_in_a_row_it_takes(every: int, points: int | None) -> None:
    """Of mail sent daily, weekly and fortnightly; a bounce now and then never adds up."""
    score, since = 0.0, None
    reached = None
    for number in range(1, 60):
        at = NOW + timedelta(days=every * number)
        score = with_point(score, since, at) or score
        since = at
        if score >= LIMIT:
            reached = number
            break
    assert reached == points
