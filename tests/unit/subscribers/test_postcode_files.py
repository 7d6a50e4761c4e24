"""Published layouts, each as a few invented lines, and what is read from them."""

import gzip
from pathlib import Path

import pytest

from subscribers.postcode_files import Layout, NotAPostcodeFile, Row, header_of, opened

ONSPD = """pcd,pcd2,pcds,dointr,doterm,oscty,oslaua,osward,usertype,oseast1m,osnrth1m,osgrdind,ctry,lat,long
"ZE1 0AA","ZE1  0AA","ZE1 0AA","198001","","X99999999","S12000027","S13000001","0","447000","1141000","1","S92000003",60.155,-1.154
"""
NSPL = """pcd,pcd2,pcds,dointr,doterm,oseast1m,osnrth1m,osgrdind,cty,laua,ward,lat,long
"ZE1 0AA","ZE1  0AA","ZE1 0AA","198001","","447000","1141000","1","X99999999","S12000027","S13000001",60.155,-1.154
"""
DATED = """PCD7,PCD8,PCDS,DOINTR,DOTERM,LAD25CD,WD25CD,WD24CD,EAST1M,NORTH1M,GRIDIND,LAT,LONG
ZE1 0AA,ZE1  0AA,ZE1 0AA,198001,,S12000027,S13000001,S13000009,447000,1141000,1,60.155,-1.154
"""
CODE_POINT = '"ZE1 0AA",10,447000,1141000,"S92000003","","S08000026","","S12000027","S13000001"\r\n'
SHORT_HEADER = "PC,PQ,EA,NO,CY,RH,LH,CC,DC,WC\r\n"
LONG_HEADER = (
    "Postcode,Positional_quality_indicator,Eastings,Northings,Country_code,NHS_regional_HA_code,"
    "NHS_HA_code,Admin_county_code,Admin_district_code,Admin_ward_code\r\n"
)
OLD_CODE_POINT = (
    "ZE1 0AA,10,N,1,1,1,1,1,N,N,447000,1141000,S92000003,,S08000026,,S12000027,S13000001,S\r\n"  # 19 columns
)
EXPORT = """Postcode,In Use?,Latitude,Longitude,Easting,Northing,Grid Ref,County,District,Ward,District Code,Ward Code,Introduced,Terminated
ZE1 0AA,Yes,60.155,-1.154,447000,1141000,HU470410,,Shetland,Lerwick,S12000027,S13000001,1980-01-01,
"""


def rows(folder: Path, text: str | bytes, name: str = "file.csv") -> tuple[Layout, list[Row | list[str]]]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with opened(path) as file:
        return file.layout, list(file.rows)


def only_row(folder: Path, text: str | bytes) -> Row:
    (row,) = rows(folder, text)[1]
    assert isinstance(row, Row)
    return row


@pytest.mark.parametrize(
    "text",
    [
        ONSPD,
        NSPL,
        DATED,
        CODE_POINT,
        SHORT_HEADER + CODE_POINT,
        LONG_HEADER + CODE_POINT,
        OLD_CODE_POINT,
        EXPORT,
    ],
    ids=["ONSPD", "NSPL", "dated", "Code-Point", "short header", "long header", "old Code-Point", "export"],
)
def test_each_layout_gives_the_same_place(tmp_path: Path, text: str) -> None:
    row = only_row(tmp_path, text)
    assert (row.postcode, row.ward, row.borough) == ("ZE1 0AA", "S13000001", "S12000027")
    assert (row.easting, row.northing, row.live) == (447000, 1141000, True)
    assert row.lat == pytest.approx(60.15, abs=0.02)
    assert row.long == pytest.approx(-1.15, abs=0.02)


def test_gzip_and_a_byte_order_mark_are_seen_by_content_not_by_name(tmp_path: Path) -> None:
    assert only_row(tmp_path, gzip.compress(ONSPD.encode())).ward == "S13000001"
    assert only_row(tmp_path, b"\xef\xbb\xbf" + ONSPD.encode()).ward == "S13000001"


def test_both_published_header_lines_may_stand_before_the_rows(tmp_path: Path) -> None:
    _, found = rows(tmp_path, SHORT_HEADER + LONG_HEADER + CODE_POINT)
    assert [isinstance(row, Row) for row in found] == [False, True]


def test_a_column_file_names_the_columns_of_another(tmp_path: Path) -> None:
    (tmp_path / "columns.csv").write_text("WC,PC,EA,NO,PQ\n")
    (tmp_path / "data.csv").write_text("S13000001,ZE10AA,447000,1141000,10\n")
    with opened(tmp_path / "data.csv", header=header_of(tmp_path / "columns.csv")) as file:
        (row,) = file.rows
    assert isinstance(row, Row)
    assert (row.postcode, row.ward, row.live) == ("ZE1 0AA", "S13000001", True)


