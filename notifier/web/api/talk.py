"""Deliveries, conversations and consultations over the API: what became of things, and answers."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from notifier.consultation import timetable
from notifier.consultation.timetable import Listed
from notifier.db import Tx
from notifier.delivery import tokens
from notifier.delivery.explain import timeline
from notifier.errors import NotAllowed, NotFound
from notifier.inbox import answer, queue
from notifier.inbox.queue import Show
from notifier.inbox.view import conversation
from notifier.models import (
    ConsultationState,
    Conversation,
    ConversationState,
    DeliveryState,
    Direction,
)
from notifier.staff import audit
from notifier.staff.api_tokens import Scope
from notifier.staff.roles import Act
from notifier.web.api import cursor
from notifier.web.api.message_shapes import PageQuery
from notifier.web.api.operation import Answer, Call, Nothing, Operation
from notifier.web.api.strict import Body, NotAsked

LISTED = "consultations"
LONGEST_NUMBER = 18


class StepAnswer(Answer):
    at: datetime
    what: str


class DeliveryAnswer(Answer):
    """id: the signed token, by which it is known outside. rule: what decided; why: in a sentence.
    steps: what happened, in order."""

    id: str
    message: UUID | None
    channel: str
    state: DeliveryState
    reason: str
    tries: int
    maybe_repeat: bool
    due_at: datetime
    rule: str
    why: str
    steps: list[StepAnswer]


class ConversationLine(Answer):
    id: UUID
    reference: str
    medium: str
    state: ConversationState
    urgent: bool
    subject: str | None
    snippet: str
    opened_at: datetime
    last_entry_at: datetime


class ConversationPage(Answer):
    items: list[ConversationLine]
    next: str | None


class EntryAnswer(Answer):
    id: UUID
    direction: Direction
    medium: str
    text: str
    verified: bool
    at: datetime


class RoutingAnswer(Answer):
    resolver: str
    reason: str
    confidence: float
    corrected_to: str | None


class ConversationAnswer(Answer):
    """version: send it back with an answer, so that none is written over a reply nobody has read.
    why_not: why it cannot be answered, or nothing."""

    id: UUID
    reference: str
    medium: str
    state: ConversationState
    urgent: bool
    version: int
    subject: str | None
    message: UUID | None
    opened_at: datetime
    last_entry_at: datetime
    entries: list[EntryAnswer]
    routing: list[RoutingAnswer]
    why_not: str


class NewAnswer(Body):
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    version: Annotated[int, Field(ge=1, lt=2**31)]


class QueueQuery(PageQuery):
    show: Show = Show.TO_DO


class ConsultationLine(Answer):
    id: UUID
    title: str
    purpose: str
    area: str
    state: ConsultationState
    opens: datetime
    closes: datetime
    decide_by: datetime | None
    feedback_by: datetime
    is_open: bool
    is_overdue: bool


class ConsultationPage(Answer):
    items: list[ConsultationLine]
    next: str | None


async def delivery(tx: Tx, call: Call[Nothing, Nothing]) -> DeliveryAnswer:
    """The timeline of one delivery, by its token or its number."""
    text = call.path["id"]
    is_number = text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER
    number = int(text) if is_number else tokens.read_delivery_token(tx.keys, text)
    zone = call.service.settings.zone
    found = await timeline(tx, number, zone=zone, teams=[call.team]) if number is not None else None
    if found is None:
        raise NotFound
    return DeliveryAnswer(
        id=tokens.delivery_token(tx.keys, found.id),
        message=found.message_id,
        channel=found.channel,
        state=found.state,
        reason=found.reason,
        tries=found.tries,
        maybe_repeat=found.maybe_repeat,
        due_at=found.due_at,
        rule=found.why.rule,
        why=found.why.text,
        steps=[StepAnswer(at=step.at, what=step.what) for step in found.steps],
    )


async def conversations(tx: Tx, call: Call[QueueQuery, Nothing]) -> ConversationPage:
    """The team's queue, in the order of the desk."""
    await call.require(tx, Act.SEE)
    asked = call.query
    offset = _offset(tx, asked)
    found = await queue.team_queue(tx, [call.team], asked.show, limit=asked.limit + 1, offset=offset)
    shown = found[: asked.limit]
    more = len(found) > asked.limit
    following = cursor.write(tx.keys, f"queue {asked.show}", UUID(int=offset + asked.limit)) if more else None
    items = [ConversationLine.model_validate(row, from_attributes=True) for row in shown]
    return ConversationPage(items=items, next=following)


