"""Turns an approved message into deliveries: set-based, in pages, safe to run twice.

The rows are the frozen audience: planning follows approval at once, also for a scheduled message,
whose time stands in `due_at`. UNIQUE (message, contact point) is the proof of "once".
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, case, func, literal, select, update
from sqlalchemy.exc import IntegrityError

from notifier.broadcast import ahead, correct
from notifier.broadcast.kinds import digest_life, life_of
from notifier.broadcast.narrow import criteria_of
from notifier.db import Tx
from notifier.delivery.accounts import accounts_of
from notifier.models import Delivery, DeliveryState, Kind, Lane, Message, MessageState, MessageText
from subscribers.audience import Criteria, Span, page_end, select_audience
from subscribers.dialects import analyze, insert_for, write_widely
from subscribers.models import UTCDateTime

PAGE = 5000  # deliveries
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
    """Plan the next people, a page of deliveries at most; True when there is nothing more to do now.

    A page that a crash took back, its cursor with it, is planned again, and adds nothing twice: only the last one's
    commit waits for the disk. Where too much waits to be sent the message stays `planning`, and is found again by
    whoever looks for what stands undone.
    """
    row = (await tx.execute(select(Message).where(Message.id == message).with_for_update())).first()
    if row is None or row.state not in (MessageState.APPROVED, MessageState.PLANNING):
        return True
    if row.corrects_id:
        done = await correct.plan_page(tx, row, page=page)
        if done:
            await _finish(tx, row)
        return done
    if await ahead.is_full(tx, row):
        return True
    criteria = await criteria_of(tx, Kind(row.kind), row.criteria)
    media = [medium for medium in criteria.media if medium in tx.carriers]
    people = max(1, page // max(1, len(media)))  # nobody has two live addresses on one medium
    upto = await page_end(tx, criteria, row.frozen_at, after=row.planned_to, people=people)
    await write_widely(tx, in_step=criteria.is_nearly_everybody, may_be_lost=upto is not None)
    await _add(tx, _audience(tx, row, criteria, Span(after=row.planned_to, upto=upto)))
    if upto is not None:
        planning = {"state": MessageState.PLANNING, "planned_to": upto}
        await tx.execute(update(Message).where(Message.id == message).values(planning))
        return False
    await _plan_posts(tx, row)
    await _finish(tx, row)
    return True


async def _add(tx: Tx, audience: Select[*tuple[Any, ...]]) -> None:
    """Insert a page; where the unique key says that some of it stands already, only the rest.

    Rows and cursor are committed together, so that none stands but where somebody put the cursor back. To ask for
    each row before it is written (ON CONFLICT) costs PostgreSQL a sixth of the insert: so we ask only then.
    """
    added = insert_for(tx, Delivery).from_select(COLUMNS, audience)
    try:
        async with tx.connection.begin_nested():
            await tx.execute(added)
    except IntegrityError:
        await tx.execute(added.on_conflict_do_nothing())


def _audience(tx: Tx, row: Row[Any], criteria: Criteria, span: Span) -> Select[*tuple[Any, ...]]:
    """The columns of the deliveries of these people."""
    chosen = select_audience(criteria, row.frozen_at, span).subquery("people")
    languages = select(MessageText.language).where(MessageText.message_id == row.id)
    due = row.send_at or tx.now
    lane = Lane(row.lane)
    lives = [due + life_of(lane), due + digest_life()]
    soon, later = (min(end, row.expires_at) if row.expires_at else end for end in lives)
    expires = case(
        (chosen.c.digest.is_(None), literal(soon, UTCDateTime())),
        else_=literal(later, UTCDateTime()),
    )
    carried = tx.carriers.cases(chosen.c.medium, chosen.c.contact_point_id, of=tx.dialect)
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
    """A post is a delivery like any other, to each of the team's own accounts, by the channel that posts there."""
    if "social" not in row.criteria["media"]:
        return
    due = row.send_at or tx.now
    end = due + life_of(Lane(row.lane))
    posts = [
        {
            "message_id": row.id,
            "contact_point_id": account.contact_point,
            "channel": account.channel,
            "language": "en",
            "lane": row.lane,
            "state": DeliveryState.PENDING,
            "due_at": due,
            "expires_at": min(end, row.expires_at) if row.expires_at else end,
        }
        for account in await accounts_of(tx, row.team_id)
    ]
    if posts:
        await tx.execute(insert_for(tx, Delivery).on_conflict_do_nothing(), posts)


async def _finish(tx: Tx, row: Row[Any]) -> None:
    """Every page stands. Workers that polled an empty table plan their statements anew after ANALYZE."""
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
    await analyze(tx, Delivery.__tablename__, written=counted)
    tx.on_commit("wake", lane=Lane(row.lane).name.lower())
