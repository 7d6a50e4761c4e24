"""Messages over the API: draft, approve, pause, resume, cancel, correct; counts that sum to the audience."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import select

from notifier.broadcast import correct, draft, endorse, overview, places, recall, report
from notifier.broadcast.draft import Draft
from notifier.broadcast.kinds import lane_of
from notifier.broadcast.overview import Written
from notifier.consultation import timetable
from notifier.db import Tx
from notifier.delivery.policy import BULK
from notifier.delivery.preview import require_sendable
from notifier.errors import Invalid, NotAllowed
from notifier.models import Message, MessageState
from notifier.staff import audit
from notifier.staff.api_tokens import Scope
from notifier.staff.roles import Act
from notifier.web.api import cursor
from notifier.web.api.message_shapes import (
    Approval,
    Correction,
    MessageAnswer,
    MessageLine,
    MessagePage,
    NewMessage,
    PageQuery,
    TextAnswer,
)
from notifier.web.api.narrowing import FIELDS, answer_of, narrow_of
from notifier.web.api.operation import Call, Nothing, Operation
from templates.languages import ENGLISH

LISTED = "messages"


async def create(tx: Tx, call: Call[Nothing, NewMessage]) -> MessageAnswer:
    """A new draft of the token's team."""
    await call.require(tx, Act.DRAFT)
    officer = call.caller.officer if call.caller else None
    wanted = call.body
    if wanted.override_reason:
        await _require_officer(tx, call, Act.OVERRIDE)
    try:
        draft.check(_draft(wanted), now=tx.now, carriers=tx.carriers)
        await places.require(tx, call.team, wanted.areas)
        await _require_consultation(tx, call)
        made = await draft.save(tx, _draft(wanted), team=call.team, author=officer)
        await require_sendable(tx, made, call.service.channels, call.service.settings)
    except Invalid as error:
        raise Invalid({_field(name): words for name, words in error.fields.items()}) from None
    await _audited(tx, call, "draft_saved", made)
    return await _answer(tx, call, made)


async def one(tx: Tx, call: Call[Nothing, Nothing]) -> MessageAnswer:
    """One message and how it goes."""
    return await _answer(tx, call, call.id())


async def page(tx: Tx, call: Call[PageQuery, Nothing]) -> MessagePage:
    """The team's messages, newest first."""
    after = cursor.read(tx.keys, LISTED, call.query.cursor)
    found = await overview.page(tx, [call.team], after=after, limit=call.query.limit + 1)
    shown, following = cursor.cut(tx.keys, LISTED, found, call.query.limit)
    items = [MessageLine.model_validate(each, from_attributes=True) for each in shown]
    return MessagePage(items=items, next=following)


async def approve(tx: Tx, call: Call[Nothing, Approval]) -> MessageAnswer:
    """Approve and send; where two officers must agree, the token's officer is one of them.

    409 where the same words went to some of the same places within the last 24 hours, unless `allow_duplicate`."""
    await call.require(tx, Act.PUBLISH)
    written = await overview.get(tx, call.id(), [call.team], hold=True)
    if written.state is MessageState.DRAFT:
        await require_sendable(tx, written.id, call.service.channels, call.service.settings)
    officer = call.caller.officer if call.caller else None
    step = await endorse.press(
        tx,
        written.id,
        team=call.team,
        officer=officer,
        allow_duplicate=call.body.allow_duplicate,
        canary_above=call.service.settings.canary_above,
    )
    await _audited(tx, call, "approved" if step is endorse.Step.APPROVED else "approved_first", written.id)
    return await _answer(tx, call, written.id)


async def begin_correction(tx: Tx, call: Call[Nothing, Correction]) -> MessageAnswer:
    """A draft to exactly those who may have got this message. Approve it once this message has ended."""
    await call.require(tx, Act.DRAFT)
    wanted = call.body
    begun, team = await correct.begin(tx, call.id(), teams=[call.team])
    title, body = begun.texts[ENGLISH]
    texts = {
        **begun.texts,
        ENGLISH: (wanted.title or title, wanted.body or body),
        **{language: (text.title, text.body) for language, text in wanted.translations.items()},
    }
    new = replace(begun, texts=texts, send_at=wanted.send_at, expires_at=wanted.expires_at)
    try:
        made = await draft.save(tx, new, team=team, author=call.caller.officer if call.caller else None)
        await require_sendable(tx, made, call.service.channels, call.service.settings)
    except Invalid as error:
        raise Invalid({_field(name): words for name, words in error.fields.items()}) from None
    await _audited(tx, call, "draft_saved", made)
    return await _answer(tx, call, made)


def _recalls(
    act: Callable[..., Awaitable[None]], action: str, words: str
) -> Callable[[Tx, Call[Nothing, Nothing]], Awaitable[MessageAnswer]]:
    async def handle(tx: Tx, call: Call[Nothing, Nothing]) -> MessageAnswer:
        await call.require(tx, Act.PUBLISH)
        written = await overview.get(tx, call.id(), [call.team])
        await act(tx, written.id, team=call.team)
        await _audited(tx, call, action, written.id)
        return await _answer(tx, call, written.id)

    handle.__doc__ = words
    return handle


