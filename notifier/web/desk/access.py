"""Who is at the desk, and what they may do: stands before every desk page but the sign-in.

The roles are read anew with each request, so that a role taken away is gone at once. A handler gets a
`Reader` and puts `reader.teams(act)` into its statements: what lies outside is not found.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

from aiohttp import web

from notifier.errors import NotAllowed, NotFound
from notifier.staff import audit, roles, sessions
from notifier.staff.roles import Act, Grant
from notifier.web.context import see_other, show
from notifier.web.desk.banner import Banner, banner
from notifier.web.forms import fields
from notifier.web.service import database
from notifier.web.session import FORM_FIELD, session_token

SIGN_IN = "/desk/sign-in"
OUR_OWN_FIELDS = frozenset({FORM_FIELD, "next"})


@dataclass(frozen=True, kw_only=True)
class Reader:
    """The officer whose browser this is."""

    officer: UUID
    name: str
    grants: tuple[Grant, ...]

    def teams(self, act: Act = Act.SEE) -> Collection[UUID] | None:
        """The teams in which they may do this; None: every team."""
        return roles.teams_where(self.grants, act)

    def may(self, act: Act, team: UUID | None = None) -> bool:
        """May they do this in that team?"""
        return roles.may(self.grants, act, team)

    def may_anywhere(self, act: Act) -> bool:
        """May they do this in any team at all?"""
        teams = self.teams(act)
        return teams is None or bool(teams)

    def require(self, act: Act, team: UUID) -> None:
        """Raise NotAllowed where they see that team but may not do this there."""
        if not self.may(act, team):
            raise NotAllowed

    @property
    def actor(self) -> str:
        """Their name in the audit."""
        return audit.officer_actor(self.officer)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a page says of sending itself."""

    banner: Banner | None


SENDING = web.RequestKey("sending", Seen)
DeskHandler = Callable[[web.Request, Reader], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class DeskRoute:
    """A page or button of the desk. act: what one must be allowed somewhere to get there at all."""

    method: str
    path: str
    handler: DeskHandler
    act: Act | None = Act.SEE


def guarded(route: DeskRoute) -> web.RouteDef:
    """The route, behind its guard."""

    async def handle(request: web.Request) -> web.StreamResponse:
        reader = await read_session(request)
        if reader is None:
            return await _ask_to_sign_in(request)
        if route.act is not None and not reader.may_anywhere(route.act):
            raise NotAllowed
        return await route.handler(request, reader)

    return web.route(route.method, route.path, handle)


async def read_session(request: web.Request) -> Reader | None:
    """Whose session cookie this is, or None."""
    token = session_token(request)
    if not token:
        return None
    async with database(request).transaction(read_only=True) as tx:
        found = await sessions.read(tx, token)
        if found is None:
            return None
        reader = Reader(officer=found.officer, name=found.name, grants=found.grants)
        request[SENDING] = Seen(banner=await banner(tx, reader.teams()))
    if found.needs_touch:
        async with database(request).transaction() as tx:
            await sessions.touch(tx, token)
    return reader


def show_desk(
    request: web.Request,
    template: str,
    reader: Reader,
    *,
    status: int = HTTPStatus.OK,
    **context: Any,
) -> web.Response:
    """A page of the desk: every template there knows `reader`, `may_write`, `may_hold` and `sending` (what is wrong
    with it, or None) besides what `show` gives."""
    return show(
        request,
        f"desk/{template}",
        status=status,
        reader=reader,
        may_write=reader.may_anywhere(Act.DRAFT),
        may_hold=reader.may_anywhere(Act.HOLD),
        sending=request[SENDING].banner if SENDING in request else None,
        **context,
    )


def id_in(request: web.Request, name: str = "id") -> UUID:
    """The id in the path. Raises NotFound for anything that is none."""
    text = request.match_info[name]
    try:
        found = UUID(text)
    except ValueError:
        raise NotFound from None
    if str(found) != text:
        raise NotFound
    return found


def is_our_page(path: str) -> bool:
    """May a browser be sent there after signing in? Our own desk alone."""
    return path.startswith("/desk") and path.isprintable() and path.isascii() and "\\" not in path


async def _ask_to_sign_in(request: web.Request) -> web.StreamResponse:
    """The sign-in page; what was being sent is kept there, so that nobody's words are lost."""
    if request.method in ("GET", "HEAD"):
        return see_other(f"{SIGN_IN}?next={quote(request.path_qs, safe='/')}")
    sent = await fields(request)
    kept = [(name, value) for name in sent if name not in OUR_OWN_FIELDS for value in sent[name]]
    return show(
        request,
        "desk/sign_in.html",
        status=HTTPStatus.UNAUTHORIZED,
        next_path=request.path,
        kept=kept,
        sign_ins=[],
        password="",
    )
