"""Reads published postcode files row by row: which column means what, and what its values mean.

Knows the ONS Postcode Directory and National Statistics Postcode Lookup of any vintage, OS Code-Point
Open with or without its header, and doogal.co.uk exports; plain or gzipped. Pure but for reading the
file. `areas import` opens one and hands its rows to `postcode_import`.
"""

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from subscribers.grid import to_lat_long
from subscribers.postcodes import split


class NotAPostcodeFile(Exception):
    """The file does not hold postcodes in a layout we know. The words say what was looked for."""


# What a column means → the names it has had, in order of trust, without punctuation and in lower case.
# `{}` stands for a year's two digits: the ONS puts it in the name (`lad23cd`, `wd25cd`).
NAMES = {
    "postcode": ("pcds", "pcd8", "pcd7", "pcd2", "pcd", "postcode", "pc"),
    "borough": (
        "oslaua",
        "laua",
        "lad{}cd",
        "lad{}",
        "ladcd",
        "lad",
        "admindistrictcode",
        "districtcode",
        "dc",
    ),
    "ward": ("osward", "wd{}cd", "wdcd", "adminwardcode", "wardcode", "ward{}cd", "ward", "wc"),
    "terminated": ("doterm", "terminated"),
    "in_use": ("inuse",),
    "introduced": ("dointr", "introduced"),
    "easting": ("oseast1m", "east1m", "eastings", "easting", "ea"),
    "northing": ("osnrth1m", "north1m", "northings", "northing", "no"),
    "lat": ("lat", "latitude"),
    "long": ("long", "longitude"),
    "quality": ("osgrdind", "gridind", "positionalqualityindicator", "pq"),
}
CODE_POINT = {
    10: ("PC", "PQ", "EA", "NO", "CY", "RH", "LH", "CC", "DC", "WC"),
    19: (
        *("PC", "PQ", "PR", "TP", "DQ", "RP", "BP", "PD", "MP", "UM"),  # before 2011
        *("EA", "NO", "CY", "RH", "LH", "CC", "DC", "WC", "LS"),
    ),
}

_CODE = re.compile(r"[A-Z][0-9]{8}")  # a GSS code
_PSEUDO = "99999999"  # the ONS writes L99999999 and the like for "does not apply"
_NO_LATITUDE = 99.0  # the ONS writes 99.999999 for "no place"
_MONTH = re.compile(r"((?:19|20)[0-9]{2})-?(0[1-9]|1[0-2])(?:-?[0-9]{2})?")
_SLASHED = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/((?:19|20)[0-9]{2})(?: .*)?")


@dataclass(frozen=True, slots=True)
class Row:
    """One postcode as a file states it. None: empty there, or no such column. Months are `YYYY-MM`.

    live: False for a postcode no longer used, None where the file cannot tell.
    easting, northing: metres, OSGB36. lat, long: degrees, WGS84.
    """

    postcode: str
    ward: str | None
    borough: str | None
    easting: int | None
    northing: int | None
    lat: float | None
    long: float | None
    quality: int | None
    introduced: str | None
    terminated: str | None
    live: bool | None


@dataclass(frozen=True)
class Layout:
    """Where a file keeps what we read. `width`: how many columns a row must have."""

    columns: dict[str, int]
    width: int
    only_live: bool = False

    def __contains__(self, meaning: str) -> bool:
        return meaning in self.columns

    @property
    def tells_life(self) -> bool:
        """Does the file say which postcodes are still in use?"""
        return self.only_live or "terminated" in self or "in_use" in self


@dataclass(frozen=True)
class PostcodeFile:
    """An open file. Iterate `rows`: a Row, or the raw cells of a line that holds no postcode.

    size and position(): bytes of the file on disk, for a progress bar.
    """

    layout: Layout
    rows: Iterator[Row | list[str]]
    size: int
    position: Callable[[], int]


@contextmanager
def opened(path: Path, *, header: Sequence[str] | None = None) -> Iterator[PostcodeFile]:
    """Open a CSV file, plain or gzipped. `header`: column names for a file that has none of its own.

    Raises NotAPostcodeFile, also while rows are read: then the file is damaged.
    """
    with path.open("rb") as raw, _as_text(raw, path.name) as text:
        lines = _cells(text, path.name)
        first = next(lines, None)
        if first is None:
            raise NotAPostcodeFile(f"{path.name} is empty")
        layout, rows = _layout(first, header, path.name)
        stream = (_row(layout, cells) for cells in _chain(rows, lines))
        yield PostcodeFile(layout, stream, path.stat().st_size, raw.tell)


def header_of(path: Path) -> list[str]:
    """The column names that are published beside a file without a header."""
    with opened_text(path) as lines:
        return next(lines, [])


@contextmanager
def opened_text(path: Path) -> Iterator[Iterator[list[str]]]:
    """The cells of any CSV file, plain or gzipped. Raises NotAPostcodeFile where it is no CSV text."""
    with path.open("rb") as raw, _as_text(raw, path.name) as text:
        yield _cells(text, path.name)


