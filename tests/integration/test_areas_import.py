"""Postcode files into rows and back out through the look-up, on both databases. All places are invented."""

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select

from notifier.cli.areas import import_file, vintage_of
from notifier.db import Database
from subscribers import areas, postcode_files, postcode_import
from subscribers.areas import Found, NamedArea, NoPlace, NotServed, Result, Terminated, UnknownPostcode
from subscribers.models import Area
from subscribers.postcode_changes import Effect
from subscribers.postcode_import import Import
from subscribers.postcodes import Elsewhere, Impossible, Incomplete, Nation, Suggested
from templates import lookup

HEADER = "pcds,doterm,oslaua,osward,oseast1m,osnrth1m,lat,long"
NORTH, SOUTH = "E09900001", "E09900002"  # boroughs
MILL, QUAY, HILL = "E05990001", "E05990002", "E05990003"  # wards
OLD = [
    f"ZE90 1AA,,{NORTH},{MILL},447000,1141000,60.15,-1.15",
    f"ZE90 1AB,,{NORTH},{MILL},447010,1141000,60.15,-1.15",
    f"ZE90 1AD,,{NORTH},{QUAY},447020,1141000,60.15,-1.15",
    f"ZE90 1AE,201504,{NORTH},{QUAY},447030,1141000,60.15,-1.15",
    f"ZE90 1AF,,{NORTH},{QUAY},447040,1141000,99.999999,0.000000",
    f"N90 1AA,,{SOUTH},{HILL},527242,189204,51.58,-0.16",
    "N90 1AB,,E99999999,E99999999,,,99.999999,0.000000",
]


async def bring(
    db: Database, folder: Path, lines: list[str], *, vintage: str, header: str = HEADER, boroughs: str = ""
) -> Import:
    path = folder / "file.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    with postcode_files.opened(path) as file:
        done = Import(layout=file.layout, vintage=vintage, boroughs=frozenset(boroughs.split()))
        await import_file(db, file, done)
    return done


async def find(db: Database, text: str) -> Result:
    async with db.transaction(read_only=True) as tx:
        return await areas.look_up(tx, text)


async def ward_row(db: Database, code: str) -> tuple[str, str | None, bool, bool]:
    async with db.transaction(read_only=True) as tx:
        row = (
            await tx.execute(select(Area).with_only_columns(*Area.__table__.columns).where(Area.code == code))
        ).one()
        return row.name, row.parent_code, row.served, row.valid_to is not None


async def test_every_kind_of_postcode_gets_its_own_answer(db: Database, tmp_path: Path) -> None:
    done = await bring(db, tmp_path, OLD, vintage="2013-08")
    assert done.effects == {Effect.NEW: 7, Effect.REPEATED: 0}
    found = await find(db, "ze901ab")
    assert isinstance(found, Found)
    assert (found.postcode, found.easting, found.lat) == ("ZE90 1AB", 447010, 60.15)
    assert found.ward == NamedArea(code=MILL, name=MILL)
    assert found.borough == NamedArea(code=NORTH, name=NORTH)
    ended = await find(db, "ZE90 1AE")
    assert isinstance(ended, Terminated)
    assert (ended.month, ended.ward, ended.served) == ("2015-04", NamedArea(code=QUAY, name=QUAY), True)
    unplaced = await find(db, "ZE90 1AF")
    assert isinstance(unplaced, Found)
    assert (unplaced.lat, unplaced.long) == (None, None)
    assert await find(db, "N90 1AB") == NoPlace(postcode="N90 1AB")
    assert await find(db, "N90 9ZZ") == UnknownPostcode(postcode="N90 9ZZ")
    assert await find(db, "N9 1AA") == NotServed(postcode="N9 1AA")
    assert await find(db, "EH1 1YZ") == NotServed(postcode="EH1 1YZ", nation=Nation.SCOTLAND)
    assert await find(db, "BT1 5GS") == NotServed(postcode="BT1 5GS", nation=Nation.NORTHERN_IRELAND)
    assert isinstance(await find(db, "JE2 3AB"), Elsewhere)
    assert await find(db, "N90 IAA") == Suggested("N90 1AA")
    assert await find(db, "N90") == Incomplete()
    assert await find(db, "'; DROP TABLE postcodes;--") == Impossible()


