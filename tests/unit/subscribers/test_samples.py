"""A sample's seats go to areas in proportion, the rest to the largest remainders."""

from math import sqrt

from hypothesis import given
from hypothesis import strategies as st

from subscribers.models import Frequency
from subscribers.samples import PRIME, allocate, first_look, highest_drawn

SIZES = st.dictionaries(
    st.text("abc", min_size=1, max_size=3), st.integers(1, 5_000), min_size=1, max_size=20
)


def test_the_rest_goes_to_the_largest_remainders() -> None:
    assert allocate({"a": 50, "b": 30, "c": 20}, 7) == {"a": 4, "b": 2, "c": 1}  # quotas 3.5, 2.1, 1.4


def test_equal_remainders_are_settled_by_code() -> None:
    assert allocate({"b": 10, "a": 10, "c": 10}, 4) == {"a": 2, "b": 1, "c": 1}


@given(SIZES, st.integers(1, 20_000))
def test_each_area_gets_its_quota_rounded_up_or_down_and_all_add_up(
    sizes: dict[str, int], wanted: int
) -> None:
    shares, whole = allocate(sizes, wanted), sum(sizes.values())
    wanted = min(wanted, whole)
    assert sum(shares.values()) == wanted
    for code, size in sizes.items():
        quota = wanted * size / whole
        assert quota - 1 < shares.get(code, 0) < quota + 1
        assert shares.get(code, 0) <= size


@given(st.integers(1, 50_000), st.integers(1, 1_000_000), st.integers(1, 700))
def test_the_first_look_finds_enough_in_an_area_of_the_usual_size(size: int, people: int, areas: int) -> None:
    upto = first_look(size, people=people, areas=areas)
    if size >= people:
        assert upto == PRIME
        return
    share = size / areas
    expected = people / areas * upto / PRIME
    everybody = people / areas
    assert expected >= min(share + 5 * sqrt(share) + 11, everybody - 1)


def test_of_each_area_the_highest_mark_drawn_is_kept() -> None:
    marks = {"a": [9, 4, 7], "b": [5, 2], "c": [1]}
    assert highest_drawn({"a": 2, "b": 1}, marks) == {"a": 7, "b": 2}
    assert highest_drawn({"a": 5, "d": 1}, marks) == {"a": 9}


def test_the_sooner_a_frequency_the_earlier_in_the_alphabet() -> None:
    """The soonest of a person's wishes is found as the least of their names."""
    assert sorted(Frequency) == [Frequency.AT_ONCE, Frequency.DAILY, Frequency.WEEKLY]
