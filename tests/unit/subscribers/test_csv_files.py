"""CSV files as people really save them."""

import pytest

from subscribers.csv_files import BadFile, read

COLUMNS = ("email", "phone", "name")
PLAIN = "email,phone,name\na@mail.example,,Zoë\n"
CELLS = {"email": "a@mail.example", "phone": "", "name": "Zoë"}


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (PLAIN.encode(), "utf-8"),
        (PLAIN.encode("utf-8-sig"), "utf-8-sig"),
        (PLAIN.encode("utf-16"), "utf-16"),
        (PLAIN.encode("utf-16-le"), "utf-16-le"),
        (PLAIN.encode("utf-16-be"), "utf-16-be"),
        (PLAIN.encode("windows-1252"), "windows-1252"),
    ],
)
def test_the_encoding_is_found_out(content: bytes, encoding: str) -> None:
    file = read(content, COLUMNS)
    assert file.encoding == encoding
    assert [(row.line, row.cells) for row in file.rows] == [(2, CELLS)]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        (PLAIN, ","),
        (PLAIN.replace(",", ";"), ";"),
        (PLAIN.replace(",", "\t"), "\t"),
        (PLAIN.replace(",", "|"), "|"),
        (PLAIN.replace("\n", "\r\n"), ","),
        (PLAIN.replace("\n", "\r"), ","),
        (PLAIN.rstrip("\n"), ","),
        ("Name , EMAIL,\u200fPhone\nZoë,a@mail.example,\n", ","),
        ("\n\n" + PLAIN, ","),
        ("email,phone,name,\na@mail.example,,Zoë,\n", ","),
        ("'email','phone','name'\n'a@mail.example','','Zoë'\n", ","),
        ('"email";"phone";"name"\n"a@mail.example";"";"Zoë"\n', ";"),
    ],
)
def test_the_dialect_is_found_out(text: str, delimiter: str) -> None:
    file = read(text.encode(), COLUMNS)
    assert file.delimiter == delimiter
    assert [row.cells for row in file.rows] == [CELLS]


def test_lines_are_numbered_as_an_editor_numbers_them() -> None:
    text = 'email,phone,name\na@mail.example,,"two\nlines"\n\n,,,\nb@mail.example,,"a ""b"" c, d"\nc,d\n'
    file = read(text.encode(), COLUMNS)
    assert [(row.line, row.cells and row.cells["name"]) for row in file.rows] == [
        (2, "two\nlines"),
        (6, 'a "b" c, d'),
        (7, None),
    ]


@pytest.mark.parametrize("row", ["a@mail.example,,Zoë,extra", "a@mail.example", "a,b,c,,,x"])
def test_a_row_of_another_width_has_no_cells(row: str) -> None:
    [found] = read(f"email,phone,name\n{row}\n".encode(), COLUMNS).rows
    assert found.cells is None


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("email,name", "Missing columns: phone"),
        ("emial,phone,name", "no column “emial”; did you mean email"),
        ("Email Address,phone,name", "no column “email_address”; did you mean email"),
        ("email,phone,name,notes", "no column “notes”; remove it"),
        ("email,phone,name,email", "Columns named twice: email"),
        ("a@mail.example,07700900123,Zoë", "The first line must name the columns: email,phone,name"),
    ],
)
def test_a_header_that_does_not_fit_is_explained(header: str, sentence: str) -> None:
    with pytest.raises(BadFile, match=sentence):
        read(f"{header}\na,b,c,d\n".encode(), COLUMNS)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b",,,\n,,,\n", "empty"),
        (b"email,phone,name\n", "no rows"),
        (b"PK\x03\x04rest", "a spreadsheet or zip file"),
        (b"\xd0\xcf\x11\xe0rest", "an old spreadsheet"),
        (b"\x89PNG\r\n", "a picture"),
        (b"e\0m\0a\0i\0l\0" + b"\0\xd8" * 3, "is not"),
        (b"email,phone,name\n" + b"a,b,c\n" * 1000 + b"\0", "not a text file"),
        ("email,phone,name\na,,Zoë\n".encode() + b"b,,Zo\xeb\n", "Line 3 holds letters"),
        (b"email,phone,name\na,,\x81\n", "Line 2 holds letters"),
        (b'email,phone,name\na,,"open\n', "Line 2: a quotation mark"),
        (b'email,phone,name\na,,b\na,,"x"y\n', "Line 3: a quotation mark"),
        (b"x" * 50_000_001, "larger than 50 MB"),
    ],
)
def test_what_is_no_csv_file_is_refused_with_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(BadFile, match=sentence):
        read(content, COLUMNS)