async def _answer(tx: Tx, call: Call[Any, Any], message: UUID) -> MessageAnswer:
    written = await overview.get(tx, message, [call.team])
    found = await report.glance(tx, message)
    return MessageAnswer(
        id=written.id,
        team=written.team_id,
        kind=written.kind,
        state=written.state,
        texts={
            language: TextAnswer(title=title, body=body) for language, (title, body) in written.texts.items()
        },
        areas=list(written.areas),
        topics=list(written.topics),
        media=list(written.media),
        narrow=answer_of(written.narrow),
        send_at=written.send_at,
        expires_at=written.expires_at,
        reply_by=written.reply_by,
        consultation_id=written.consultation_id,
        override_reason=written.override_reason,
        corrects=written.corrects_id,
        doubles=written.doubles_id,
        paused_reason=written.paused_reason,
        created_at=written.created_at,
        approved_at=written.frozen_at,
        waits_for_second=_waits(written),
        audience=found.audience if found else None,
        counts=dict(found.counts) if found else {},
        by_medium={medium: dict(counts) for medium, counts in found.by_medium.items()} if found else {},
        possible_repeats=found.possible_repeats if found else 0,
    )


def _waits(written: Written) -> bool:
    return written.state is MessageState.DRAFT and written.approved_by is not None


def _draft(wanted: NewMessage) -> Draft:
    others = {language: (text.title, text.body) for language, text in wanted.translations.items()}
    return Draft(
        kind=wanted.kind,
        texts={ENGLISH: (wanted.title, wanted.body), **others},
        areas=tuple(wanted.areas),
        media=tuple(wanted.media),
        topics=tuple(wanted.topics),
        send_at=wanted.send_at,
        expires_at=wanted.expires_at,
        reply_by=wanted.reply_by,
        consultation_id=wanted.consultation_id,
        override_reason=wanted.override_reason,
        narrow=narrow_of(wanted.narrow),
    )


async def _require_officer(tx: Tx, call: Call[Any, Any], act: Act) -> None:
    """Some things are an officer's own to answer for: no token without one may do them."""
    if call.caller is None or call.caller.officer is None:
        raise NotAllowed("This needs a token that belongs to an officer.")
    await call.require(tx, act)


async def _require_consultation(tx: Tx, call: Call[Nothing, NewMessage]) -> None:
    wanted = call.body.consultation_id
    if wanted and wanted not in {each.id for each in await timetable.open_for(tx, call.team)}:
        raise Invalid({"consultation_id": "The team has no such consultation."})


def _field(name: str) -> str:
    """`title_cy` of a draft → `translations.cy.title` of the body, `near` → `narrow.near`."""
    if name in FIELDS:
        return f"narrow.{FIELDS[name]}"
    part, _, language = name.partition("_")
    return f"translations.{language}.{part}" if part in ("title", "body") and language else name


async def _drafts_bulk(_tx: Tx, call: Call[Nothing, NewMessage]) -> bool:
    return lane_of(call.body.kind) in BULK


async def _is_bulk(tx: Tx, call: Call[Any, Any]) -> bool:
    """Is the message in the path of a lane for bulk? One that is not there is the handler's to refuse."""
    lane = select(Message.lane).where(Message.id == call.id(), Message.team_id == call.team)
    return await tx.scalar(lane) in BULK


async def _audited(tx: Tx, call: Call[Any, Any], action: str, message: UUID) -> None:
    await audit.record(tx, call.actor, action, object_kind=Message.__tablename__, object_id=message)


_POST: Mapping[str, Any] = {
    "method": "POST",
    "answer": MessageAnswer,
    "scope": Scope.WRITE,
    "problems": (400, 404, 409, 415, 422),
}
OPERATIONS = (
    Operation(
        method="GET",
        path="/messages",
        summary="List the team's messages",
        handler=page,
        answer=MessagePage,
        query=PageQuery,
        problems=(400,),
        bulk=True,
    ),
    Operation(
        path="/messages",
        summary="Write a draft",
        handler=create,
        body=NewMessage,
        status=201,
        bulk=_drafts_bulk,
        **{**_POST, "problems": (400, 409, 413, 415, 422)},
    ),
    Operation(
        method="GET",
        path="/messages/{id}",
        summary="Read a message and how it goes",
        handler=one,
        answer=MessageAnswer,
        problems=(404,),
    ),
    Operation(
        path="/messages/{id}/approve",
        summary="Approve and send it",
        handler=approve,
        body=Approval,
        point="C0",
        bulk=_is_bulk,
        **_POST,
    ),
    Operation(
        path="/messages/{id}/correct",
        summary="Begin a correction to exactly those who got it",
        handler=begin_correction,
        body=Correction,
        status=201,
        bulk=_is_bulk,
        **{**_POST, "problems": (400, 404, 409, 413, 415, 422)},
    ),
    Operation(
        path="/messages/{id}/pause",
        summary="Pause it",
        handler=_recalls(recall.pause, "paused", "Start nothing more."),
        **_POST,
    ),
    Operation(
        path="/messages/{id}/resume",
        summary="Resume it",
        handler=_recalls(recall.resume, "resumed", "Go on where it stopped."),
        bulk=_is_bulk,
        **_POST,
    ),
    Operation(
        path="/messages/{id}/cancel",
        summary="Cancel it",
        handler=_recalls(recall.cancel, "cancelled", "What has not begun never will."),
        **_POST,
    ),
)
