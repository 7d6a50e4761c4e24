"""Brings in people who consented elsewhere: a CSV file, checked row by row, then written as a whole.

Called by `notifier subscribers import`. Nobody is told anything, nobody who left is revived, and
nothing is written unless every row is good or the caller asked to skip the bad ones.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice

from subscribers import names, postcodes
from subscribers.csv_files import CsvRow
from subscribers.postcodes import Elsewhere, Impossible, Incomplete, Suggested, Whole

COLUMNS = ("email", "phone", "postcode", "name", "language", "consent_at", "consent_source")
BATCH_ROWS = 1_000
EARLIEST_CONSENT = datetime(1998, 1, 1, tzinfo=UTC)
LONGEST_SOURCE = 40

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]{2,4})?")
_SCIENTIFIC = re.compile(r"\d+([.,]\d+)?e\+?\d+", re.IGNORECASE)
_NOTHING = frozenset({"n/a", "na", "-", "--", "null", "none", "nil", "unknown", "tbc", "?"})
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")
_NUMBERS = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{2}|\d{4})")

# Takes what was typed, gives its normal spelling; raises BadCell.
Reader = Callable[[str], str]


class BadCell(ValueError):
    """A cell that cannot be taken; its text is the sentence to show."""


class DateOrder(StrEnum):
    """How dates like 01/02/2003 are meant: only whoever made the file knows."""

    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"


@dataclass(frozen=True, kw_only=True)
class RowError:
    """What is wrong in one line. No address is repeated: the line says whose it is."""

    line: int
    column: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A row whose cells make sense. Whether the person may be added, the rows in the database tell."""

    line: int
    email: str | None
    phone: str | None
    postcode: str
    name: str | None
    language: str
    consent_at: datetime
    consent_source: str


@dataclass(kw_only=True)
class Checked:
    """The outcome of reading all rows."""

    good: list[Candidate] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Readers:
    """How addresses are read, by those who know them: the channels, which this package does not import."""

    email: Reader
    phone: Reader
    order: DateOrder | None = None


def check(rows: Sequence[CsvRow], readers: Readers, now: datetime) -> Iterator[Checked]:
    """Read all rows, some at a time; each Checked holds the next ones. The same person twice is an error."""
    seen: dict[str, int] = {}
    waiting = iter(rows)
    while batch := list(islice(waiting, BATCH_ROWS)):
        checked = Checked()
        for row in batch:
            found = _candidate(row, readers, now)
            if isinstance(found, Candidate):
                repeated = _repeated(found, seen)
                checked.errors += repeated
                checked.good += [] if repeated else [found]
            else:
                checked.errors += found
        yield checked


def _candidate(row: CsvRow, readers: Readers, now: datetime) -> Candidate | list[RowError]:
    if row.cells is None:
        return [RowError(line=row.line, column="", sentence="More or fewer cells than the header has")]
    reading = _Reading(row.line, row.cells)
    email = reading.read("email", readers.email)
    phone = reading.read("phone", lambda typed: readers.phone(_written_number(typed)))
    if not row.cells["email"] and not row.cells["phone"]:
        reading.fault("email", "Give an email address or a mobile number")
    postcode = reading.read("postcode", _postcode)
    if not row.cells["postcode"]:
        reading.fault("postcode", "Give a postcode")
    name = reading.read("name", lambda typed: names.read(typed) or "", is_name=True)
    language = reading.read("language", _language) or "en"
    consent_at = reading.read("consent_at", lambda typed: read_date(typed, readers.order, now).isoformat())
    if not row.cells["consent_at"]:
        reading.fault("consent_at", "Say when they consented, for example 2025-03-31")
    source = reading.read("consent_source", _source)
    if not row.cells["consent_source"]:
        reading.fault("consent_source", "Say how they consented, for example: paper form, library")
    if reading.errors or not consent_at or not source or not postcode:
        return reading.errors
    return Candidate(
        line=row.line,
        email=email,
        phone=phone,
        postcode=postcode,
        name=name,
        language=language,
        consent_at=datetime.fromisoformat(consent_at),
        consent_source=source,
    )


