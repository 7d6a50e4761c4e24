"""Draws some of an audience by chance, each area in proportion: for invitations that must not all go out.

A person's mark is a number reckoned from their id and the sample's seed, the same on both databases; of each area
those with the lowest marks are drawn. So a sample is kept as its seed and the highest mark of each area.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from sqlalchemy import CTE, ColumnElement, Integer, Select, String, column, select, values

from subscribers.dialects import low_bits

PRIME = 2**31 - 1  # marks are below it


@dataclass(frozen=True, kw_only=True)
class Sample:
    """size: people wanted, all where there are fewer. marks: area → highest mark drawn, once it is drawn.

    Who follows several of the areas counts in the first by code. Two people of an area with the same mark are
    drawn together, so that a sample of a million may have one more than its size.
    """

    size: int
    seed: int
    marks: Mapping[str, int] | None = None


def allocate(sizes: Mapping[str, int], wanted: int) -> dict[str, int]:
    """How many of each area: in proportion, the rest to the largest remainders (Hare's quota), ties by code."""
    whole = sum(sizes.values())
    wanted = min(wanted, whole)
    shares = {code: wanted * size // whole for code, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda code: (-(wanted * sizes[code] % whole), code))
    for code in by_remainder[: wanted - sum(shares.values())]:
        shares[code] += 1
    return {code: share for code, share in shares.items() if share}


def first_look(size: int, *, people: int, areas: int) -> int:
    """The mark up to which a draw looks first, so that hardly an area finds too few. people, areas: about so many in all.

    Of what an area of the usual size has to give it looks at five deviations more, and a dozen.
    """
    if size >= people:
        return PRIME
    share = size / max(areas, 1)
    looked_at = (share + 5 * sqrt(share) + 12) * max(areas, 1)
    return min(PRIME, int(PRIME * looked_at / people))


def highest_drawn(shares: Mapping[str, int], marks: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Of each area the highest mark drawn. marks: area → its lowest marks, at least as many as its share."""
    lowest = {code: sorted(marks[code])[:share] for code, share in shares.items() if code in marks}
    return {code: drawn[-1] for code, drawn in lowest.items() if drawn}


def chosen(people: Select[*tuple[Any, ...]], sample: Sample) -> Select[*tuple[Any, ...]]:
    """Those of `people` (subscriber_id, frequency, area_code) who are drawn. Raises ValueError before the draw."""
    everyone, drawn = people.subquery("everyone"), _table_of(sample)
    return (
        select(everyone.c.subscriber_id, everyone.c.frequency)
        .join(drawn, drawn.c.area_code == everyone.c.area_code)
        .where(mark(everyone.c.subscriber_id, sample.seed) <= drawn.c.highest)
    )


def mark(subscriber: Any, seed: int) -> ColumnElement[int]:
    """A number below 2³¹ - 1, by a hash of Carter and Wegman's family that the seed picks; fits 63 bits on the way."""
    factor, shift = (
        int.from_bytes(hashlib.sha256(f"{seed} {use}".encode()).digest()) for use in ("factor", "shift")
    )
    return (low_bits(subscriber) * (factor % (PRIME - 1) + 1) + shift % PRIME) % PRIME


def _table_of(sample: Sample) -> CTE:
    """The marks as rows (area_code, highest), once for a statement."""
    if sample.marks is None:
        raise ValueError("this sample is not drawn yet")
    rows = sorted(sample.marks.items()) or [("", -1)]
    area_code, highest = column("area_code", String), column("highest", Integer)
    return values(area_code, highest, name="drawn", literal_binds=True).data(rows).cte("drawn")
