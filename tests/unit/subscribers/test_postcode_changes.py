"""What a line changes about its postcode, by what is known and by what its file can tell."""

from dataclasses import replace

import pytest

from subscribers.postcode_changes import Effect, Held, covering, effect_of, merge
from subscribers.postcode_files import Layout, Row

FULL = Layout(
    dict.fromkeys(
        ("postcode", "ward", "borough", "terminated", "introduced", "easting", "lat", "quality"), 0
    ),
    1,
)
WARDLESS = Layout(dict.fromkeys(("postcode", "borough", "easting"), 0), 1)
LINE = Row(
    postcode="N2 8AA", ward="E05000049", borough="E09000003", easting=527242, northing=189204,
    lat=51.587332, long=-0.164744, quality=1, introduced="1980-01", terminated=None, live=True,
)  # fmt: skip
HELD = Held(
    "N2 8AA",
    "E05000049",
    "E09000003",
    527242,
    189204,
    51.587332,
    -0.164744,
    1,
    "1980-01",
    None,
    "2013-08",
    None,
)


def changed(
    held: Held | None, line: Row, layout: Layout = FULL, vintage: str = "2024-01"
) -> tuple[Effect, Held]:
    after = merge(held, line, layout, vintage)
    return effect_of(held, after, vintage), after


def test_a_postcode_nobody_knew_is_new() -> None:
    assert changed(None, LINE, vintage="2013-08") == (Effect.NEW, HELD)


def test_the_same_line_again_changes_nothing() -> None:
    assert changed(HELD, LINE, vintage="2013-08") == (Effect.UNCHANGED, HELD)


def test_a_newer_line_moves_a_postcode_to_its_new_ward() -> None:
    effect, after = changed(HELD, replace(LINE, ward="E05013635"))
    assert (effect, after.ward_code, after.vintage) == (Effect.MOVED, "E05013635", "2024-01")


def test_an_older_line_moves_nobody_back_and_fills_gaps() -> None:
    held = HELD._replace(vintage="2025-11", lat=None, long=None, introduced=None)
    effect, after = changed(held, replace(LINE, ward="E05099999"))
    assert (effect, after.ward_code, after.vintage) == (Effect.CORRECTED, "E05000049", "2025-11")
    assert (after.lat, after.introduced) == (51.587332, "1980-01")
    assert changed(after, LINE)[0] is Effect.OLDER


def test_a_file_without_wards_keeps_wards_boroughs_and_their_vintage() -> None:
    effect, after = changed(
        HELD, replace(LINE, ward=None, borough="E09000099", live=None, easting=527243), WARDLESS
    )
    assert effect is Effect.CORRECTED
    assert (after.ward_code, after.borough_code, after.vintage) == ("E05000049", "E09000003", "2013-08")
    assert (after.easting, after.quality) == (527243, 1)


def test_a_file_without_dates_does_not_revive_a_terminated_postcode() -> None:
    held = HELD._replace(terminated="1995-07")
    assert changed(held, replace(LINE, live=None), WARDLESS)[1].terminated == "1995-07"


def test_a_terminated_postcode_keeps_its_last_ward() -> None:
    line = replace(LINE, ward=None, borough=None, terminated="2020-03", live=False)
    effect, after = changed(HELD, line)
    assert (effect, after.ward_code, after.terminated) == (Effect.TERMINATED, "E05000049", "2020-03")


def test_an_end_without_a_month_is_dated_by_the_file() -> None:
    effect, after = changed(HELD, replace(LINE, live=False))
    assert (effect, after.terminated, after.gone_in) == (Effect.TERMINATED, None, "2024-01")


@pytest.mark.parametrize("ended", [{"terminated": "2015-04"}, {"gone_in": "2018-05"}])
def test_a_postcode_in_use_again_is_live_again(ended: dict[str, str]) -> None:
    effect, after = changed(HELD._replace(**ended), LINE)  # type: ignore[arg-type]
    assert (effect, after.is_live) == (Effect.RETURNED, True)


def test_a_postcode_found_gone_later_is_not_revived_by_a_file_from_before() -> None:
    held = HELD._replace(gone_in="2024-01")
    effect, after = changed(held, LINE, vintage="2018-05")
    assert (effect, after.gone_in) == (Effect.UNCHANGED, "2024-01")


def test_a_full_newer_file_speaks_for_the_postcodes_it_misses() -> None:
    live = {("2013-08", "Barnet"): 50, ("2024-01", "Barnet"): 500, ("2024-01", "Camden"): 90}
    assert covering(live) == ("2024-01", frozenset({"Barnet", "Camden"}))


def test_a_sample_speaks_for_nobody() -> None:
    assert covering({("2013-08", "Barnet"): 500, ("2024-01", "Barnet"): 20}) == (
        "2013-08",
        frozenset({"Barnet"}),
    )


def test_a_file_of_one_borough_says_nothing_of_its_neighbours() -> None:
    live = {("2013-08", "Camden"): 900, ("2013-08", "Barnet"): 30, ("2024-01", "Barnet"): 500}
    assert covering(live) == ("2024-01", frozenset({"Barnet"}))


def test_nothing_live_is_covered_by_nothing() -> None:
    assert covering({}) is None
