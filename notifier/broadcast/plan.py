"""Turns an approved message into deliveries: set-based, in pages, safe to run twice.

The rows are the frozen audience: planning follows approval at once, also for a scheduled message,
whose time stands in `due_at`. UNIQUE (message, contact point) is the proof of "once".
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, case, func, literal, select, update

from notifier.broadcast.approve import team_accounts
from notifier.broadcast.draft import criteria_of
from notifier.broadcast.kinds import digest_life, life_of
from notifier.db import Tx
from notifier.models import Delivery, DeliveryState, Kind, Lane, Message, MessageState, MessageText
from subscribers.audience import select_audience
from subscribers.dialects import insert_for
from subscribers.models import ContactPoint, UTCDateTime

PAGE = 5000
COLUMNS = (
    "message_id",
    "contact_point_id",
    "channel",
    "language",
    "lane",
    "state",
    "due_at",
    "expires_at",
    "digest",
)


async def plan_page(tx: Tx, message: UUID, *, page: int = PAGE) -> bool:
    """Plan one page of contact points, in the order of their ids; True once the message is planned.

    A page that a crash took back is planned again, and adds nothing twice.
    """
    row = (await tx.execute(select(Message).where(Message.id == message).with_for_update())).first()
    if row is None or row.state not in (MessageState.APPROVED, MessageState.PLANNING):
        return True
    upper = await _page_end(tx, row.plan_cursor, page)
    audience = await _audience(tx, row, upper)
    await tx.execute(insert_for(tx, Delivery).from_select(COLUMNS, audience).on_conflict_do_nothing())
    if upper is not None:
        await tx.execute(
            update(Message)
            .where(Message.id == message)
            .values(state=MessageState.PLANNING, plan_cursor=upper)
        )
        return False
    await _plan_posts(tx, row)
    await _finish(tx, row)
    return True


async def _page_end(tx: Tx, cursor: UUID | None, page: int) -> UUID | None:
    """The last contact point of this page; None when the rest fits into it."""
    after = [ContactPoint.id > cursor] if cursor else []
    found: UUID | None = await tx.scalar(
        select(ContactPoint.id).where(*after).order_by(ContactPoint.id).offset(page - 1).limit(1)
    )
    return found


async def _audience(tx: Tx, row: Row[Any], upper: UUID | None) -> Select[Any]:
    criteria = await criteria_of(tx, Kind(row.kind), row.criteria)
    people = select_audience(criteria, row.frozen_at)
    if row.plan_cursor:
        people = people.where(ContactPoint.id > row.plan_cursor)
    if upper:
        people = people.where(ContactPoint.id <= upper)
    chosen = people.subquery("people")
    languages = (
        (await tx.execute(select(MessageText.language).where(MessageText.message_id == row.id)))
        .scalars()
        .all()
    )
    due = row.send_at or tx.now
    lane = Lane(row.lane)
    expires = case(
        (chosen.c.digest.is_(None), literal(due + life_of(lane), UTCDateTime())),
        else_=literal(due + digest_life(), UTCDateTime()),
    )
    carried = [(chosen.c.medium == medium, name) for medium, name in tx.carriers.items()]
    return select(
        literal(row.id),
        chosen.c.contact_point_id,
        case(*carried),
        case((chosen.c.language.in_(languages), chosen.c.language), else_="en"),
        literal(int(lane)),
        literal(DeliveryState.PENDING.value),
        literal(due, UTCDateTime()),
        expires,
        chosen.c.digest,
    ).where(chosen.c.medium.in_(list(tx.carriers)))


async def _plan_posts(tx: Tx, row: Row[Any]) -> None:
    """A post is a delivery like any other, to the team's own account."""
    if "social" not in row.criteria["media"] or "social" not in tx.carriers:
        return
    due = row.send_at or tx.now
    posts = [
        {
            "message_id": row.id,
            "contact_point_id": account,
            "channel": tx.carriers["social"],
            "language": "en",
            "lane": row.lane,
            "state": DeliveryState.PENDING,
            "due_at": due,
            "expires_at": due + life_of(Lane(row.lane)),
        }
        for account in await team_accounts(tx, row.team_id)
    ]
    if posts:
        await tx.execute(insert_for(tx, Delivery).on_conflict_do_nothing(), posts)


async def _finish(tx: Tx, row: Row[Any]) -> None:
    counted = await tx.scalar(select(func.count()).where(Delivery.message_id == row.id))
    later = row.send_at is not None and row.send_at > tx.now
    await tx.execute(
        update(Message)
        .where(Message.id == row.id)
        .values(
            state=MessageState.SCHEDULED if later else MessageState.SENDING,
            audience_count=counted,
            published_at=row.send_at or tx.now,
        )
    )
    tx.on_commit("wake")
