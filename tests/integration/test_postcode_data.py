"""Published postcode files imported whole, and looked up again. SQLite alone: the statements are proved
on both databases by the small files of `test_areas_import`."""

from math import cos, hypot, radians
from pathlib import Path
from typing import Any

import pytest

from notifier.cli.areas import import_file, vintage_of
from notifier.db import Database
from subscribers import area_names, areas, postcode_files, postcode_import
from subscribers.areas import Found, NoPlace, NotServed, Terminated, UnknownPostcode
from subscribers.postcode_changes import Effect
from subscribers.postcode_files import NotAPostcodeFile, Row
from subscribers.postcode_import import Import
from subscribers.postcodes import Elsewhere, Whole, read, split
from tests import vectors
from tests.vectors import Score

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.timeout(600),
]

METRES_A_DEGREE = 111_320
NORTH, MILL, QUAY = "E09900001", "E05990001", "E05990002"
OLD_LINES = [f'"ZE90 1A{x}",10,447000,1141000,"","","","","{NORTH}","{MILL}"' for x in "ABDEF"]
NEW_LINES = [line.replace(MILL, QUAY).replace("1AB", "1AG") for line in OLD_LINES]


@pytest.fixture
def own_old(tmp_path: Path) -> Path:
    path = tmp_path / "invented_2013-08.csv"
    path.write_text("\n".join(OLD_LINES))
    return path


@pytest.fixture
def own_new(tmp_path: Path) -> Path:
    path = tmp_path / "invented_2024-01.csv"
    path.write_text("\n".join(NEW_LINES))
    return path


async def bring(db: Database, path: Path) -> Import:
    with postcode_files.opened(path) as file:
        vintage = vintage_of(path.name, (await clock(db)).date()) or "2000-01"
        done = Import(layout=file.layout, vintage=vintage)
        await import_file(db, file, done)
    return done


async def clock(db: Database) -> Any:
    async with db.transaction(read_only=True) as tx:
        return tx.now


def postcode_files_at_hand() -> list[Path]:
    found = []
    for path in vectors.paths("postcodes/*.csv*", "postcodes/samples/*.csv"):
        try:
            with postcode_files.opened(path) as file:
                if any(isinstance(row, Row) for row in file.rows):
                    found.append(path)
        except NotAPostcodeFile:
            continue
    return found


async def test_every_published_file_imports_and_again_changes_nothing(db: Database, own_old: Path) -> None:
    for path in [own_old, *postcode_files_at_hand()]:
        first = await bring(db, path)
        readable = first.lines - first.effects[Effect.UNREADABLE]
        print(path.name, dict(first.effects), "gone", first.gone)  # noqa: T201 -- shown by `pytest -s`
        assert readable > 0.9 * first.lines, path.name
        again = await bring(db, path)
        same = again.effects[Effect.UNCHANGED] + again.effects[Effect.OLDER] + again.effects[Effect.REPEATED]
        assert (same, again.gone, again.wards_ended) == (readable, 0, 0), path.name


async def test_a_refresh_moves_people_and_every_look_up_is_right(
    db: Database, own_old: Path, own_new: Path
) -> None:
    for path in [own_old, *vectors.paths("postcodes/codepoint_open_london_2013*")]:
        await bring(db, path)
    newer = vectors.paths("postcodes/codepoint_open_london_2024*")
    for path in [own_new, *newer]:
        await bring(db, path)
    async with db.transaction() as tx:
        for path in vectors.paths("postcodes/wards_london_2024.csv", "postcodes/boroughs_london.csv"):
            await postcode_import.name_areas(tx, area_names.read(path))
    covered = {unit.area for path in [own_new, *newer] for unit in units_in(path)}
    await check_changes(db, covered)
    await check_look_ups(db, covered)
    await check_outside(db)


def units_in(path: Path) -> list[Any]:
    with postcode_files.opened(path) as file:
        return [split(row.postcode.replace(" ", "")) for row in file.rows if isinstance(row, Row)]


def is_covered(text: str, covered: set[str]) -> bool:
    reading = read(text)
    return isinstance(reading, Whole) and reading.unit.area in covered


async def check_changes(db: Database, covered: set[str]) -> None:
    own = [
        {"input": "ZE90 1AA", "expected": {"change": "ward_changed", "ward_2013": MILL, "ward_2024": QUAY}},
        {"input": "ZE90 1AG", "expected": {"change": "new", "ward_2013": None, "ward_2024": QUAY}},
        {"input": "ZE90 1AB", "expected": {"change": "gone", "ward_2013": MILL, "ward_2024": None}},
    ]
    known = vectors.cases("postcodes/vintage_changes_2013_2024.jsonl")
    checked = [case for case in own + known if is_covered(case["input"], covered)]
    score = Score()
    async with db.transaction(read_only=True) as tx:
        for case in checked:
            expected, result = case["expected"], await areas.look_up(tx, case["input"])
            kind = Terminated if expected["change"] == "gone" else Found
            ward = expected["ward_2024"] or expected["ward_2013"]
            right = isinstance(result, kind) and result.ward is not None and result.ward.code == ward
            score.add(right, (case, result))
    score.check(f"vintage changes ({len(checked)} of {len(own + known)} within the files at hand)")


