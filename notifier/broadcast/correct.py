"""A correction: another message to exactly those who may have got the first, by the same way and in its lane.

Its audience is no rule over areas but the first message's own deliveries, read when it is counted and when it is
planned. So the first must have ended (done or stopped): until then it is not known who gets it. Opt-outs still hold;
digests do not, for whoever read what was wrong should not wait for what is right.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    String,
    Subquery,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.orm import aliased

from notifier.broadcast.draft import Draft
from notifier.broadcast.kinds import life_of
from notifier.broadcast.narrow import ENDED, GOT
from notifier.broadcast.stuck import GIVEN_UP_UNKNOWN
from notifier.db import Tx
from notifier.errors import Conflict, NotFound
from notifier.models import Delivery, DeliveryState, Kind, Lane, Message, MessageState, MessageText
from subscribers.dialects import insert_for
from subscribers.models import ContactPoint, ContactPointState, UTCDateTime
from subscribers.reach import Reach
from templates import render
from templates.languages import ENGLISH


def people_of(tx: Tx, row: Row[Any]) -> Select[*tuple[Any, ...]]:
    """The SELECT of a correction's audience: by what it corrects.

    row: of `messages`. Columns: contact_point_id, subscriber_id, medium, language, digest, and channel, the one the
    first message went by.
    """
    as_of = row.frozen_at or tx.now
    return select_reached(row.corrects_id).where(
        or_(ContactPoint.state == ContactPointState.ACTIVE, ContactPoint.stopped_at > as_of)
    )


def select_reached(message: UUID) -> Select[*tuple[Any, ...]]:
    """Contact points whose delivery of a message may have arrived, those who got it in a digest included."""
    digest = aliased(Delivery)
    in_digest = exists().where(
        digest.notice_id == Delivery.digest_notice_id,
        or_(digest.state.in_(GOT), digest.maybe_repeat.is_(True)),
    )
    return (
        select(
            ContactPoint.id.label("contact_point_id"),
            ContactPoint.subscriber_id,
            ContactPoint.medium,
            Delivery.language,
            cast(null(), String(8)).label("digest"),
            Delivery.channel,
        )
        .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
        .where(
            Delivery.message_id == message,
            or_(
                Delivery.state.in_(GOT),
                Delivery.maybe_repeat.is_(True),
                Delivery.reason == GIVEN_UP_UNKNOWN,
                in_digest,
            ),
        )
    )


async def begin(
    tx: Tx, original: UUID, *, teams: Collection[UUID] | None, form_key: str = ""
) -> tuple[Draft, UUID]:
    """The draft of a correction, the English words of the first in it, and the team it is from. Raises NotFound, Conflict."""
    row = await _original(tx, original)
    if row is None or (teams is not None and row.team_id not in teams):
        raise NotFound("There is no such message.")
    if row.frozen_at is None:
        raise Conflict("This message has not gone out: change it instead.")
    text = (
        await tx.execute(
            select(MessageText.title, MessageText.body).where(
                MessageText.message_id == original, MessageText.language == ENGLISH
            )
        )
    ).one()
    words = render.page("desk/correction_body.txt", {"title": text.title, "body": text.body}).strip()
    draft = Draft(
        kind=Kind.CORRECTION,
        texts={ENGLISH: (text.title, words)},  # other languages would repeat what is wrong
        areas=(),
        media=(),
        form_key=form_key,
        corrects_id=original,
    )
    return await bound(tx, draft, original), row.team_id


async def bound(tx: Tx, draft: Draft, original: UUID) -> Draft:
    """The draft with everything that a correction takes from what it corrects. Raises NotFound."""
    row = await _original(tx, original)
    if row is None:
        raise NotFound("There is no such message.")
    return replace(
        draft,
        kind=Kind.CORRECTION,
        areas=tuple(row.criteria["areas"]),
        topics=tuple(row.criteria["topics"]),
        media=tuple(row.criteria["media"]),
        consultation_id=row.consultation_id,
        corrects_id=original,
    )


async def reach(tx: Tx, row: Row[Any], languages: Sequence[str] = ()) -> Reach:
    """Whom a correction would reach now, posts included. row: of `messages`. languages: to be counted apart."""
    found = people_of(tx, row).subquery()
    read = [found.c.medium, found.c.language]
    counted = (await tx.execute(select(*read, func.count().label("number")).group_by(*read))).all()
    at_once: Counter[str] = Counter()
    for each in counted:
        at_once[each.medium] += each.number
    people = await tx.scalar(select(func.count(found.c.subscriber_id.distinct())))
    return Reach(
        people=people or 0,
        at_once=dict(at_once),
        waiting={},
        reading={(each.medium, each.language): each.number for each in counted if each.language in languages},
    )


async def require_ended(tx: Tx, original: UUID) -> None:
    """Raise Conflict while it is not known who gets the first message."""
    row = await _original(tx, original)
    if row is not None and row.state not in ENDED:
        raise Conflict(
            "The message it corrects is still going out. Stop the rest of it first, or wait until it has ended: "
            "until then it is not known who gets it."
        )


async def plan_page(tx: Tx, row: Row[Any], *, page: int) -> bool:
    """Plan a page of a correction's deliveries; True once all stand. row: of `messages`, held by this transaction.

    By the channel the first went by, where it is still open. Safe to run twice: a delivery that stands is passed over.
    """
    cursor = [Delivery.contact_point_id > row.plan_cursor] if row.plan_cursor else []
    upper = await tx.scalar(
        select(Delivery.contact_point_id)
        .where(Delivery.message_id == row.corrects_id, *cursor)
        .order_by(Delivery.contact_point_id)
        .offset(page - 1)
        .limit(1)
    )
    people = people_of(tx, row).where(*cursor)
    if upper is not None:
        people = people.where(Delivery.contact_point_id <= upper)
    made = await _deliveries(tx, row, people.subquery("people"))
    await tx.execute(
        insert_for(tx, Delivery)
        .from_select(list(made), select(*made.values()).where(true()))
        .on_conflict_do_nothing()
    )
    if upper is None:
        return True
    await tx.execute(
        update(Message).where(Message.id == row.id).values(state=MessageState.PLANNING, plan_cursor=upper)
    )
    return False


async def _deliveries(tx: Tx, row: Row[Any], people: Subquery) -> dict[str, ColumnElement[Any]]:
    """Column → what stands in it."""
    languages = (
        (await tx.execute(select(MessageText.language).where(MessageText.message_id == row.id)))
        .scalars()
        .all()
    )
    due = row.send_at or tx.now
    ends = due + life_of(Lane(row.lane))
    carried = tx.carriers.cases(people.c.medium, people.c.contact_point_id, of=tx.dialect)
    is_open = people.c.channel.in_(sorted(tx.carriers.by_channel()))
    return {
        "message_id": literal(row.id),
        "contact_point_id": people.c.contact_point_id,
        "channel": case((is_open, people.c.channel), *carried, else_=people.c.channel),
        "language": case((people.c.language.in_(languages), people.c.language), else_=ENGLISH),
        "lane": literal(row.lane),
        "state": literal(DeliveryState.PENDING.value),
        "due_at": literal(due, UTCDateTime()),
        "expires_at": literal(min(ends, row.expires_at) if row.expires_at else ends, UTCDateTime()),
    }


async def _original(tx: Tx, message: UUID) -> Row[Any] | None:
    return (await tx.execute(select(Message.__table__).where(Message.id == message))).first()
