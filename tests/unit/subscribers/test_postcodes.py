"""What each way of filling in a postcode box is read as."""

import time

import pytest

from subscribers.postcodes import (
    Elsewhere,
    Impossible,
    Incomplete,
    Nation,
    Place,
    Suggested,
    Unit,
    Whole,
    nation,
    read,
    split,
)


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("SE5 9RS", "SE5 9RS"),
        ("se59rs", "SE5 9RS"),
        ("  Se5   9rS ", "SE5 9RS"),
        ("ec2y-8dt", "EC2Y 8DT"),
        ("EC2Y.8DT", "EC2Y 8DT"),
        ("EC2Y+8DT", "EC2Y 8DT"),
        ("EC2Y–8DT", "EC2Y 8DT"),
        ("E C 2 Y 8 D T", "EC2Y 8DT"),
        ("EC2Y\t8DT\n", "EC2Y 8DT"),
        ("EC2Y\u00a08DT", "EC2Y 8DT"),
        ("EC2Y\u200b8DT\ufeff", "EC2Y 8DT"),
        ("ＥＣ２Ｙ　８ＤＴ", "EC2Y 8DT"),
        ("EC2Y 8DT.", "EC2Y 8DT"),
        ("“EC2Y 8DT”", "EC2Y 8DT"),
        ("EC2Y 8DT, London", "EC2Y 8DT"),
        ("St Albans AL1 3JE", "AL1 3JE"),
        ("B33 8TH", "B33 8TH"),
        ("N1P 1AA", "N1P 1AA"),
        ("SO1 1AA", "SO1 1AA"),
        ("CR0 0AA", "CR0 0AA"),
        ("SE16 3EF", "SE16 3EF"),
        ("SE1 63EF", "SE16 3EF"),
        ("EH8 8DX", "EH8 8DX"),
        ("BT1 5GS", "BT1 5GS"),
        ("GIR 0AA", "GIR 0AA"),
    ],
)
def test_a_whole_postcode_is_read_in_any_spelling(typed: str, canonical: str) -> None:
    reading = read(typed)
    assert isinstance(reading, Whole)
    assert reading.postcode == canonical


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("EC2Y BDT", None),
        ("EC2Y IDT", "EC2Y 1DT"),
        ("ECIY 8DT", "EC1Y 8DT"),
        ("EC2Y lDT", "EC2Y 1DT"),
        ("W1A OAX", "W1A 0AX"),
        ("0L1 1AA", "OL1 1AA"),
        ("S015 2AB", "SO15 2AB"),
        ("1P4 1AA", "IP4 1AA"),
        ("BIO OJP", "B10 0JP"),
        ("G1R OAA", "GIR 0AA"),
        ("EC2Y 8D T4", "EC2Y 8DT"),
    ],
)
def test_a_slip_is_asked_about_and_never_taken_silently(typed: str, meant: str | None) -> None:
    assert read(typed) == (Suggested(meant) if meant else Impossible())


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "\u200b",
        " " * 500,
        "EC2",
        "E",
        "EC",
        "EC2Y 8",
        "EC2Y 8D",
        "SA99",
        "Camberwell",
        "by the church",
    ],
)
def test_the_beginning_of_a_postcode_or_a_place_name_asks_for_the_rest(typed: str) -> None:
    assert read(typed) == Incomplete()


@pytest.mark.parametrize(
    "typed",
    [
        "54321",
        "SW1A 1AAB",
        "XEC2Y 8DT",
        "EC2Y 88DT",
        "2EC Y8D",
        "EC2Y 8CV",
        "EC2Y 8KM",
        "NF1 1AA",
        "QQ1 1AA",
        "AA9A 9AA",
        "M5V 2T6",
        "A65 F4E2",
        "-7",
        "0x1f",
        "null",
        "True",
        "undefined",
        "-",
        "_",
        "*",
        "BFPO 57",
        "XM4 5HQ",
    ],
)
def test_what_is_no_postcode_of_this_country_is_impossible(typed: str) -> None:
    assert read(typed) == Impossible()


@pytest.mark.parametrize(
    "typed",
    [
        "' OR 'a'='a",
        "SE5 9RS'; DELETE FROM postcodes;--",
        "<script>alert(1)</script>",
        "../../../etc/shadow",
        "%00",
        "SE5\r\nX-Header: 1",
        '=IMPORTXML("http://x")',
        "\\",
        "SE5\x009RS",
        "SE5 9RЅ",  # a Cyrillic letter
        "SE٥ 9RS",
        "S\u0301E5 9RS",
        "\ud800",
        "ÿþ",
        "\u202eSR9 5ES",
    ],
)
def test_attack_text_and_broken_encoding_are_impossible_and_raise_nothing(typed: str) -> None:
    reading = read(typed)
    assert reading == Impossible() or typed.startswith("\u202e")
    if typed.startswith("\u202e"):  # an invisible direction mark is dropped; what is left is read as typed
        assert reading == read("SR9 5ES")


@pytest.mark.parametrize(
    ("typed", "postcode", "place"),
    [
        ("je2 3ab", "JE2 3AB", Place.JERSEY),
        ("GY1 1AA", "GY1 1AA", Place.GUERNSEY),
        ("IM1 1AA", "IM1 1AA", Place.ISLE_OF_MAN),
        ("BF1 2AA", "BF1 2AA", Place.FORCES),
        ("BX5 5AT", "BX5 5AT", Place.NOWHERE),
        ("FIQQ1ZZ", "FIQQ 1ZZ", Place.OVERSEAS),
        ("GX11 1AA", "GX11 1AA", Place.OVERSEAS),
    ],
)
def test_postcodes_of_other_jurisdictions_are_told_apart(typed: str, postcode: str, place: Place) -> None:
    assert read(typed) == Elsewhere(postcode, place)


@pytest.mark.parametrize(
    "typed",
    ["A" * 1_000_000, "1" * 1000, "OIL" * 333, "OIOIOIO", "1L0O1I0", " " * 999_999, "ﷺ" * 1000, "A " * 500],
    ids=len,
)
def test_long_and_ambiguous_text_is_read_in_a_moment(typed: str) -> None:
    started = time.process_time()
    assert isinstance(read(typed), Impossible | Incomplete | Suggested)
    assert time.process_time() - started < 0.05


@pytest.mark.parametrize(
    ("compact", "area", "district", "sub_district", "sector", "letters"),
    [
        ("EC2Y8DT", "EC", "EC2", "EC2Y", "EC2Y 8", "DT"),
        ("W1A0AX", "W", "W1", "W1A", "W1A 0", "AX"),
        ("NR103EZ", "NR", "NR10", None, "NR10 3", "EZ"),
        ("M11AE", "M", "M1", None, "M1 1", "AE"),
        ("AA99AA", "AA", "AA9", None, "AA9 9", "AA"),
        ("GIR0AA", "GIR", "GIR", None, "GIR 0", "AA"),
    ],
)
def test_a_postcode_comes_apart(
    compact: str, area: str, district: str, sub_district: str | None, sector: str, letters: str
) -> None:
    unit = split(compact)
    assert unit is not None
    assert (unit.area, unit.district, unit.sub_district) == (area, district, sub_district)
    assert (unit.sector, unit.letters) == (sector, letters)


def test_one_force_nations_are_told_by_the_postcode() -> None:
    assert nation(Unit("EH1", "1YZ")) is Nation.SCOTLAND
    assert nation(Unit("BT1", "5GS")) is Nation.NORTHERN_IRELAND
    assert nation(Unit("TD15", "1AA")) is None  # Berwick is in England
    assert nation(Unit("SE5", "9RS")) is None
