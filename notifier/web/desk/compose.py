"""Writing a message: one page, kept as a draft, then its preview. What was typed survives every error."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from uuid import UUID

from aiohttp import web

from notifier.broadcast import correct, draft, overview, places
from notifier.broadcast.overview import Written
from notifier.consultation import timetable
from notifier.db import Tx
from notifier.delivery.accounts import accounts_of
from notifier.delivery.preview import require_sendable
from notifier.errors import Invalid, NotFound
from notifier.models import Message, MessageState, Role
from notifier.staff import audit
from notifier.staff.roles import Act
from notifier.web.context import see_other
from notifier.web.desk import message_form
from notifier.web.desk.access import DeskRoute, Reader, id_in, show_desk
from notifier.web.desk.home import TeamName, teams_of
from notifier.web.desk.message_form import KINDS, MEDIA, Typed
from notifier.web.forms import Fields, Filled, Form, fields, query
from notifier.web.service import database, service, settings
from subscribers.topics import topic_labels
from templates.languages import ENGLISH, NAMES

WIDE_ROLES = (Role.COORDINATOR, Role.CENTRAL)
ADD_LANGUAGE = "add_language"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a team may choose from. areas, topics, media, consultations: (value, words) or with a hint.

    corrects: the message that is corrected; then there is nothing to choose but words and times.
    """

    team: TeamName
    may_override: bool
    areas: Sequence[tuple[str, str, str]] = ()
    topics: Sequence[tuple[str, str]] = ()
    media: Sequence[tuple[str, str, str]] = ()
    consultations: Sequence[tuple[str, str]] = ()
    corrects: Written | None = None


async def new(request: web.Request, reader: Reader) -> web.Response:
    """GET: an empty form; officers of several teams choose the team first."""
    slug = query(request).one("team")
    async with database(request).transaction(read_only=True) as tx:
        teams = await teams_of(tx, reader, Act.DRAFT)
        if slug is None and len(teams) > 1:
            return show_desk(request, "choose_team.html", reader, teams=teams)
        team = _team(teams, slug)
        choices = await _choices(tx, team, reader)
    one_area = [choices.areas[0][0]] if len(choices.areas) == 1 else []
    start = {
        "form_key": [secrets.token_urlsafe(16)],
        "media": [option[0] for option in choices.media],
        "areas": one_area,
        "when": [message_form.NOW],
    }
    return _form(request, reader, choices, Filled(typed=start))


async def create(request: web.Request, reader: Reader) -> web.Response:
    """POST: keep it as a draft. The same form sent twice is one message."""
    sent = await fields(request)
    async with database(request).transaction(read_only=True) as tx:
        team = _team(await teams_of(tx, reader, Act.DRAFT), sent.one("team"))
    return await _save(request, reader, sent, team, None)


async def edit(request: web.Request, reader: Reader) -> web.Response:
    """GET: the form of a draft; a message that is one no longer shows how it goes."""
    async with database(request).transaction(read_only=True) as tx:
        written = await overview.get(tx, id_in(request), reader.teams())
        if written.state is not MessageState.DRAFT:
            return see_other(f"/desk/messages/{written.id}/progress")
        reader.require(Act.DRAFT, written.team_id)
        team = _by_id(await teams_of(tx, reader, Act.DRAFT), written.team_id)
        choices = await _choices(tx, team, reader, corrects=written.corrects_id)
    typed = message_form.filled_from(written, settings(request).zone)
    return _form(request, reader, choices, Filled(typed=typed), message=written.id)


async def change(request: web.Request, reader: Reader) -> web.Response:
    """POST: keep what was changed."""
    sent = await fields(request)
    async with database(request).transaction(read_only=True) as tx:
        written = await overview.get(tx, id_in(request), reader.teams())
        reader.require(Act.DRAFT, written.team_id)
        team = _by_id(await teams_of(tx, reader, Act.DRAFT), written.team_id)
    return await _save(request, reader, sent, team, written)


async def correct_it(request: web.Request, reader: Reader) -> web.Response:
    """POST: the draft of a correction to whoever got this message. A double click makes one."""
    sent = await fields(request)
    async with database(request).transaction() as tx:
        written = await overview.get(tx, id_in(request), reader.teams())
        reader.require(Act.DRAFT, written.team_id)
        begun, team = await correct.begin(
            tx, written.id, teams=reader.teams(Act.DRAFT), form_key=(sent.one("form_key") or "")[:64]
        )
        made = await draft.save(tx, begun, team=team, author=reader.officer)
        await audit.record(tx, reader.actor, "draft_saved", object_kind=Message.__tablename__, object_id=made)
    return see_other(f"/desk/messages/{made}")


async def _save(
    request: web.Request, reader: Reader, sent: Fields, team: TeamName, before: Written | None
) -> web.Response:
    typed = message_form.read(sent, zone=settings(request).zone)
    if sent.one("action") == ADD_LANGUAGE:
        return await _again(request, reader, sent, team, typed, {}, before=before)
    try:
        async with database(request).transaction() as tx:
            saved = await _keep(request, tx, reader, typed, team, before)
    except Invalid as error:
        return await _again(request, reader, sent, team, typed, typed.named(error.fields), before=before)
    return see_other(f"/desk/messages/{saved}/preview")


