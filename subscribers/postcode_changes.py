"""What a line of a postcode file changes about what is known of its postcode. Pure.

`postcode_import` asks it line by line; the rules of vintages, of missing columns and of absence are here.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from subscribers.postcode_files import Layout, Row


class Effect(StrEnum):
    """What one line of a file did."""

    NEW = "new"
    MOVED = "moved"  # to another ward
    TERMINATED = "terminated"
    RETURNED = "returned"  # in use again
    CORRECTED = "corrected"  # position, months, or a ward where there was none
    UNCHANGED = "unchanged"
    OLDER = "older"  # the file is older than what is known, and had nothing to add
    OUTSIDE = "outside"  # of another borough than those asked for
    REPEATED = "repeated"  # stands twice within a batch: the last counts
    UNREADABLE = "unreadable"


class Held(NamedTuple):
    """A row of `postcodes`, in the order of its columns."""

    postcode: str
    ward_code: str | None
    borough_code: str | None
    easting: int | None
    northing: int | None
    lat: float | None
    long: float | None
    quality: int | None
    introduced: str | None
    terminated: str | None
    vintage: str | None
    gone_in: str | None

    @property
    def is_live(self) -> bool:
        return self.terminated is None and self.gone_in is None


def merge(held: Held | None, row: Row, layout: Layout, vintage: str) -> Held:
    """What is known after a line. A column the file lacks changes nothing; an older file fills gaps alone."""
    if held is None:
        return _first(row, vintage)
    if held.vintage is not None and vintage < held.vintage:
        return _filled(held, row)
    if "ward" in layout:
        speaks = row.ward or row.live is not False  # a terminated postcode keeps the ward it had
        ward, borough = (row.ward, row.borough) if speaks else (held.ward_code, held.borough_code)
        held = held._replace(ward_code=ward, borough_code=borough, vintage=vintage)
    elif held.ward_code is None:  # ward and borough are of one vintage, or do not fit together
        held = held._replace(borough_code=row.borough or held.borough_code)
    if "easting" in layout:
        held = held._replace(easting=row.easting, northing=row.northing)
    if "lat" in layout or "easting" in layout:
        held = held._replace(lat=row.lat, long=row.long)
    if "quality" in layout:
        held = held._replace(quality=row.quality)
    return _with_life(held._replace(introduced=row.introduced or held.introduced), row, vintage)


def effect_of(before: Held | None, after: Held, vintage: str) -> Effect:
    """The name of a change, for the report."""
    if before is None:
        return Effect.NEW
    if before.is_live != after.is_live:
        return Effect.RETURNED if after.is_live else Effect.TERMINATED
    if before.ward_code and before.ward_code != after.ward_code:
        return Effect.MOVED
    if before._replace(vintage=None) != after._replace(vintage=None):
        return Effect.CORRECTED
    return Effect.OLDER if before.vintage is not None and vintage < before.vintage else Effect.UNCHANGED


def covering(live: Mapping[tuple[str, str], int]) -> tuple[str, frozenset[str]] | None:
    """The newest vintage that speaks for a whole postcode area, and the boroughs it speaks for.

    live: (vintage, borough) → postcodes in use last seen then. Files come in parts and as samples, so a
    vintage may call the others gone only if it saw at least as many postcodes of those boroughs as it did
    not: real refreshes miss 5 to 25 in 100, a sample misses nearly all.
    """
    for newest in sorted({vintage for vintage, _ in live}, reverse=True):
        boroughs = frozenset(borough for vintage, borough in live if vintage == newest)
        seen = sum(n for (vintage, _), n in live.items() if vintage == newest)
        unseen = sum(n for (vintage, borough), n in live.items() if vintage < newest and borough in boroughs)
        if seen >= unseen:
            return newest, boroughs
    return None


def _first(row: Row, vintage: str) -> Held:
    empty = Held(row.postcode, row.ward, row.borough, row.easting, row.northing, row.lat, row.long, row.quality,
                 row.introduced, None, vintage, None)  # fmt: skip
    return _with_life(empty, row, vintage)


def _filled(held: Held, row: Row) -> Held:
    if held.ward_code is None and row.ward:
        held = held._replace(ward_code=row.ward, borough_code=row.borough)
    if held.lat is None and row.lat is not None:
        held = held._replace(easting=row.easting, northing=row.northing, lat=row.lat, long=row.long)
    if held.gone_in and row.terminated:
        held = held._replace(terminated=held.terminated or row.terminated)
    return held._replace(
        borough_code=held.borough_code or row.borough, introduced=held.introduced or row.introduced
    )


def _with_life(held: Held, row: Row, vintage: str) -> Held:
    if row.live is None:
        return held
    if row.live:
        is_known_later = held.gone_in is not None and vintage < held.gone_in
        return held if is_known_later else held._replace(terminated=None, gone_in=None)
    month = row.terminated or held.terminated
    return held._replace(terminated=month, gone_in=None if month else held.gone_in or vintage)
