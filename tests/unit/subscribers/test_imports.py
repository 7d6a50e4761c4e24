"""Rows of people, read one by one: what is taken, what is refused, and why."""

from datetime import UTC, datetime

import pytest

from subscribers.csv_files import CsvRow
from subscribers.imports import BadCell, Candidate, DateOrder, Readers, RowError, check, read_date

NOW = datetime(2026, 11, 21, 18, 30, tzinfo=UTC)
GOOD = {
    "email": "a@mail.example",
    "phone": "07700900123",
    "postcode": "se59aa",
    "name": "Zoë",
    "language": "",
    "consent_at": "2025-03-31",
    "consent_source": "paper form",
}


def _address(typed: str) -> str:
    if "@" not in typed and not typed.lstrip("+").isdigit():
        raise BadCell("not an address")
    return typed.lower()


def _read(
    *rows: dict[str, str] | None, order: DateOrder | None = None
) -> tuple[list[Candidate], list[RowError]]:
    readers = Readers(email=_address, phone=_address, order=order)
    lines = [CsvRow(line=number + 2, cells=cells) for number, cells in enumerate(rows)]
    checked = list(check(lines, readers, NOW))
    return [good for each in checked for good in each.good], [bad for each in checked for bad in each.errors]


def test_a_good_row_is_read_into_its_normal_spelling() -> None:
    [found], errors = _read(GOOD | {"language": "CY", "consent_at": "2025-03-31T10:00+01:00"})
    assert not errors
    assert found == Candidate(
        line=2,
        email="a@mail.example",
        phone="07700900123",
        postcode="SE5 9AA",
        name="Zoë",
        language="cy",
        consent_at=datetime(2025, 3, 31, 9, tzinfo=UTC),
        consent_source="paper form",
    )


@pytest.mark.parametrize(
    "cells",
    [
        {"phone": ""},
        {"email": ""},
        {"name": ""},
        {"name": "Null"},
        {"name": "=1+1"},
        {"name": '=HYPERLINK("http:x","y")'},
        {"name": "<img src=x>"},
        {"name": "{{x}}"},
        {"name": "'; DROP TABLE"},
    ],
)
def test_what_may_be_empty_or_strange_is_taken(cells: dict[str, str]) -> None:
    found, errors = _read(GOOD | cells)
    assert (len(found), errors) == (1, [])


@pytest.mark.parametrize(
    ("cells", "column", "part"),
    [
        ({"email": "plainaddress"}, "email", "not an address"),
        ({"email": "N/A"}, "email", "Leave the cell empty"),
        ({"email": "-"}, "email", "Leave the cell empty"),
        ({"email": "NULL"}, "email", "Leave the cell empty"),
        ({"phone": "7.72346E+09"}, "phone", "spreadsheet has rounded"),
        ({"phone": "7,72346E+09"}, "phone", "spreadsheet has rounded"),
        ({"phone": "07723 456789 (Bob)"}, "phone", "not an address"),
        ({"email": "", "phone": ""}, "email", "Give an email address or a mobile number"),
        ({"postcode": ""}, "postcode", "Give a postcode"),
        ({"postcode": "SE5"}, "postcode", "Give the full postcode"),
        ({"postcode": "90210"}, "postcode", "not a UK postcode"),
        ({"postcode": "SW1A IAA"}, "postcode", "did you mean SW1A 1AA"),
        ({"postcode": "JE2 3AB"}, "postcode", "do not work at this postcode"),
        ({"name": "A" * 101}, "name", "Shorten"),
        ({"language": "English"}, "language", "as a code"),
        ({"consent_at": ""}, "consent_at", "Say when"),
        ({"consent_at": "maybe"}, "consent_at", "like 2025-03-31"),
        ({"consent_at": "N/A"}, "consent_at", "Leave the cell empty"),
        ({"consent_source": ""}, "consent_source", "Say how"),
        ({"consent_source": "x" * 41}, "consent_source", "40 characters"),
        ({"consent_source": "two\nlines"}, "consent_source", "on one line"),
    ],
)
def test_a_bad_cell_is_named_with_its_line(cells: dict[str, str], column: str, part: str) -> None:
    found, [error] = _read(GOOD | cells)
    assert found == []
    assert (error.line, error.column) == (2, column)
    assert part in error.sentence


def test_every_fault_of_a_row_is_told_at_once() -> None:
    _, errors = _read(GOOD | {"email": "x", "postcode": "", "consent_at": "soon"}, None)
    assert [(error.line, error.column) for error in errors] == [
        (2, "email"),
        (2, "postcode"),
        (2, "consent_at"),
        (3, ""),
    ]


def test_the_same_person_counts_once_and_the_first_line_is_named() -> None:
    good, errors = _read(
        GOOD,
        GOOD | {"email": "A@MAIL.example", "phone": "", "postcode": "SE5 9AB"},
        GOOD | {"email": "b@mail.example"},
        GOOD | {"email": "c@mail.example", "phone": ""},
    )
    assert [each.line for each in good] == [2, 5]
    assert errors == [
        RowError(line=3, column="email", sentence="The same email stands in line 2"),
        RowError(line=4, column="phone", sentence="The same phone stands in line 2"),
    ]


@pytest.mark.parametrize(
    ("typed", "order", "day"),
    [
        ("2025-03-31", None, (2025, 3, 31)),
        ("2025-03-31 23:30:00", None, (2025, 3, 31)),
        ("2025-03-31T23:30Z", None, (2025, 3, 31)),
        ("31/03/2025", None, (2025, 3, 31)),
        ("03/31/2025", None, (2025, 3, 31)),
        ("3.4.2025", DateOrder.DAY_FIRST, (2025, 4, 3)),
        ("3-4-2025", DateOrder.MONTH_FIRST, (2025, 3, 4)),
        ("05/05/2025", None, (2025, 5, 5)),
        ("1998-01-01", None, (1998, 1, 1)),
        ("2026-11-21", None, (2026, 11, 21)),
    ],
)
def test_dates_are_read_as_they_were_meant(
    typed: str, order: DateOrder | None, day: tuple[int, int, int]
) -> None:
    given = read_date(typed, order, NOW)
    assert (given.year, given.month, given.day) == day


@pytest.mark.parametrize(
    ("typed", "order", "part"),
    [
        ("03/04/2025", None, "Day or month first"),
        ("01/02/03", None, "four digits"),
        ("01/02/03", DateOrder.DAY_FIRST, "four digits"),
        ("31/02/2025", None, "like 2025-03-31"),
        ("31/03/2025", DateOrder.MONTH_FIRST, "like 2025-03-31"),
        ("2025-02-30", None, "like 2025-03-31"),
        ("2025-03", None, "like 2025-03-31"),
        ("45748", None, "like 2025-03-31"),
        ("1900-01-01", None, "1998"),
        ("1997-12-31", None, "1998"),
        ("2031-01-01", None, "future"),
        ("2026-11-22", None, "future"),
    ],
)
def test_dates_that_cannot_be_are_refused(typed: str, order: DateOrder | None, part: str) -> None:
    with pytest.raises(BadCell, match=part):
        read_date(typed, order, NOW)