async def _keep(
    request: web.Request, tx: Tx, reader: Reader, typed: Typed, team: TeamName, before: Written | None
) -> UUID:
    """The draft's id. Raises Invalid with all that is wrong, Conflict where it is a draft no longer."""
    new = typed.draft
    if before is not None and before.corrects_id:
        new = await correct.bound(tx, new, before.corrects_id)
    draft.check(new, now=tx.now, carriers=tx.carriers)
    if typed.errors:
        raise Invalid(typed.errors)
    if new.override_reason and not reader.may(Act.OVERRIDE, team.id):
        raise Invalid(
            {"override_reason": "Ask a coordinator: your role does not let you send in quiet hours."}
        )
    if not new.corrects_id:
        await places.require(tx, team.id, new.areas, is_wide=_is_wide(reader, team.id))
        await _require_consultation(tx, typed, team)
    message = before.id if before else None
    saved = await draft.save(tx, new, team=team.id, author=reader.officer, message=message)
    await require_sendable(tx, saved, service(request).channels, settings(request))
    await audit.record(tx, reader.actor, "draft_saved", object_kind=Message.__tablename__, object_id=saved)
    return saved


async def _require_consultation(tx: Tx, typed: Typed, team: TeamName) -> None:
    wanted = typed.draft.consultation_id
    if wanted and wanted not in {each.id for each in await timetable.open_for(tx, team.id)}:
        raise Invalid({"consultation": "Choose a consultation from the list."})


async def _again(
    request: web.Request,
    reader: Reader,
    sent: Fields,
    team: TeamName,
    typed: Typed,
    errors: Mapping[str, str],
    *,
    before: Written | None,
) -> web.Response:
    """The form with what was typed and what is wrong with it."""
    async with database(request).transaction(read_only=True) as tx:
        choices = await _choices(tx, team, reader, corrects=before.corrects_id if before else None)
    message = before.id if before else None
    slots = message_form.slots_in(sent) + (0 if errors else 1)
    form: Filled[Form] = Filled(typed=sent, errors=message_form.in_order(errors))
    return _form(request, reader, choices, form, message=message, clocks=typed.clocks, slots=slots)


def _form(
    request: web.Request,
    reader: Reader,
    choices: Choices,
    form: Filled[Form],
    *,
    message: UUID | None = None,
    clocks: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    slots: int = 0,
) -> web.Response:
    return show_desk(
        request,
        "compose.html",
        reader,
        status=HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK,
        form=form,
        choices=choices,
        kinds=KINDS,
        message=message,
        clocks=clocks or {},
        slots=min(slots or message_form.slots_in(form.typed), message_form.MOST_SLOTS),
        languages=[
            ("", "Choose a language"),
            *((code, name) for code, name in NAMES.items() if code != ENGLISH),
        ],
        limits=(draft.TITLE_LIMIT, draft.BODY_LIMIT),
        has_quiet_hours=bool(settings(request).quiet_hours or settings(request).weekly_limit),
    )


async def _choices(tx: Tx, team: TeamName, reader: Reader, *, corrects: UUID | None = None) -> Choices:
    if corrects:
        first = await overview.get(tx, corrects, [team.id])
        return Choices(
            team=team,
            may_override=reader.may(Act.OVERRIDE, team.id),
            corrects=first,
        )
    areas = await places.choices(tx, team.id, is_wide=_is_wide(reader, team.id))
    has_account = bool(await accounts_of(tx, team.id))
    return Choices(
        team=team,
        may_override=reader.may(Act.OVERRIDE, team.id),
        areas=[
            (area.code, area.name, "" if area.is_own else f"{area.kind}, beyond your own") for area in areas
        ],
        topics=list((await topic_labels(tx, ENGLISH)).items()),
        media=[
            option for option in MEDIA if option[0] in tx.carriers and (option[0] != "social" or has_account)
        ],
        consultations=[(str(each.id), each.title) for each in await timetable.open_for(tx, team.id)],
    )


def _is_wide(reader: Reader, team: UUID) -> bool:
    return any(grant.role in WIDE_ROLES and grant.team in (None, team) for grant in reader.grants)


def _team(teams: Sequence[TeamName], slug: str | None) -> TeamName:
    """The one asked for, or the only one there is. Raises NotFound."""
    found = [team for team in teams if slug is None or team.slug == slug]
    if len(found) != 1:
        raise NotFound
    return found[0]


def _by_id(teams: Sequence[TeamName], team: UUID) -> TeamName:
    return next(each for each in teams if each.id == team)


TABLE = (
    DeskRoute(method="GET", path="/desk/messages/new", handler=new, act=Act.DRAFT),
    DeskRoute(method="POST", path="/desk/messages/new", handler=create, act=Act.DRAFT),
    DeskRoute(method="GET", path="/desk/messages/{id}", handler=edit),
    DeskRoute(method="POST", path="/desk/messages/{id}", handler=change, act=Act.DRAFT),
    DeskRoute(method="POST", path="/desk/messages/{id}/correct", handler=correct_it, act=Act.DRAFT),
)
