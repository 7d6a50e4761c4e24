"""Opens a CSV file as people really save them: encoding, separator and header found out. Pure.

Called by the imports of subscribers and teams. What cannot be told for certain is refused with a
sentence that says what to do, never guessed at.
"""

import codecs
import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

LARGEST_BYTES = 50_000_000
DELIMITERS = (",", ";", "\t", "|")
_OTHER_FILES = {
    b"PK\x03\x04": "a spreadsheet or zip file",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a compressed file",
}


class BadFile(ValueError):
    """The file as a whole cannot be read; its text is the sentence to show."""


@dataclass(frozen=True, kw_only=True)
class CsvRow:
    """One row: the line it begins on, and its cells by column; None where their number does not fit."""

    line: int
    cells: dict[str, str] | None


@dataclass(frozen=True, kw_only=True)
class CsvFile:
    """A file that can be read, and how it was written."""

    encoding: str
    delimiter: str
    rows: tuple[CsvRow, ...]


def read(content: bytes, columns: Sequence[str]) -> CsvFile:
    """The rows of a file that has these columns, in any order. Raises BadFile."""
    if len(content) > LARGEST_BYTES:
        raise BadFile(f"The file is larger than {LARGEST_BYTES // 1_000_000} MB. Split it")
    encoding, text = decoded(content)
    if not text.strip("\ufeff \t\r\n,;|"):
        raise BadFile("The file is empty")
    delimiter, quote = dialect(text, columns)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, strict=True)
    numbered = _numbered(reader)
    _, header = next(numbered)
    names = _header(header, columns)
    rows = tuple(_row(line, cells, names) for line, cells in numbered)
    if not rows:
        raise BadFile("The file has a header and no rows")
    return CsvFile(encoding=encoding, delimiter=delimiter, rows=rows)


def decoded(content: bytes) -> tuple[str, str]:
    """(encoding, text). UTF-8 and UTF-16 by their marks or shape, else Windows-1252. Raises BadFile."""
    for mark, what in _OTHER_FILES.items():
        if content.startswith(mark):
            raise BadFile(f"This is {what}. Save it as CSV (comma separated) and try again")
    for mark, encoding in ((codecs.BOM_UTF8, "utf-8-sig"), *((each, "utf-16") for each in _UTF_16_MARKS)):
        if content.startswith(mark):
            return encoding, _strictly(content, encoding)
    if b"\0" in content[:4096]:
        encoding = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
        return encoding, _strictly(content, encoding)
    if b"\0" in content:
        raise BadFile("This is not a text file. Save it as CSV (comma separated) and try again")
    try:
        return "utf-8", content.decode("utf-8")
    except UnicodeDecodeError as error:
        return "windows-1252", _as_windows(content, line=content.count(b"\n", 0, error.start) + 1)


def dialect(text: str, columns: Sequence[str]) -> tuple[str, str]:
    """(separator, quote): those by which the first line names most of the columns."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    quote = "'" if first.lstrip("\ufeff ").startswith("'") else '"'
    return max(
        DELIMITERS,
        key=lambda mark: len({_plain(cell.strip(quote)) for cell in first.split(mark)} & set(columns)),
    ), quote


_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _strictly(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadFile(f"The file says it is {encoding}, and is not. Save it as CSV UTF-8") from error


def _as_windows(content: bytes, *, line: int) -> str:
    """Bytes that are not UTF-8, as Windows wrote them; refused where other lines are UTF-8 after all."""
    sentence = f"Line {line} holds letters that cannot be read. Save the file as CSV UTF-8 and try again"
    if any(_is_multibyte_utf8(each) for each in content.splitlines()):
        raise BadFile(sentence)
    try:
        return content.decode("windows-1252")
    except UnicodeDecodeError as error:
        raise BadFile(sentence) from error


def _is_multibyte_utf8(line: bytes) -> bool:
    if line.isascii():
        return False
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """(line it begins on, cells) of every row that is not blank. Raises BadFile."""
    begins = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise BadFile(f"Line {begins}: a quotation mark is missing or too many") from error
        if any(cell.strip() for cell in cells):
            yield begins, cells
        begins = int(reader.line_num) + 1  # type: ignore[attr-defined]


def _header(cells: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The names of the columns, checked. Raises BadFile naming what is missing and what is too many."""
    names = [_plain(cell) for cell in cells]
    if not set(names) & set(columns):
        raise BadFile(f"The first line must name the columns: {','.join(columns)}")
    faults = []
    if missing := [column for column in columns if column not in names]:
        faults.append(f"Missing columns: {', '.join(missing)}")
    for extra in sorted({name for name in names if name and name not in columns}):
        near = get_close_matches(extra, missing, n=1, cutoff=0.5)
        shown = extra[:40]
        faults.append(
            f"There is no column “{shown}”" + (f"; did you mean {near[0]}?" if near else "; remove it")
        )
    if repeated := sorted({name for name in names if name and names.count(name) > 1}):
        faults.append(f"Columns named twice: {', '.join(repeated)}")
    if faults:
        raise BadFile(". ".join(faults))
    return names


def _row(line: int, cells: Sequence[str], names: Sequence[str]) -> CsvRow:
    """Cells by column. Empty cells too many or too few at the end are a spreadsheet's habit."""
    spare = [*cells[len(names) :], *(cell for cell, name in zip(cells, names, strict=False) if not name)]
    needed = max(index for index, name in enumerate(names) if name) + 1
    if any(cell.strip() for cell in spare) or len(cells) < needed:
        return CsvRow(line=line, cells=None)
    named = {name: _tidy(cell) for name, cell in zip(names, cells, strict=False) if name}
    return CsvRow(line=line, cells=named)


def _plain(name: str) -> str:
    return _tidy(name).casefold().replace(" ", "_")


def _tidy(cell: str) -> str:
    """Without surrounding space and invisible marks."""
    return "".join(sign for sign in cell if unicodedata.category(sign) != "Cf").strip()
