"""The areas a team may write to, and whether a message stays within its own. Called by desk, API and approval."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import or_, select

from notifier.db import Tx
from notifier.errors import Invalid
from notifier.models import Team, TeamArea, TeamKind
from subscribers.audience import with_descendants
from subscribers.models import Area, AreaKind


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An area that may be written to. is_own: the team covers it."""

    code: str
    name: str
    kind: AreaKind
    is_own: bool


async def own(tx: Tx, team: UUID) -> frozenset[str]:
    """Every area a team covers now, with all that lies inside."""
    rows = await tx.execute(
        select(TeamArea.area_code).where(
            TeamArea.team_id == team,
            TeamArea.since <= tx.now,
            or_(TeamArea.until.is_(None), TeamArea.until > tx.now),
        )
    )
    return frozenset(await with_descendants(tx, rows.scalars().all()))


async def choices(tx: Tx, team: UUID, *, is_wide: bool = False) -> list[Choice]:
    """The team's own areas first; is_wide: then their boroughs and all wards of those (a coordinator's reach).

    A central team covers no area of its own, and may write wherever anybody is served.
    """
    mine = await own(tx, team)
    codes = set(mine)
    if await tx.scalar(select(Team.kind).where(Team.id == team)) == TeamKind.CENTRAL:
        codes |= set((await tx.execute(select(Area.code).where(Area.served.is_(True)))).scalars())
    elif is_wide:
        above = select(Area.parent_code).where(Area.code.in_(mine), Area.parent_code.is_not(None))
        codes |= set(await with_descendants(tx, (await tx.execute(above)).scalars().all()))
    rows = await tx.execute(
        select(Area.code, Area.name, Area.kind).where(Area.code.in_(codes), Area.valid_to.is_(None))
    )
    found = [
        Choice(code=row.code, name=row.name, kind=AreaKind(row.kind), is_own=row.code in mine) for row in rows
    ]
    return sorted(found, key=lambda area: (not area.is_own, area.kind != AreaKind.WARD, area.name, area.code))


async def require(tx: Tx, team: UUID, codes: Collection[str], *, is_wide: bool = False) -> None:
    """Raise Invalid unless the team may write to all of these areas."""
    allowed = {area.code for area in await choices(tx, team, is_wide=is_wide)}
    if outside := [code for code in codes if code not in allowed]:
        raise Invalid({"areas": f"{outside[0][:20]} is not an area that this team writes to."})


async def is_within_own(tx: Tx, team: UUID, codes: Collection[str]) -> bool:
    """Does a message to these areas stay inside what the team covers?"""
    return set(await with_descendants(tx, list(codes))) <= await own(tx, team)