async def test_importing_again_changes_nothing(db: Database, tmp_path: Path) -> None:
    await bring(db, tmp_path, OLD, vintage="2013-08")
    before = [await find(db, line.split(",")[0]) for line in OLD]
    again = await bring(db, tmp_path, OLD, vintage="2013-08")
    assert again.effects[Effect.UNCHANGED] == again.lines == 7
    assert (again.gone, again.wards_ended) == (0, 0)
    assert [await find(db, line.split(",")[0]) for line in OLD] == before


async def test_a_newer_vintage_moves_postcodes_and_tells_what_is_new_and_gone(
    db: Database, tmp_path: Path
) -> None:
    await bring(db, tmp_path, OLD, vintage="2013-08")
    newer = [
        f"ZE90 1AA,,{NORTH},{QUAY},447000,1141000,60.15,-1.15",  # moved
        f"ZE90 1AD,202001,{NORTH},{QUAY},447020,1141000,60.15,-1.15",  # terminated
        f"ZE90 1AE,,{NORTH},{QUAY},447030,1141000,60.15,-1.15",  # used again
        f"ZE90 1AG,,{NORTH},{QUAY},447030,1141000,60.15,-1.15",  # new
        f"ZE90 1AF,,{NORTH},{QUAY},447040,1141000,60.15,-1.15",  # has a place now
    ]
    done = await bring(db, tmp_path, newer, vintage="2024-01")
    wanted = [Effect.MOVED, Effect.TERMINATED, Effect.RETURNED, Effect.NEW, Effect.CORRECTED]
    assert [done.effects[effect] for effect in wanted] == [1, 1, 1, 1, 1]
    assert (done.gone, done.wards_ended) == (1, 1)
    gone = await find(db, "ZE90 1AB")
    assert isinstance(gone, Terminated)
    assert gone.month is None
    assert gone.ward == NamedArea(code=MILL, name=MILL, ended=True)  # its old ward stays known
    assert isinstance(await find(db, "N90 1AA"), Found)  # of a postcode area the file does not cover
    assert (await ward_row(db, MILL))[3]
    assert not (await ward_row(db, HILL))[3]


async def test_the_order_of_files_does_not_matter(db: Database, tmp_path: Path) -> None:
    newer = [f"ZE90 1A{x},,{NORTH},{QUAY},447000,1141000,60.15,-1.15" for x in "ADEFG"]
    await bring(db, tmp_path, newer, vintage="2024-01")
    late = await bring(db, tmp_path, OLD, vintage="2013-08")
    assert late.effects[Effect.MOVED] == 0
    assert late.gone == 1
    moved, gone = await find(db, "ZE90 1AA"), await find(db, "ZE90 1AB")
    assert isinstance(moved, Found)
    assert moved.ward == NamedArea(code=QUAY, name=QUAY)
    assert isinstance(gone, Terminated)


async def test_a_ward_that_gets_postcodes_again_goes_on(db: Database, tmp_path: Path) -> None:
    await bring(db, tmp_path, OLD, vintage="2013-08")
    in_quay = [line.replace(MILL, QUAY) for line in OLD]
    assert (await bring(db, tmp_path, in_quay, vintage="2020-01")).wards_ended == 1
    assert (await ward_row(db, MILL))[3]
    await bring(db, tmp_path, OLD, vintage="2024-01")
    assert not (await ward_row(db, MILL))[3]


async def test_a_file_without_wards_wipes_none(db: Database, tmp_path: Path) -> None:
    await bring(db, tmp_path, OLD, vintage="2013-08")
    header, lines = "pcd,oseast1m,osnrth1m,laua", [f"ZE901AA,447000,1141000,{NORTH}", f"ZE901AE,1,1,{NORTH}"]
    done = await bring(db, tmp_path, lines, vintage="2025-11", header=header)
    assert done.gone == 0
    found, ended = await find(db, "ZE90 1AA"), await find(db, "ZE90 1AE")
    assert isinstance(found, Found)
    assert found.ward == NamedArea(code=MILL, name=MILL)
    assert isinstance(ended, Terminated)


