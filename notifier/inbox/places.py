"""Which team covers a place now. Called by the resolvers and by the desk's hand-over."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import or_, select

from notifier.db import Tx
from notifier.models import Team, TeamArea, TeamKind
from subscribers.dialects import insert_for
from subscribers.models import Area, new_id

HIGHEST = 4  # ward, borough, force, and one to spare
CENTRAL_SLUG = "central-triage"


@dataclass(frozen=True, kw_only=True)
class Covered:
    """An area, and the team that answers for it."""

    code: str
    name: str
    team: UUID


async def covered(tx: Tx, codes: Collection[str]) -> list[Covered]:
    """Those of the areas that a team covers now, by name; a team of the ward goes before one of the borough."""
    parents, names = await _ancestors(tx, codes)
    teams = await _teams(tx, set(parents) | set(parents.values()) | set(codes))
    found = []
    for code in codes:
        team = _nearest(code, parents, teams)
        if team is not None and code in names:
            found.append(Covered(code=code, name=names[code], team=team))
    return sorted(found, key=lambda each: (each.name, each.code))


async def central_triage(tx: Tx) -> UUID:
    """The team that takes what no rule places; made where there is none."""
    oldest = select(Team.id).where(Team.kind == TeamKind.CENTRAL).order_by(Team.id).limit(1)
    found: UUID | None = await tx.scalar(oldest)
    if found is None:
        values = {"id": new_id(), "slug": CENTRAL_SLUG, "name": "Central triage", "kind": TeamKind.CENTRAL}
        unique = insert_for(tx, Team).on_conflict_do_nothing(index_elements=["slug"])
        await tx.execute(unique.values(values))
        found = await tx.scalar(oldest)
    if found is None:
        raise LookupError(f"the slug {CENTRAL_SLUG} belongs to a team of another kind")
    return found


async def _ancestors(tx: Tx, codes: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Child → parent, and the names, from these areas upward."""
    parents: dict[str, str] = {}
    names: dict[str, str] = {}
    level = set(codes)
    for _ in range(HIGHEST):
        if not level:
            break
        rows = await tx.execute(select(Area.code, Area.name, Area.parent_code).where(Area.code.in_(level)))
        level = set()
        for row in rows:
            names[row.code] = row.name
            if row.parent_code:
                parents[row.code] = row.parent_code
                level.add(row.parent_code)
    return parents, names


async def _teams(tx: Tx, codes: Collection[str]) -> dict[str, UUID]:
    """Area → the team that covers it itself: neighbourhood teams first, then the one that came first."""
    rows = await tx.execute(
        select(TeamArea.area_code, TeamArea.team_id)
        .join(Team, Team.id == TeamArea.team_id)
        .where(
            TeamArea.area_code.in_(codes),
            TeamArea.since <= tx.now,
            or_(TeamArea.until.is_(None), TeamArea.until > tx.now),
        )
        .order_by((Team.kind == TeamKind.SNT).desc(), TeamArea.since, TeamArea.team_id)
    )
    found: dict[str, UUID] = {}
    for row in rows:
        found.setdefault(row.area_code, row.team_id)
    return found


def _nearest(code: str, parents: dict[str, str], teams: dict[str, UUID]) -> UUID | None:
    for _ in range(HIGHEST):
        if code in teams:
            return teams[code]
        if code not in parents:
            return None
        code = parents[code]
    return None