@pytest.mark.parametrize("written", ["N2  8AA", "N28AA", "N2   8AA", "n2 8aa"])
def test_the_padding_of_a_file_is_not_trusted(tmp_path: Path, written: str) -> None:
    assert only_row(tmp_path, f"pcd,laua\n{written},E09000003\n").postcode == "N2 8AA"


def test_codes_that_mean_does_not_apply_are_no_areas(tmp_path: Path) -> None:
    text = "pcds,laua,ward,lat,long\nJE2 4WD,L99999999,L99999999,99.999999,0.000000\n"
    row = only_row(tmp_path, text)
    assert (row.ward, row.borough, row.lat, row.long) == (None, None, None, None)


def test_a_grid_point_of_nought_is_no_place(tmp_path: Path) -> None:
    row = only_row(tmp_path, CODE_POINT.replace("10,447000,1141000", "90,0,0"))
    assert (row.easting, row.northing, row.lat, row.long) == (None, None, None, None)


def test_northern_irish_points_are_on_another_grid_and_not_converted(tmp_path: Path) -> None:
    row = only_row(tmp_path, "pcds,laua,oseast1m,osnrth1m\nBT1 5GS,N09000003,333700,374200\n")
    assert (row.easting, row.lat) == (333700, None)


@pytest.mark.parametrize(
    ("written", "month"),
    [("199606", "1996-06"), ("1996-06-01", "1996-06"), ("6/1/1996 12:00:00 AM", "1996-06"), ("01/06/1996", "1996-06"),
     ("1/1/1996", "1996-01"), ("1996", None), ("15/30/1996", None)],
)  # fmt: skip
def test_months_are_read_in_every_spelling(tmp_path: Path, written: str, month: str | None) -> None:
    assert only_row(tmp_path, f"pcds,laua,dointr\nN2 8AA,E09000003,{written}\n").introduced == month


def test_a_terminated_postcode_is_not_live(tmp_path: Path) -> None:
    row = only_row(tmp_path, "pcds,laua,doterm\nN2 8AA,E09000003,199507\n")
    assert (row.live, row.terminated) == (False, "1995-07")
    row = only_row(tmp_path, EXPORT.replace(",Yes,", ",No,"))
    assert (row.live, row.terminated) == (False, None)


def test_a_file_without_dates_does_not_tell_what_is_live(tmp_path: Path) -> None:
    layout, (row,) = rows(tmp_path, "pcd,oseast1m,osnrth1m,laua\nN2  8AA,527242,189204,E09000003\n")
    assert isinstance(row, Row)
    assert (row.live, layout.tells_life, "ward" in layout) == (None, False, False)


def test_the_name_of_a_ward_is_not_taken_for_its_code(tmp_path: Path) -> None:
    assert (
        only_row(
            tmp_path, "Postcode,District,Ward,Latitude,Longitude\nN2 8AA,Barnet,East Finchley,51,0\n"
        ).ward
        is None
    )


def test_lines_without_a_postcode_are_handed_on_as_they_are(tmp_path: Path) -> None:
    _, found = rows(tmp_path, "pcds,laua\nNOT ERE,E09000003\nN2 8AA\n\nN2 8AA,E09000003\n")
    assert [isinstance(row, Row) for row in found] == [False, False, True]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04rest", "unpack it"),
        ("pcds,laua\n".encode("utf-16"), "UTF-16"),
        (b"uprn,lad,ward\n1,E09000003,E05000049\n", "looked for pcds, pcd8"),
        (b"ward_code,ward_name,live_postcodes\n", "ward_code, ward_name, live_postcodes"),
        (b"pcds,usertype\nN2 8AA,0\n", "lacks a ward, a borough or a position"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not a postcode file"),
    ],
)
def test_other_files_are_refused_with_what_was_looked_for(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(NotAPostcodeFile, match=says):
        rows(tmp_path, content)


def test_a_damaged_file_says_where_it_broke(tmp_path: Path) -> None:
    lines = ONSPD + "".join(f"N{n} {n % 10}AA,,,,,,,,,,,,,,\n" for n in range(10, 90)) * 50
    with pytest.raises(NotAPostcodeFile, match="damaged after line"):
        rows(tmp_path, gzip.compress(lines.encode())[:-200])
    with pytest.raises(NotAPostcodeFile, match="damaged after line"):
        rows(tmp_path, b'pcds,laua\nN2 8AA,"' + b"x" * 200_000)