def plain(name: str) -> str:
    """A column's name without case, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


# --- Files --------------------------------------------------------------------------------


def _as_text(raw: IO[bytes], name: str) -> IO[str]:
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(b"PK"):
        raise NotAPostcodeFile(f"{name} is a zip archive: unpack it and give the CSV file inside")
    if magic.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise NotAPostcodeFile(f"{name} is UTF-16 text: save it as UTF-8")
    packed = magic.startswith(b"\x1f\x8b")
    stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")


def _cells(text: IO[str], name: str) -> Iterator[list[str]]:
    reader = csv.reader(text)
    try:
        for cells in reader:
            if cells:
                yield cells
    except (csv.Error, EOFError, gzip.BadGzipFile, OSError) as error:
        raise NotAPostcodeFile(f"{name} is damaged after line {reader.line_num}: {error}") from error


def _chain(first: list[list[str]], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    yield from first
    yield from rest


# --- Layouts ------------------------------------------------------------------------------


def _layout(first: list[str], header: Sequence[str] | None, name: str) -> tuple[Layout, list[list[str]]]:
    """The layout, and those of the lines read so far that are rows."""
    if header is not None:
        return _from_header(header, name), [first]
    if _is_code_point(first):
        return _from_header(CODE_POINT[len(first)], name), [first]
    return _from_header(first, name), []


def _is_code_point(cells: list[str]) -> bool:
    return len(cells) in CODE_POINT and _postcode(cells[0]) is not None and cells[1].strip().isdigit()


def _from_header(header: Sequence[str], name: str) -> Layout:
    named = {plain(cell): place for place, cell in reversed(list(enumerate(header)))}
    columns = {meaning: found for meaning in NAMES if (found := _column(named, meaning)) is not None}
    if "postcode" not in columns or not columns.keys() & {"ward", "borough", "lat", "easting"}:
        raise NotAPostcodeFile(_explain(header, columns, name))
    code_point = named.keys() >= {"pc", "pq"} or "positionalqualityindicator" in named
    return Layout(columns, max(columns.values()) + 1, only_live=code_point)


def _column(named: dict[str, int], meaning: str) -> int | None:
    for pattern in NAMES[meaning]:
        if pattern in named:
            return named[pattern]
        dated = re.compile(pattern.format("[0-9]{2}") + r"\Z") if "{}" in pattern else None
        years = sorted(known for known in named if dated and dated.match(known))
        if years:
            return named[years[-1]]
    return None


def _explain(header: Sequence[str], columns: dict[str, int], name: str) -> str:
    missing = (
        ("a column of postcodes", "postcode")
        if "postcode" not in columns
        else ("a ward, a borough or a position", "ward")
    )
    looked = ", ".join(one.format("24") for one in NAMES[missing[1]])
    found = ", ".join(cell.strip()[:30] or "(empty)" for cell in header[:12])
    return (
        f"{name} is not a postcode file: it lacks {missing[0]} (looked for {looked}). Its first line: {found}"
    )


# --- Values -------------------------------------------------------------------------------


def _row(layout: Layout, cells: list[str]) -> Row | list[str]:
    if len(cells) < layout.width:
        return cells
    columns = layout.columns

    def cell(meaning: str) -> str:
        place = columns.get(meaning)
        return cells[place].strip() if place is not None else ""

    postcode = _postcode(cells[columns["postcode"]])
    if postcode is None:
        return cells
    terminated = _month(cell("terminated"))
    easting, northing = _metres(cell("easting")), _metres(cell("northing"))
    if not easting or not northing:
        easting = northing = None
    lat, long = _position(cell("lat"), cell("long"))
    if lat is None and "lat" not in columns and easting and northing and not postcode.startswith("BT"):
        lat, long = to_lat_long(easting, northing)  # Northern Ireland's points are on another grid
    return Row(
        postcode=postcode,
        ward=_code(cell("ward")),
        borough=_code(cell("borough")),
        easting=easting,
        northing=northing,
        lat=lat,
        long=long,
        quality=_metres(cell("quality")),
        introduced=_month(cell("introduced")),
        terminated=terminated,
        live=_life(layout, terminated, cell("in_use")),
    )


def _postcode(text: str) -> str | None:
    """The canonical form. Files pad to seven or eight places, so their spaces are not trusted."""
    unit = split(text.replace(" ", "").upper())
    return str(unit) if unit else None


def _code(text: str) -> str | None:
    return text if _CODE.fullmatch(text) and not text.endswith(_PSEUDO) else None


def _metres(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _position(lat: str, long: str) -> tuple[float | None, float | None]:
    try:
        found = float(lat), float(long)
    except ValueError:
        return None, None
    return found if abs(found[0]) < _NO_LATITUDE and found != (0.0, 0.0) else (None, None)


def _month(text: str) -> str | None:
    """`YYYY-MM` of 199606, 1996-06-01 or 6/1/1996. Every postcode date is the first day of a month, so
    of the two small numbers of a date the month is the one that is not 1, whoever wrote it."""
    if found := _MONTH.fullmatch(text):
        return f"{found[1]}-{found[2]}"
    if found := _SLASHED.fullmatch(text):
        month = max((n for n in (int(found[1]), int(found[2])) if n <= 12), default=0)
        return f"{found[3]}-{month:02}" if month else None
    return None


def _life(layout: Layout, terminated: str | None, in_use: str) -> bool | None:
    if "in_use" in layout:
        return in_use.lower() in ("yes", "true", "1", "y")
    if "terminated" in layout:
        return terminated is None
    return True if layout.only_live else None
