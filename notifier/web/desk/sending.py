"""How sending itself is doing, and the brakes: hold the service, a channel or a team, or let it go on.

For coordinators (their teams), central staff and administrators (everything).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from uuid import UUID

from aiohttp import web
from sqlalchemy import select

from channels.registry import find
from notifier.db import Tx
from notifier.delivery import holds
from notifier.delivery.alarms import OpenAlarm
from notifier.delivery.holds import Standing
from notifier.delivery.standing import SendingState, sending_state
from notifier.errors import Invalid, NotAllowed, NotFound
from notifier.models import BreakerState, HoldScope, Message, Team
from notifier.staff.roles import Act
from notifier.web.context import see_other
from notifier.web.desk.access import DeskRoute, Reader, show_desk
from notifier.web.desk.home import teams_of
from notifier.web.forms import EMPTY, Fields, Filled, Form, fields, query
from notifier.web.service import database, service

EVERYTHING = "all sending"
MEDIA = {"email": "email", "sms": "text messages", "social": "posts", "push": "notifications"}


@dataclass(frozen=True, kw_only=True)
class Channel:
    """An open channel as the page shows it. tone: of its tag."""

    name: str
    media: str
    words: str
    tone: str
    is_held: bool
    reason: str
    next_try: datetime | None


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """An open alarm; is_ours: it is about a message this reader may see."""

    kind: str
    key: str
    detail: str
    raised_at: datetime
    is_ours: bool


@dataclass(frozen=True, kw_only=True)
class Held:
    """A hold that stands, in words. can_lift: by this reader."""

    scope: HoldScope
    key: str
    what: str
    reason: str
    by: str
    since: datetime
    can_lift: bool


@dataclass(frozen=True, kw_only=True)
class Brake:
    """What is to be held or let go: its name in words."""

    scope: HoldScope
    key: str
    what: str


async def page(request: web.Request, reader: Reader) -> web.Response:
    """GET."""
    async with database(request).transaction(read_only=True) as tx:
        state = await sending_state(tx)
        standing = await holds.standing(tx)
        alarms = [await _alarm(tx, each, reader) for each in state.alarms]
        held = {(each.scope, each.key) for each in standing}
        teams = [
            team
            for team in await teams_of(tx, reader, Act.HOLD)
            if (HoldScope.TEAM, str(team.id)) not in held
        ]
    names = service(request).environment.settings.channels
    return show_desk(
        request,
        "sending.html",
        reader,
        holds=[_held(each, reader) for each in standing],
        channels=[_channel(name, state, standing) for name in names],
        domains=[each for each in state.channels if each.domain],
        alarms=alarms,
        teams=teams,
        can_all=_may_all(reader),
        is_system_held=(HoldScope.SYSTEM, "") in held,
    )


async def ask(request: web.Request, reader: Reader) -> web.Response:
    """GET: are you sure, and why? Of the hold or its end."""
    async with database(request).transaction(read_only=True) as tx:
        brake = await _brake(request, tx, reader, query(request))
        standing = await holds.standing(tx)
    return _ask(request, reader, brake, standing)


async def hold(request: web.Request, reader: Reader) -> web.Response:
    """POST."""
    sent = await fields(request)
    try:
        async with database(request).transaction() as tx:
            brake = await _brake(request, tx, reader, sent)
            await holds.place(tx, brake.scope, brake.key, reason=sent.one("reason") or "", by=reader.actor)
    except Invalid as error:
        form: Filled[Form] = Filled(typed=sent, errors=error.fields)
        return _ask(request, reader, brake, [], form=form)
    return see_other("/desk/sending")


async def release(request: web.Request, reader: Reader) -> web.Response:
    """POST."""
    sent = await fields(request)
    async with database(request).transaction() as tx:
        brake = await _brake(request, tx, reader, sent)
        await holds.lift(tx, brake.scope, brake.key, by=reader.actor)
    return see_other("/desk/sending")


def _ask(
    request: web.Request,
    reader: Reader,
    brake: Brake,
    standing: Sequence[Standing],
    *,
    form: Filled[Form] = EMPTY,
) -> web.Response:
    return show_desk(
        request,
        "hold.html",
        reader,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK,
        scope=brake.scope,
        key=brake.key,
        what=brake.what,
        is_release=request.path.endswith("/release"),
        standing=next((s for s in standing if (s.scope, s.key) == (brake.scope, brake.key)), None),
        form=form,
    )


async def _brake(request: web.Request, tx: Tx, reader: Reader, sent: Fields) -> Brake:
    """What was asked for. HTTPBadRequest where nothing was; raises NotFound for what is not there, NotAllowed for what is not theirs to stop."""
    scope, key = sent.one("scope") or "", sent.one("key") or ""
    if scope not in set(HoldScope):
        raise web.HTTPBadRequest(text="Choose on the page about sending what to hold.")
    match scope:
        case HoldScope.SYSTEM:
            brake = Brake(scope=HoldScope.SYSTEM, key="", what=EVERYTHING)
        case HoldScope.CHANNEL if key in service(request).environment.settings.channels:
            brake = Brake(scope=HoldScope.CHANNEL, key=key, what=f"the channel {key}")
        case HoldScope.TEAM:
            brake = Brake(scope=HoldScope.TEAM, key=key, what=await _team_name(tx, key))
        case _:
            raise NotFound
    if not _may(reader, brake.scope, brake.key):
        raise NotAllowed
    return brake


async def _team_name(tx: Tx, key: str) -> str:
    try:
        name: str | None = await tx.scalar(select(Team.name).where(Team.id == UUID(key)))
        is_plain = str(UUID(key)) == key
    except ValueError:
        raise NotFound from None
    if name is None or not is_plain:
        raise NotFound
    return name


def _held(each: Standing, reader: Reader) -> Held:
    what = {
        HoldScope.SYSTEM: "All sending",
        HoldScope.CHANNEL: f"The channel {each.name}",
        HoldScope.TEAM: each.name,
    }[each.scope]
    return Held(
        scope=each.scope,
        key=each.key,
        what=what,
        reason=each.reason,
        by=each.by,
        since=each.since,
        can_lift=_may(reader, each.scope, each.key),
    )


def _may(reader: Reader, scope: HoldScope, key: str) -> bool:
    if _may_all(reader):
        return True
    return scope is HoldScope.TEAM and reader.may(Act.HOLD, UUID(key))


def _may_all(reader: Reader) -> bool:
    return reader.may_anywhere(Act.HOLD_ALL) or reader.may(Act.HOLD)


def _channel(name: str, state: SendingState, standing: Sequence[Standing]) -> Channel:
    trouble = state.of_channel(name)
    is_held = any((each.scope, each.key) == (HoldScope.CHANNEL, name) for each in standing)
    if is_held:
        words, tone = "held", "warn"
    elif trouble:
        words, tone = trouble.words, "bad"
    else:
        words, tone = "working", "good"
    media = ", ".join(MEDIA[medium] for medium in sorted(find(name).capabilities.media))
    return Channel(
        name=name,
        media=media,
        words=words,
        tone=tone,
        is_held=is_held,
        reason=trouble.reason if trouble else "",
        next_try=trouble.next_try if trouble and trouble.state is not BreakerState.HALF_OPEN else None,
    )


async def _alarm(tx: Tx, alarm: OpenAlarm, reader: Reader) -> Alarm:
    teams, is_ours = reader.teams(), False
    if alarm.kind == "message":
        team = await tx.scalar(select(Message.team_id).where(Message.id == UUID(alarm.key)))
        is_ours = team is not None and (teams is None or team in teams)
    return Alarm(
        kind=alarm.kind,
        key=alarm.key,
        detail=alarm.detail,
        raised_at=alarm.raised_at,
        is_ours=is_ours,
    )


TABLE = (
    DeskRoute(method="GET", path="/desk/sending", handler=page, act=Act.HOLD),
    DeskRoute(method="GET", path="/desk/sending/hold", handler=ask, act=Act.HOLD),
    DeskRoute(method="GET", path="/desk/sending/release", handler=ask, act=Act.HOLD),
    DeskRoute(method="POST", path="/desk/sending/hold", handler=hold, act=Act.HOLD),
    DeskRoute(method="POST", path="/desk/sending/release", handler=release, act=Act.HOLD),
)
