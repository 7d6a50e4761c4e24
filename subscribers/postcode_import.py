"""Brings a postcode file into the rows: what each line changes, and what its absence means.

`areas import` opens the transactions: `take` for each few thousand lines, then `mark_gone` for each
postcode area of the file, then `end_wards`; at last the planner is told of what was `FILLED`. Each may run again with the same lines and then changes
nothing, so an import that was interrupted is simply repeated.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, update

from subscribers.dialects import insert_for
from subscribers.models import Area, AreaKind, Postcode, Transaction
from subscribers.postcode_changes import Effect, Held, covering, effect_of, merge
from subscribers.postcode_files import Layout, Row

BATCH_ROWS = 5000
FILLED = (Postcode.__tablename__, Area.__tablename__)

WRITES = (Effect.NEW, Effect.MOVED, Effect.TERMINATED, Effect.RETURNED, Effect.CORRECTED)
COLUMNS = [getattr(Postcode, name) for name in Held._fields]
IS_LIVE = and_(Postcode.terminated.is_(None), Postcode.gone_in.is_(None))


@dataclass
class Import:
    """One import under way: what the file is, and what has been seen of it.

    vintage: `YYYY-MM` the file states. boroughs: those asked for; empty means all.
    """

    layout: Layout
    vintage: str
    boroughs: frozenset[str] = frozenset()
    effects: Counter[Effect] = field(default_factory=Counter)
    gone: int = 0
    wards_ended: int = 0
    postcode_areas: set[str] = field(default_factory=set)
    boroughs_met: set[str] = field(default_factory=set)
    wards_met: set[str] = field(default_factory=set)
    boroughs_left: set[str] = field(default_factory=set)
    unreadable: list[str] = field(default_factory=list)

    def asks_for(self, borough: str | None) -> bool:
        return not self.boroughs or borough in self.boroughs

    @property
    def lines(self) -> int:
        return self.effects.total()

    @property
    def written(self) -> int:
        """Rows of postcodes that are not as they were."""
        return sum(self.effects[each] for each in WRITES) + self.gone


async def take(tx: Transaction, lines: Iterable[Row | list[str]], into: Import) -> None:
    """Write a batch of at most BATCH_ROWS lines: only rows that differ are sent to the database."""
    rows: dict[str, Row] = {}
    for line in lines:
        if not isinstance(line, Row):
            _note_unreadable(line, into)
            continue
        into.effects[Effect.REPEATED] += line.postcode in rows
        rows[line.postcode] = line
    known: list[Held] = []
    changed: list[Held] = []
    held = await _held(tx, rows)
    for row in rows.values():
        before = held.get(row.postcode)
        if before is None and not into.asks_for(row.borough):
            into.effects[Effect.OUTSIDE] += 1
            continue
        after = merge(before, row, into.layout, into.vintage)
        into.effects[effect_of(before, after, into.vintage)] += 1
        into.postcode_areas.add(_area_of(row.postcode))
        if before and before.borough_code:
            into.boroughs_left.add(before.borough_code)
        known.append(after)
        if after != before:
            changed.append(after)
    await _put_areas(tx, known, into)
    await _put_postcodes(tx, changed)


async def mark_gone(tx: Transaction, postcode_area: str, into: Import) -> None:
    """Postcodes of an area that a newer file no longer holds: flagged with that vintage, ward kept.

    Looks at rows alone, so the order of files and a second run make no difference. Only rows with a ward
    count: a file without wards does not say which postcodes it should have held.
    """
    within = and_(_in_postcode_area(postcode_area), IS_LIVE, Postcode.ward_code.is_not(None))
    counted = await tx.execute(
        select(Postcode.vintage, Postcode.borough_code, func.count().label("live"))
        .where(within, Postcode.vintage.is_not(None), Postcode.borough_code.is_not(None))
        .group_by(Postcode.vintage, Postcode.borough_code)
    )
    found = covering({(row.vintage, row.borough_code): row.live for row in counted})
    if found is None:
        return
    newest, boroughs = found
    marked = await tx.execute(
        update(Postcode)
        .where(within, Postcode.vintage < newest, Postcode.borough_code.in_(boroughs))
        .values(gone_in=newest)
    )
    into.gone += marked.rowcount


async def end_wards(tx: Transaction, into: Import) -> None:
    """A ward to which no postcode in use leads any more ends now; one that has them again goes on."""
    touched = and_(
        Area.kind == AreaKind.WARD, Area.parent_code.in_(sorted(into.boroughs_met | into.boroughs_left))
    )
    has_live = exists().where(Postcode.ward_code == Area.code, IS_LIVE)
    await tx.execute(update(Area).where(touched, Area.valid_to.is_not(None), has_live).values(valid_to=None))
    ended = await tx.execute(
        update(Area).where(touched, Area.valid_to.is_(None), ~has_live).values(valid_to=tx.now)
    )
    into.wards_ended += ended.rowcount


async def name_areas(tx: Transaction, names: Mapping[str, str]) -> int:
    """Give known areas the names of a code list; returns how many names changed."""
    held = await tx.execute(select(Area.code, Area.name))
    changed = [area.code for area in held if names.get(area.code, area.name) != area.name]
    for code in changed:
        await tx.execute(update(Area).where(Area.code == code).values(name=names[code]))
    return len(changed)


async def count_nameless(tx: Transaction) -> int:
    """Areas that still bear their code as name."""
    return int(await tx.scalar(select(func.count()).select_from(Area).where(Area.name == Area.code)))


async def _held(tx: Transaction, rows: Iterable[str]) -> dict[str, Held]:
    found = await tx.execute(select(*COLUMNS).where(Postcode.postcode.in_(list(rows))))
    return {row.postcode: Held._make(row) for row in found}


async def _put_postcodes(tx: Transaction, changed: list[Held]) -> None:
    if not changed:
        return
    insert = insert_for(tx, Postcode)
    updated = {name: insert.excluded[name] for name in Held._fields if name != "postcode"}
    differs = or_(*(getattr(Postcode, name).is_distinct_from(new) for name, new in updated.items()))
    statement = insert.on_conflict_do_update(index_elements=["postcode"], set_=updated, where=differs)
    await tx.execute(statement, [row._asdict() for row in changed])


async def _put_areas(tx: Transaction, rows: Iterable[Held], into: Import) -> None:
    """Boroughs and wards as they are met, served if their borough was asked for (or none was)."""
    boroughs: dict[str, None] = {}
    wards: dict[str, str | None] = {}
    for row in rows:
        if row.borough_code and row.borough_code not in into.boroughs_met:
            boroughs[row.borough_code] = None
        if row.ward_code and row.ward_code not in into.wards_met:
            wards.setdefault(row.ward_code, row.borough_code)
    await _upsert_areas(tx, AreaKind.BOROUGH, {code: (None, into.asks_for(code)) for code in boroughs})
    served = {ward: (borough, into.asks_for(borough)) for ward, borough in wards.items()}
    await _upsert_areas(tx, AreaKind.WARD, served)
    into.boroughs_met.update(boroughs)
    into.wards_met.update(wards)


async def _upsert_areas(
    tx: Transaction, kind: AreaKind, areas: Mapping[str, tuple[str | None, bool]]
) -> None:
    if not areas:
        return
    insert = insert_for(tx, Area)
    parent = func.coalesce(insert.excluded.parent_code, Area.parent_code)
    served = or_(Area.served, insert.excluded.served)
    statement = insert.on_conflict_do_update(
        index_elements=["code"],
        set_={"parent_code": parent, "served": served},
        where=or_(Area.parent_code.is_distinct_from(parent), Area.served.is_distinct_from(served)),
    )
    values = [
        {"code": code, "kind": kind, "name": code, "parent_code": parent, "served": served}
        for code, (parent, served) in areas.items()
    ]
    await tx.execute(statement, values)


def _area_of(postcode: str) -> str:
    return postcode[:2] if postcode[1].isalpha() else postcode[0]


def _in_postcode_area(area: str) -> ColumnElement[bool]:
    """Digits follow the letters of an area and sort before letters in every collation."""
    return Postcode.postcode.between(f"{area}0", f"{area}9ZZZ")


def _note_unreadable(cells: list[str], into: Import) -> None:
    into.effects[Effect.UNREADABLE] += 1
    if len(into.unreadable) < 5:
        into.unreadable.append(",".join(cells)[:60])
