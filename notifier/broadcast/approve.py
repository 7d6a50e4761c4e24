"""Approval: freezes words and audience, and asks for the plan. The reach shown before it is what is planned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update

from channels.base import Medium
from notifier.broadcast import correct
from notifier.broadcast.draft import NO_REPLIES
from notifier.broadcast.narrow import counted, criteria_of
from notifier.broadcast.narrow import frozen as frozen_criteria
from notifier.db import Tx
from notifier.delivery.accounts import accounts_of
from notifier.delivery.canary import is_wanted
from notifier.delivery.numbers import asks_for_replies, can_ask
from notifier.errors import Conflict, NotFound
from notifier.models import (
    Canary,
    Kind,
    Lane,
    Message,
    MessageArea,
    MessageState,
    MessageText,
)
from subscribers.audience import Criteria
from subscribers.dialects import insert_for
from subscribers.reach import Reach
from templates.languages import ENGLISH


@dataclass(frozen=True, kw_only=True)
class Meant:
    """Whom a message would reach at the moment of a transaction: found once, for all that asks in it.

    criteria: with their sample drawn. A correction's say where it appears; it goes to whoever got the first.
    """

    criteria: Criteria
    reach: Reach


async def reach(tx: Tx, message: UUID) -> Reach:
    """Who the message would reach now, posts of the team's accounts included. Raises NotFound."""
    return (await meant(tx, message)).reach


async def meant(tx: Tx, message: UUID, *, by_language: bool = False) -> Meant:
    """The same, and the criteria. by_language: count apart who reads words of their own. Raises NotFound."""
    row = await _read(tx, message)
    languages = await _others(tx, message) if by_language else ()
    kind, as_of = Kind(row.kind), row.frozen_at or tx.now
    if row.corrects_id:
        criteria = await criteria_of(tx, kind, row.criteria)
        return Meant(criteria=criteria, reach=await correct.reach(tx, row, languages))
    criteria, found = await counted(tx, kind, row.criteria, as_of, languages=languages)
    posts = len(await accounts_of(tx, row.team_id)) if Medium.SOCIAL in row.criteria["media"] else 0
    if posts:
        found = replace(found, at_once={**found.at_once, "social": posts})
    return Meant(criteria=criteria, reach=found)


async def _others(tx: Tx, message: UUID) -> Sequence[str]:
    """The languages its words are in beside English, which everybody else reads."""
    others = select(MessageText.language).where(
        MessageText.message_id == message, MessageText.language != ENGLISH
    )
    return (await tx.execute(others.order_by(MessageText.language))).scalars().all()


async def approve(
    tx: Tx,
    message: UUID,
    *,
    team: UUID,
    officer: UUID | None,
    doubles: UUID | None = None,
    canary_above: int = 0,
    known: Meant | None = None,
) -> None:
    """Freeze words and audience at this moment and queue the plan. Approving twice changes nothing.

    Whether the officer may approve is `staff.roles`' question, asked at the edge before. doubles: a message with
    the same words, where going on is meant. canary_above: a larger bulk message first goes to a few; 0: never.
    known: what `meant` found in this transaction, where it was asked already.
    Raises NotFound, and Conflict where the message has gone another way or would reach nobody.
    """
    row = await _read(tx, message)
    if row.team_id != team:
        raise NotFound("There is no such message.")
    if row.state != MessageState.DRAFT:
        if row.state == MessageState.CANCELLED:
            raise Conflict("This message was cancelled.")
        return
    if row.send_at and row.send_at <= tx.now:
        raise Conflict("The time it was to go out has passed. Choose another.")
    if row.expires_at and row.expires_at <= tx.now:
        raise Conflict("The time after which it is of no use has passed. Choose another.")
    await _require_answerable(tx, row)
    if row.corrects_id:
        await correct.require_ended(tx, row.corrects_id)
    known = known or await meant(tx, message)
    audience = known.reach.deliveries
    if audience == 0 and row.corrects_id:
        raise Conflict("Nobody got the message it corrects, so there is nobody to send it to.")
    if audience == 0:
        raise Conflict("This would reach nobody. Choose other areas, topics or channels.")
    frozen = await tx.execute(
        update(Message)
        .where(Message.id == message, Message.state == MessageState.DRAFT)
        .values(
            state=MessageState.APPROVED,
            frozen_at=tx.now,
            approved_by=row.approved_by or officer,
            second_approver=officer if row.approved_by and row.approved_by != officer else None,
            doubles_id=doubles,
            canary=Canary.WAITING if is_wanted(Lane(row.lane), audience, above=canary_above) else None,
        )
    )
    if frozen.rowcount:
        rows = [{"message_id": message, "area_code": code} for code in known.criteria.areas]
        await tx.execute(insert_for(tx, MessageArea).on_conflict_do_nothing(), rows)
        kept = frozen_criteria(row.criteria, known.criteria)
        await tx.execute(update(Message).where(Message.id == message).values(criteria=kept))
        tx.on_commit("plan", str(message), lane=Lane(row.lane).name.lower())


async def _require_answerable(tx: Tx, row: Row[Any]) -> None:
    """The numbers may have changed since it was drafted."""
    asks = Medium.SMS in row.criteria["media"] and asks_for_replies(row.kind, row.reply_by)
    if asks and not await can_ask(tx, row.team_id):
        raise Conflict(NO_REPLIES)


async def _read(tx: Tx, message: UUID) -> Row[Any]:
    row = (await tx.execute(select(Message).where(Message.id == message))).first()
    if row is None:
        raise NotFound("There is no such message.")
    return row