async def test_only_the_boroughs_asked_for_are_kept_and_served(db: Database, tmp_path: Path) -> None:
    done = await bring(db, tmp_path, OLD, vintage="2013-08", boroughs=NORTH)
    assert (done.effects[Effect.NEW], done.effects[Effect.OUTSIDE]) == (5, 2)
    assert await ward_row(db, MILL) == (MILL, NORTH, True, False)
    assert await find(db, "N90 1AA") == NotServed(postcode="N90 1AA")


async def test_a_postcode_that_leaves_the_served_boroughs_is_followed(db: Database, tmp_path: Path) -> None:
    await bring(db, tmp_path, OLD, vintage="2013-08", boroughs=NORTH)
    left = [line.replace(f"{NORTH},{MILL}", f"{SOUTH},{HILL}") for line in OLD]
    done = await bring(db, tmp_path, left, vintage="2024-01", boroughs=NORTH)
    assert done.effects[Effect.MOVED] == 2
    answer = await find(db, "ZE90 1AA")
    assert isinstance(answer, NotServed)
    assert answer.borough == NamedArea(code=SOUTH, name=SOUTH)


async def test_names_are_given_to_areas_already_known(db: Database, tmp_path: Path) -> None:
    await bring(db, tmp_path, OLD, vintage="2013-08")
    async with db.transaction() as tx:
        named = {MILL: "Mill", QUAY: "Quay", NORTH: "Northby", "E05000000": "Unmet"}
        assert await postcode_import.name_areas(tx, named) == 3
        assert await postcode_import.name_areas(tx, named) == 0
        assert await postcode_import.count_nameless(tx) == 2
        assert [ward.name for ward in await areas.wards_of(tx, NORTH)] == ["Mill", "Quay"]
    answer = await find(db, "ZE90 1AA")
    assert lookup.sentence(**areas.words(answer)) == "ZE90 1AA is in Mill, Northby."


async def test_a_line_that_stands_twice_counts_once(db: Database, tmp_path: Path) -> None:
    done = await bring(db, tmp_path, [*OLD, OLD[0].replace(MILL, QUAY), "NOT ERE,,,,,,,"], vintage="2013-08")
    assert (done.effects[Effect.NEW], done.effects[Effect.REPEATED], done.effects[Effect.UNREADABLE]) == (
        7,
        1,
        1,
    )
    assert done.lines == 9
    found = await find(db, "ZE90 1AA")
    assert isinstance(found, Found)
    assert found.ward == NamedArea(code=QUAY, name=QUAY)


async def test_an_answer_as_json_holds_what_it_knows(db: Database, tmp_path: Path) -> None:
    await bring(db, tmp_path, OLD, vintage="2013-08")
    stated = areas.as_json(await find(db, "ZE90 1AE"))
    assert (stated["slug"], stated["terminated"], stated["terminated_month"]) == (
        "terminated",
        True,
        "2015-04",
    )
    assert stated["ward"] == {"code": QUAY, "name": QUAY}
    assert areas.as_json(Suggested("N90 1AA")).items() >= {"postcode": None, "suggestion": "N90 1AA"}.items()


@pytest.mark.parametrize(
    ("name", "month"),
    [
        ("codepoint_2024-01_part.csv.gz", "2024-01"),
        ("ONSPD_AUG_2024_UK.csv", "2024-08"),
        ("nspl_february2023.csv", "2023-02"),
        ("ONSPD_202311.csv", "2023-11"),
        ("export_2018.csv", "2018-12"),
        ("export_2026.csv", "2026-03"),
        ("postcodes.csv", None),
        ("ONSPD_12345.csv", None),
    ],
)
def test_the_month_of_a_file_is_told_by_its_name(name: str, month: str | None) -> None:
    assert vintage_of(name, date(2026, 3, 9)) == month