class _Reading:
    """One row being read: collects every fault, so that a file is mended in one go."""

    def __init__(self, line: int, cells: Mapping[str, str]) -> None:
        self._line, self._cells = line, cells
        self.errors: list[RowError] = []

    def fault(self, column: str, sentence: str) -> None:
        self.errors.append(RowError(line=self._line, column=column, sentence=sentence))

    def read(self, column: str, reader: Reader, *, is_name: bool = False) -> str | None:
        typed = self._cells[column]
        if not typed:
            return None
        if typed.casefold() in _NOTHING and not is_name:
            self.fault(column, f"Leave the cell empty instead of writing “{typed}”")
            return None
        try:
            return reader(typed) or None
        except (BadCell, names.BadName) as error:
            self.fault(column, str(error))
            return None


def _repeated(found: Candidate, seen: dict[str, int]) -> list[RowError]:
    errors = []
    for column, address in (("email", found.email), ("phone", found.phone)):
        if address and address in seen:
            errors.append(
                RowError(
                    line=found.line,
                    column=column,
                    sentence=f"The same {column} stands in line {seen[address]}",
                )
            )
    for address in (found.email, found.phone):
        if address:
            seen.setdefault(address, found.line)
    return errors


def _written_number(typed: str) -> str:
    if _SCIENTIFIC.fullmatch(typed):
        raise BadCell("A spreadsheet has rounded this number: format the column as text and export again")
    return typed


def _postcode(typed: str) -> str:
    match postcodes.read(typed):
        case Whole() as whole:
            return whole.postcode
        case Suggested(postcode=likely):
            raise BadCell(f"Not a postcode; did you mean {likely}?")
        case Incomplete():
            raise BadCell("Give the full postcode, for example SW1A 1AA")
        case Elsewhere():
            raise BadCell("Our teams do not work at this postcode")
        case Impossible():
            raise BadCell("That is not a UK postcode")


def _language(typed: str) -> str:
    if not _LANGUAGE.fullmatch(typed.lower()):
        raise BadCell("Write the language as a code, for example en or cy")
    return typed.lower()


def _source(typed: str) -> str:
    if len(typed) > LONGEST_SOURCE or not typed.isprintable():
        raise BadCell(f"Say it in {LONGEST_SOURCE} characters, on one line")
    return typed


def read_date(typed: str, order: DateOrder | None, now: datetime) -> datetime:
    """When consent was given: 2025-03-31, with a time or without, or 31/03/2025. Raises BadCell.

    A day without a time counts from its midnight, UTC. Where day and month could be confused, the
    caller must have said which comes first.
    """
    given = _iso(typed) or _in_numbers(typed, order)
    if given is None:
        raise BadCell("Write the date like 2025-03-31")
    if given > now:
        raise BadCell("Consent cannot lie in the future")
    if given < EARLIEST_CONSENT:
        raise BadCell("No consent from before 1998 counts")
    return given


def _iso(typed: str) -> datetime | None:
    if not _ISO.fullmatch(typed):
        return None
    try:
        given = datetime.fromisoformat(typed)
    except ValueError:
        return None
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)


def _in_numbers(typed: str, order: DateOrder | None) -> datetime | None:
    found = _NUMBERS.fullmatch(typed)
    if not found:
        return None
    first, second, year = (int(part) for part in found.groups())
    if len(found[3]) == 2:
        raise BadCell("Write the year with four digits, best like 2025-03-31")
    if order is None and first <= 12 and second <= 12 and first != second:
        raise BadCell("Day or month first? Write it like 2025-03-31, or say so with --dates")
    month_first = second > 12 if order is None else order is DateOrder.MONTH_FIRST
    month, day = (first, second) if month_first else (second, first)
    try:
        return datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        return None
