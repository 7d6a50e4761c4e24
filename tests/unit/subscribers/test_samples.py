"""A sample's seats go to areas in proportion, the rest to the largest remainders."""

from hypothesis import given
from hypothesis import strategies as st

from subscribers.samples import allocate

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
