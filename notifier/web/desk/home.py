"""The team's home: what waits for an answer, what is being written, what is on its way, what was promised."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web
from sqlalchemy import select, true

from notifier.broadcast import overview
from notifier.consultation import timetable
from notifier.db import Tx
from notifier.errors import NotFound
from notifier.inbox import queue
from notifier.models import Team
from notifier.staff.roles import Act
from notifier.web.desk.access import DeskRoute, Reader, show_desk
from notifier.web.forms import query
from notifier.web.service import database

MOST_TABS = 6


@dataclass(frozen=True, kw_only=True)
class TeamName:
    """A team one may choose."""

    id: UUID
    slug: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The teams a page shows: one that was chosen, or all of the reader's."""

    known: Sequence[TeamName]
    chosen: TeamName | None
    teams: Collection[UUID] | None

    @property
    def query(self) -> str:
        """What keeps the choice in a link."""
        return f"team={self.chosen.slug}" if self.chosen else ""


async def teams_of(tx: Tx, reader: Reader, act: Act = Act.SEE) -> list[TeamName]:
    """The teams in which they may do this, by name."""
    teams = reader.teams(act)
    scope = true() if teams is None else Team.id.in_(list(teams))
    rows = await tx.execute(select(Team.id, Team.slug, Team.name).where(scope).order_by(Team.name))
    return [TeamName(id=row.id, slug=row.slug, name=row.name) for row in rows]


async def scope_of(tx: Tx, reader: Reader, slug: str | None) -> Scope:
    """What `?team=` asks for. Raises NotFound for a team that is none of theirs."""
    known = await teams_of(tx, reader)
    if not slug:
        return Scope(known=known, chosen=known[0] if len(known) == 1 else None, teams=reader.teams())
    chosen = next((team for team in known if team.slug == slug), None)
    if chosen is None:
        raise NotFound
    return Scope(known=known, chosen=chosen, teams=[chosen.id])


async def home(request: web.Request, reader: Reader) -> web.Response:
    """`/desk`."""
    if not reader.may_anywhere(Act.SEE):
        return show_desk(request, "no_team.html", reader)
    async with database(request).transaction(read_only=True) as tx:
        scope = await scope_of(tx, reader, query(request).one("team"))
        return show_desk(
            request,
            "home.html",
            reader,
            scope=scope,
            has_tabs=1 < len(scope.known) <= MOST_TABS,
            to_do=await queue.to_do(tx, scope.teams),
            counts=await queue.counts(tx, scope.teams),
            drafts=await overview.drafts(tx, scope.teams),
            on_the_way=await overview.on_the_way(tx, scope.teams),
            ended=await overview.ended(tx, scope.teams),
            consultations=await timetable.current(tx, scope.teams),
        )


TABLE = (DeskRoute(method="GET", path="/desk", handler=home, act=None),)
