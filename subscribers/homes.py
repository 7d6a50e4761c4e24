"""Where people live, in a form that audiences can be reckoned from without opening a sealed postcode.

Beside `postcode_sealed` stand a keyed hash of the postcode and its square of the 250 m grid. Whoever stores
a postcode stores these with it; `fill_places` does so for rows of before, and for postcodes whose place came later.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, or_, select, update

from subscribers.grid import cell_of
from subscribers.models import Postcode, Subscriber, SubscriberState, Transaction

POSTCODE = "subscribers.postcode"

# Of a row without a postcode: for erasing, and for a home that is taken back.
NOWHERE: Mapping[str, None] = {
    "postcode_sealed": None,
    "postcode_hash": None,
    "cell_east": None,
    "cell_north": None,
}


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What one call of `fill_places` did. last: where the next one goes on; None: that was all."""

    filled: int
    last: UUID | None


async def cells_of(tx: Transaction, postcodes: Collection[str]) -> dict[str, tuple[int, int]]:
    """postcode → its square, of those whose place is known. Postcodes in canonical form."""
    rows = await tx.execute(
        select(Postcode.postcode, Postcode.easting, Postcode.northing).where(
            Postcode.postcode.in_(list(postcodes)), Postcode.easting.is_not(None)
        )
    )
    return {row.postcode: cell_of(row.easting, row.northing) for row in rows}


def values_of(
    tx: Transaction, subscriber: UUID, postcode: str, cell: tuple[int, int] | None
) -> dict[str, Any]:
    """The columns of a home. cell: of `cells_of`, None where its place is not known."""
    east, north = cell or (None, None)
    return {
        "postcode_sealed": tx.keys.seal(POSTCODE, subscriber, postcode),
        "postcode_hash": tx.keys.postcode_hash(postcode),
        "cell_east": east,
        "cell_north": north,
    }


async def fill_places(tx: Transaction, *, after: UUID | None = None, limit: int = 1000) -> Filled:
    """Reckon hash and square of rows that have a postcode alone, a page in the order of ids. Safe to run at any time.

    A square stays unknown while no postcode file names its place, so such rows are looked at again on each round.
    """
    lacking = or_(Subscriber.postcode_hash.is_(None), Subscriber.cell_east.is_(None))
    rows = (
        await tx.execute(
            select(
                Subscriber.id,
                Subscriber.postcode_sealed,
                Subscriber.postcode_hash,
            )
            .where(
                *([Subscriber.id > after] if after else []),
                Subscriber.postcode_sealed.is_not(None),
                Subscriber.state == SubscriberState.ACTIVE,
                lacking,
            )
            .order_by(Subscriber.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    ).all()
    opened = {row.id: tx.keys.open_text(POSTCODE, row.id, row.postcode_sealed) for row in rows}
    cells = await cells_of(tx, set(opened.values()))
    changed = [
        {
            "who": row.id,
            "hashed": tx.keys.postcode_hash(opened[row.id]),
            "east": cells.get(opened[row.id], (None, None))[0],
            "north": cells.get(opened[row.id], (None, None))[1],
        }
        for row in rows
        if row.postcode_hash is None or opened[row.id] in cells
    ]
    if changed:
        await tx.execute(_FILL, changed)
    return Filled(filled=len(changed), last=rows[-1].id if len(rows) == limit else None)


_FILL = (
    update(Subscriber.__table__)  # type: ignore[arg-type]
    .where(Subscriber.id == bindparam("who"))
    .values(postcode_hash=bindparam("hashed"), cell_east=bindparam("east"), cell_north=bindparam("north"))
)