async def check_look_ups(db: Database, covered: set[str]) -> None:
    position = {"easting": 447000, "northing": 1141000, "lat": 60.15, "long": -1.15}
    own = [
        {
            "input": "ze90\t1aa",
            "expected": {"pcds": "ZE90 1AA", "ward_code": QUAY, "borough_code": NORTH, **position},
        }
    ]
    known = vectors.cases("postcodes/lookup_cases_2024.jsonl")
    checked = [case for case in own + known if is_covered(case["input"], covered)]
    score, farthest = Score(), 0.0
    async with db.transaction(read_only=True) as tx:
        for case in checked:
            expected, result = case["expected"], await areas.look_up(tx, case["input"])
            assert isinstance(result, Found), case
            assert result.ward, case
            assert result.borough, case
            stated = (result.postcode, result.ward.code, result.borough.code, result.easting, result.northing)
            wanted = tuple(
                expected[key] for key in ("pcds", "ward_code", "borough_code", "easting", "northing")
            )
            named = result.ward.name in (expected.get("ward_name"), expected["ward_code"])
            score.add(stated == wanted and named, (case, result))
            if case in known:
                farthest = max(farthest, metres_apart(result, expected))
    score.check(f"look-ups ({len(checked)} of {len(own + known)} within the files at hand)")
    print(f"farthest position: {farthest:.1f} m")  # noqa: T201 -- shown by `pytest -s`
    assert farthest < 10


def metres_apart(result: Found, expected: dict[str, float]) -> float:
    assert result.lat is not None
    assert result.long is not None
    east = (result.long - expected["long"]) * cos(radians(result.lat))
    return hypot(result.lat - expected["lat"], east) * METRES_A_DEGREE


async def check_outside(db: Database) -> None:
    score = Score()
    own = [{"input": "AB10 1AA"}, {"input": "ZE90 9ZZ"}]
    async with db.transaction(read_only=True) as tx:
        for case in own + vectors.cases("postcodes/outside_london_2024.jsonl"):
            result = await areas.look_up(tx, case["input"])
            score.add(isinstance(result, NotServed | UnknownPostcode), (case, result))
    score.check("outside what is served")


async def test_terminated_postcodes_keep_their_month(db: Database, tmp_path: Path) -> None:
    export = tmp_path / "invented_export_2018.csv"
    export.write_text(
        "Postcode,In Use?,Latitude,Longitude,Introduced,Terminated\n"
        "ZE91 1AA,No,60.15,-1.15,2/1/1993 12:00:00 AM,12/1/1994 12:00:00 AM\n"
    )
    for path in [export, *vectors.paths("postcodes/doogal_*")]:
        await bring(db, path)
    own = [{"input": "ZE91 1AA", "expected": {"terminated": "1994-12", "lat": 60.15, "long": -1.15}}]
    score = Score()
    async with db.transaction(read_only=True) as tx:
        for case in own + vectors.cases("postcodes/terminated_london.jsonl"):
            expected, result = case["expected"], await areas.look_up(tx, case["input"])
            right = isinstance(result, Terminated) and (result.month, result.lat, result.long) == (
                expected["terminated"], expected["lat"], expected["long"])  # fmt: skip
            score.add(right, (case, result))
    score.check("terminated")


async def test_odd_rows_are_read_and_looked_up(db: Database, tmp_path: Path) -> None:
    own: dict[str, Any] = {
        "input": {"row": {"pcds": "ZE92 1AA", "doterm": "199606", "oslaua": NORTH, "osward": MILL, "lat": "99.999999"}},
        "expected": {"pcds": "ZE92 1AA", "live": False, "terminated": "199606", "has_location": False,
                     "district": NORTH, "ward": MILL},
    }  # fmt: skip
    score = Score()
    for number, case in enumerate([own, *vectors.cases("postcodes/edge_rows.jsonl")]):
        path = tmp_path / f"row_{number}.csv"
        cells = {"doterm": "", "long": "0", **case["input"]["row"]}
        path.write_text("\n".join([",".join(cells), ",".join(str(cell) for cell in cells.values())]))
        with postcode_files.opened(path) as file:
            layout, (row,) = file.layout, list(file.rows)
        assert isinstance(row, Row)
        score.add(is_read_right(row, case["expected"]), (case, row))
        async with db.transaction() as tx:
            await postcode_import.take(tx, [row], Import(layout=layout, vintage="2025-11"))
            result = await areas.look_up(tx, row.postcode)
        kind = Terminated if row.terminated else Found if row.borough else NoPlace
        score.add(isinstance(result, Elsewhere | kind), (case, result))
    score.check("odd rows, read and looked up")


def is_read_right(row: Row, expected: dict[str, Any]) -> bool:
    def code(text: str) -> str | None:
        return None if text.endswith("99999999") else text

    ended = expected["terminated"]
    return (
        row.postcode == expected["pcds"]
        and row.live == expected["live"]
        and row.terminated == (f"{ended[:4]}-{ended[4:]}" if ended else None)
        and (row.lat is not None) == expected["has_location"]
        and (row.borough, row.ward) == (code(expected["district"]), code(expected["ward"]))
    )
