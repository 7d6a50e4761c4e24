"""One conversation: what was said, by whom, why it came here; answer, note, hand over, resolve, take.

What an officer has typed stays on the page whatever goes wrong, above all when a new reply comes first.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

from aiohttp import web
from sqlalchemy import select

from channels.base import Channel, Content, Estimate, Medium
from notifier.db import Tx
from notifier.delivery import tokens
from notifier.errors import Conflict, Invalid, NotFound
from notifier.inbox import answer, queue
from notifier.inbox.view import ConversationView, conversation
from notifier.models import Conversation, Team
from notifier.staff import audit
from notifier.staff.roles import Act
from notifier.web.context import see_other
from notifier.web.desk.access import DeskRoute, Reader, id_in, show_desk
from notifier.web.forms import Fields, Filled, Form, fields
from notifier.web.service import database, service
from templates import render
from templates.languages import NAMES

ANSWER = "answer"
CHECK = "check"

Doing = Callable[[Tx, UUID, Reader, Fields], Awaitable[UUID]]


async def page(request: web.Request, reader: Reader) -> web.Response:
    """GET."""
    return await _show(request, reader, Filled())


async def send(request: web.Request, reader: Reader) -> web.Response:
    """POST: answer; or, with `action=check`, say how long the answer is as a text."""
    sent = await fields(request)
    if sent.one("action") == CHECK:
        return await _show(request, reader, Filled(typed=sent), is_checked=True)
    return await _do(request, reader, _answer, "answered")


async def _answer(tx: Tx, id_: UUID, reader: Reader, sent: Fields) -> UUID:
    version = sent.one("version") or ""
    number = int(version) if version.isascii() and version.isdecimal() and len(version) < 10 else -1
    await answer.answer(
        tx, id_, reader.officer, sent.one("text") or "", number, teams=reader.teams(Act.ANSWER)
    )
    return id_


async def _note(tx: Tx, id_: UUID, reader: Reader, sent: Fields) -> UUID:
    await queue.note(tx, id_, reader.officer, sent.one("note") or "", teams=reader.teams(Act.ANSWER))
    return id_


async def _hand_over(tx: Tx, id_: UUID, reader: Reader, sent: Fields) -> UUID:
    try:
        to_team = UUID(sent.one("team") or "")
    except ValueError:
        raise Invalid({"team": "Choose a team from the list"}) from None
    return await queue.hand_over(
        tx, id_, to_team, reader.officer, sent.one("reason") or "", teams=reader.teams(Act.ANSWER)
    )


async def _resolve(tx: Tx, id_: UUID, reader: Reader, sent: Fields) -> UUID:
    version = sent.one("version") or ""
    number = int(version) if version.isascii() and version.isdecimal() and len(version) < 10 else -1
    await queue.resolve(tx, id_, number, teams=reader.teams(Act.ANSWER))
    return id_


async def _take(tx: Tx, id_: UUID, reader: Reader, _sent: Fields) -> UUID:
    await queue.take(tx, id_, reader.officer, teams=reader.teams(Act.ANSWER))
    return id_


async def _release(tx: Tx, id_: UUID, reader: Reader, _sent: Fields) -> UUID:
    await queue.release(tx, id_, reader.officer, teams=reader.teams(Act.ANSWER))
    return id_


def _button(doing: Doing, action: str) -> Callable[[web.Request, Reader], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request, reader: Reader) -> web.StreamResponse:
        return await _do(request, reader, doing, action)

    return handle


async def _do(request: web.Request, reader: Reader, doing: Doing, action: str) -> web.Response:
    """Do it in one transaction with its line in the audit; where it cannot be done, the page says why."""
    sent, id_ = await fields(request), id_in(request)
    try:
        async with database(request).transaction() as tx:
            now_at = await doing(tx, id_, reader, sent)
            await audit.record(
                tx, reader.actor, action, object_kind=Conversation.__tablename__, object_id=id_
            )
            seen = await tx.scalar(select(Conversation.team_id).where(Conversation.id == now_at))
    except Invalid as error:
        return await _show(request, reader, Filled(typed=sent, errors=error.fields))
    except Conflict as error:
        conflict: Filled[Form] = Filled(typed=sent, errors={"": str(error)})
        return await _show(request, reader, conflict, status=HTTPStatus.CONFLICT)
    is_ours = reader.may(Act.SEE, seen)
    return see_other(f"/desk/conversations/{now_at}" if is_ours else "/desk/queue")


async def _show(
    request: web.Request,
    reader: Reader,
    form: Filled[Form],
    *,
    status: int = 0,
    is_checked: bool = False,
) -> web.Response:
    async with database(request).transaction(read_only=True) as tx:
        found = await conversation(tx, id_in(request), reader.teams())
        if found is None:
            raise NotFound
        named = {
            each.delivery_id: tokens.delivery_token(tx.keys, each.delivery_id)
            for each in found.entries
            if each.delivery_id is not None
        }
        teams = await _other_teams(tx, found.team)
    carrier = database(request).carriers.get(Medium.SMS, "")
    by = service(request).channels.get(carrier)
    length = answer_length(found, form.text("text"), by) if is_checked and by else None
    context: Mapping[str, Any] = {
        "talk": found,
        "form": form,
        "tokens": named,
        "other_teams": teams,
        "may_answer": reader.may(Act.ANSWER, found.team),
        "length": length,
        "languages": NAMES,
    }
    default = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    return show_desk(request, "conversation.html", reader, status=status or default, **context)


def answer_length(found: ConversationView, text: str, by: Channel) -> Estimate | None:
    """What an answer costs as a text, with the words around it; None where it goes by another medium. Pure."""
    if found.medium is not Medium.SMS or not text.strip():
        return None
    variables = {"body": text, "team_name": found.team_name, "reference": found.reference}
    content = render.notice(ANSWER, Medium.SMS, found.language, variables)
    return by.estimate(Content(medium=Medium.SMS, language=found.language, text=content.text))


async def _other_teams(tx: Tx, team: UUID) -> list[tuple[str, str]]:
    rows = await tx.execute(select(Team.id, Team.name).where(Team.id != team).order_by(Team.name))
    return [("", "Choose a team"), *((str(row.id), row.name) for row in rows)]


_PATH = "/desk/conversations/{id}"
TABLE = (
    DeskRoute(method="GET", path=_PATH, handler=page),
    DeskRoute(method="POST", path=f"{_PATH}/answer", handler=send, act=Act.ANSWER),
    DeskRoute(method="POST", path=f"{_PATH}/note", handler=_button(_note, "noted"), act=Act.ANSWER),
    DeskRoute(
        method="POST", path=f"{_PATH}/hand-over", handler=_button(_hand_over, "handed_over"), act=Act.ANSWER
    ),
    DeskRoute(method="POST", path=f"{_PATH}/resolve", handler=_button(_resolve, "resolved"), act=Act.ANSWER),
    DeskRoute(method="POST", path=f"{_PATH}/take", handler=_button(_take, "taken"), act=Act.ANSWER),
    DeskRoute(method="POST", path=f"{_PATH}/release", handler=_button(_release, "released"), act=Act.ANSWER),
)
