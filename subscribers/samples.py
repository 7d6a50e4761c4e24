"""Draws some of an audience by chance, each area in proportion: for invitations that must not all go out.

A person's mark is a number reckoned from their id and the sample's seed, the same on both databases; of each area
those with the lowest marks are drawn. So a sample is kept as its seed and the highest mark of each area.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import CTE, ColumnElement, Integer, Select, String, column, func, select, values

from subscribers.dialects import low_bits
from subscribers.models import Transaction

PRIME = 2**31 - 1
SPARE = 4  # so many times the people wanted are looked at first


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


def table_of(sample: Sample) -> CTE:
    """The marks as rows (area_code, highest), once for a statement. Raises ValueError if the sample is not drawn."""
    if sample.marks is None:
        raise ValueError("this sample is not drawn yet")
    rows = sorted(sample.marks.items()) or [("", -1)]
    area_code, highest = column("area_code", String), column("highest", Integer)
    return values(area_code, highest, name="drawn", literal_binds=True).data(rows).cte("drawn")


def chosen(people: Select[*tuple[Any, ...]], sample: Sample, drawn: CTE) -> Select[*tuple[Any, ...]]:
    """Those of `people` (subscriber_id, soonest, area_code) whose mark stands in `drawn`."""
    everyone = people.subquery("everyone")
    return (
        select(everyone.c.subscriber_id, everyone.c.soonest)
        .join(drawn, drawn.c.area_code == everyone.c.area_code)
        .where(_mark(everyone.c.subscriber_id, sample.seed) <= drawn.c.highest)
    )


async def draw(tx: Transaction, people: Select[*tuple[Any, ...]], sample: Sample) -> Sample:
    """The sample with its marks, drawn among `people` (subscriber_id, area_code)."""
    everyone = people.subquery("everyone")
    counted = select(everyone.c.area_code, func.count().label("people")).group_by(everyone.c.area_code)
    sizes = {row.area_code: row.people for row in await tx.execute(counted)}
    if not sizes:
        return replace(sample, marks={})
    shares = allocate(sizes, sample.size)
    mark = _mark(everyone.c.subscriber_id, sample.seed).label("mark")
    limit = PRIME * SPARE * sum(shares.values()) // sum(sizes.values())
    while True:
        marks: dict[str, list[int]] = defaultdict(list)
        for row in await tx.execute(select(everyone.c.area_code, mark).where(mark <= limit)):
            marks[row.area_code].append(row.mark)
        if limit >= PRIME or all(len(marks[code]) >= share for code, share in shares.items()):
            break
        limit *= SPARE
    return replace(sample, marks={code: sorted(marks[code])[share - 1] for code, share in shares.items()})


def _mark(subscriber: Any, seed: int) -> ColumnElement[int]:
    """A number below 2³¹ - 1, by a hash of Carter and Wegman's family that the seed picks; fits 63 bits on the way."""
    factor, shift = (
        int.from_bytes(hashlib.sha256(f"{seed} {use}".encode()).digest()) for use in ("factor", "shift")
    )
    return (low_bits(subscriber) * (factor % (PRIME - 1) + 1) + shift % PRIME) % PRIME