async def one_conversation(tx: Tx, call: Call[Nothing, Nothing]) -> ConversationAnswer:
    """One conversation with its entries, and why it came to this team."""
    await call.require(tx, Act.SEE)
    return await _conversation(tx, call.id(), call.team)


async def post_answer(tx: Tx, call: Call[Nothing, NewAnswer]) -> ConversationAnswer:
    """Answer, on the medium they wrote by, as the token's officer."""
    officer = call.caller.officer if call.caller else None
    if officer is None:
        raise NotAllowed("This token belongs to no officer, and only officers answer residents.")
    await call.require(tx, Act.ANSWER)
    id_ = call.id()
    await answer.answer(tx, id_, officer, call.body.text, call.body.version, teams=[call.team])
    await audit.record(tx, call.actor, "answered", object_kind=Conversation.__tablename__, object_id=id_)
    return await _conversation(tx, id_, call.team)


async def consultations(tx: Tx, call: Call[PageQuery, Nothing]) -> ConsultationPage:
    """The team's consultations, newest first."""
    after = cursor.read(tx.keys, LISTED, call.query.cursor)
    found = await timetable.page(tx, [call.team], after=after, limit=call.query.limit + 1)
    shown, following = cursor.cut(tx.keys, LISTED, found, call.query.limit)
    return ConsultationPage(items=[_consultation(each) for each in shown], next=following)


async def _conversation(tx: Tx, id_: UUID, team: UUID) -> ConversationAnswer:
    found = await conversation(tx, id_, [team])
    if found is None:
        raise NotFound
    return ConversationAnswer.model_validate(found, from_attributes=True)


def _consultation(each: Listed) -> ConsultationLine:
    return ConsultationLine(
        id=each.id,
        title=each.title,
        purpose=each.purpose,
        area=each.area_code,
        state=each.state,
        opens=each.opens,
        closes=each.closes,
        decide_by=each.decide_by,
        feedback_by=each.feedback_by,
        is_open=each.is_open,
        is_overdue=each.is_overdue,
    )


def _offset(tx: Tx, asked: QueueQuery) -> int:
    """A queue moves while it is read, so its cursor counts lines. Raises NotAsked (400)."""
    last = cursor.read(tx.keys, f"queue {asked.show}", asked.cursor)
    if last is not None and last.int > 1_000_000:
        raise NotAsked(400, "This cursor is not of this list.")
    return last.int if last is not None else 0


OPERATIONS = (
    Operation(
        method="GET",
        path="/deliveries/{id}",
        summary="Read what became of a delivery",
        handler=delivery,
        answer=DeliveryAnswer,
        problems=(404,),
    ),
    Operation(
        method="GET",
        path="/conversations",
        summary="List the team's conversations",
        handler=conversations,
        answer=ConversationPage,
        query=QueueQuery,
        problems=(400,),
        bulk=True,
    ),
    Operation(
        method="GET",
        path="/conversations/{id}",
        summary="Read a conversation",
        handler=one_conversation,
        answer=ConversationAnswer,
        problems=(404,),
    ),
    Operation(
        method="POST",
        path="/conversations/{id}/answer",
        summary="Answer a resident",
        handler=post_answer,
        answer=ConversationAnswer,
        body=NewAnswer,
        scope=Scope.WRITE,
        status=201,
        problems=(400, 404, 409, 413, 415, 422),
    ),
    Operation(
        method="GET",
        path="/consultations",
        summary="List the team's consultations",
        handler=consultations,
        answer=ConsultationPage,
        query=PageQuery,
        problems=(400,),
        bulk=True,
    ),
)
