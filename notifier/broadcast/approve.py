"""Approval: freezes words and audience, and asks for the plan. The reach shown before it is what is planned."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update

from notifier.broadcast.draft import criteria_of
from notifier.db import Tx
from notifier.errors import Conflict, NotFound
from notifier.models import Kind, Message, MessageArea, MessageState, MessageText, TeamContactPoint, TeamUse
from subscribers.audience import Reach, count
from subscribers.dialects import insert_for
from subscribers.models import ContactPoint

SAME_WORDS_WITHIN = timedelta(hours=24)


async def reach(tx: Tx, message: UUID) -> Reach:
    """Who the message would reach now, posts of the team's accounts included. Raises NotFound."""
    row = await _read(tx, message)
    found = await count(tx, await criteria_of(tx, Kind(row.kind), row.criteria), row.frozen_at or tx.now)
    posts = len(await team_accounts(tx, row.team_id)) if "social" in row.criteria["media"] else 0
    if not posts:
        return found
    return Reach(people=found.people, at_once={**found.at_once, "social": posts}, waiting=found.waiting)


async def team_accounts(tx: Tx, team: UUID) -> Sequence[UUID]:
    """The contact points a team's posts appear on."""
    rows = await tx.execute(
        select(TeamContactPoint.contact_point_id)
        .join(ContactPoint, ContactPoint.id == TeamContactPoint.contact_point_id)
        .where(
            TeamContactPoint.team_id == team,
            TeamContactPoint.use == TeamUse.POST,
            ContactPoint.medium == "social",
        )
    )
    return rows.scalars().all()


async def approve(tx: Tx, message: UUID, *, team: UUID, officer: UUID | None) -> None:
    """Freeze words and audience at this moment and queue the plan. Approving twice changes nothing.

    Whether the officer may approve is `staff.roles`' question, asked at the edge before.
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
    if (await reach(tx, message)).deliveries == 0:
        raise Conflict("This would reach nobody. Choose other areas, topics or channels.")
    frozen = await tx.execute(
        update(Message)
        .where(Message.id == message, Message.state == MessageState.DRAFT)
        .values(
            state=MessageState.APPROVED,
            frozen_at=tx.now,
            approved_by=row.approved_by or officer,
            second_approver=officer if row.approved_by and row.approved_by != officer else None,
        )
    )
    if frozen.rowcount:
        criteria = await criteria_of(tx, Kind(row.kind), row.criteria)
        rows = [{"message_id": message, "area_code": code} for code in criteria.areas]
        await tx.execute(insert_for(tx, MessageArea).on_conflict_do_nothing(), rows)
        tx.on_commit("plan", str(message))


async def same_words(tx: Tx, message: UUID) -> UUID | None:
    """Another message of the last 24 hours with the same words for an overlapping area: a likely double."""
    mine = select(MessageText.content_hash).where(
        MessageText.message_id == message, MessageText.language == "en"
    )
    areas = select(MessageArea.area_code).where(MessageArea.message_id == message)
    found: UUID | None = await tx.scalar(
        select(Message.id)
        .join(MessageText, MessageText.message_id == Message.id)
        .join(MessageArea, MessageArea.message_id == Message.id)
        .where(
            Message.id != message,
            Message.frozen_at > tx.now - SAME_WORDS_WITHIN,
            Message.state != MessageState.CANCELLED,
            MessageText.content_hash.in_(mine),
            MessageArea.area_code.in_(areas),
        )
        .limit(1)
    )
    return found


async def _read(tx: Tx, message: UUID) -> Row[Any]:
    row = (await tx.execute(select(Message).where(Message.id == message))).first()
    if row is None:
        raise NotFound("There is no such message.")
    return row
