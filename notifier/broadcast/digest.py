"""Digests: one message a day or a week for those who chose it, whatever their wards.

A run is not remembered: at any time, whatever fell due before the last closing hour and stands in no
digest yet is gathered now. So a lost run is found again, and two runs at once make one digest.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select, update

from notifier.broadcast.notices import notice
from notifier.config import Settings
from notifier.db import Tx
from notifier.models import (
    IS_PENDING,
    Delivery,
    Message,
    MessageState,
    MessageText,
    NoticeKind,
    Team,
)
from subscribers.models import Frequency

CLOSES = time(17, 0)
WEEKLY_ON = 4  # Friday
PAGE = 200


def last_closing(frequency: Frequency, now: datetime, zone: ZoneInfo) -> datetime:
    """The latest closing hour that has passed, in UTC. Pure."""
    local = now.astimezone(zone)
    closing = datetime.combine(local.date(), CLOSES, tzinfo=zone)
    if frequency is Frequency.WEEKLY:
        closing -= timedelta(days=(closing.weekday() - WEEKLY_ON) % 7)
    if closing > local:
        closing -= timedelta(days=7 if frequency is Frequency.WEEKLY else 1)
    return closing.astimezone(UTC)


async def plan_due(tx: Tx, settings: Settings, *, until: datetime | None = None) -> int:
    """Plan the digests that are due, at most a page of each; how many. until: for a run by hand."""
    made = 0
    for frequency in (Frequency.DAILY, Frequency.WEEKLY):
        closing = until or last_closing(frequency, tx.now, settings.zone)
        made += await _plan(tx, frequency, closing, settings)
    return made


async def _plan(tx: Tx, frequency: Frequency, closing: datetime, settings: Settings) -> int:
    waiting = (
        IS_PENDING,
        Delivery.digest == frequency,
        Delivery.digest_notice_id.is_(None),
        Delivery.due_at <= closing,
    )
    people = (
        await tx.execute(select(Delivery.contact_point_id).where(*waiting).distinct().limit(PAGE))
    ).scalars()
    made = 0
    for contact_point in people.all():
        rows = (
            await tx.execute(
                select(Delivery.id, Delivery.message_id, Delivery.language)
                .join(Message, Message.id == Delivery.message_id)
                .where(
                    *waiting,
                    Delivery.contact_point_id == contact_point,
                    Message.state.not_in([MessageState.PAUSED, MessageState.CANCELLED]),
                )
                .order_by(Delivery.id)
            )
        ).all()
        if rows:
            made += await _plan_one(tx, frequency, closing, contact_point, rows, settings)
    return made


async def _plan_one(
    tx: Tx,
    frequency: Frequency,
    closing: datetime,
    contact_point: UUID,
    rows: Sequence[Row[Any]],
    settings: Settings,
) -> int:
    language = rows[0].language
    items = [await _item(tx, row.message_id, row.language, settings) for row in rows]
    made = await notice(
        tx,
        contact_point,
        kind=NoticeKind.DIGEST,
        template="digest",
        language=language,
        variables={"items": items, "frequency": frequency.value},
        dedupe_key=f"digest:{contact_point}:{frequency}:{closing.isoformat()}:{rows[0].id}",
    )
    if made is None:
        return 0
    ids: Sequence[int] = [row.id for row in rows]
    await tx.execute(update(Delivery).where(Delivery.id.in_(ids)).values(digest_notice_id=made))
    return 1


async def _item(tx: Tx, message: UUID, language: str, settings: Settings) -> dict[str, str]:
    row = (
        await tx.execute(
            select(MessageText.title, MessageText.body, Team.name.label("team"), Message.criteria)
            .join(Message, Message.id == MessageText.message_id)
            .join(Team, Team.id == Message.team_id)
            .where(MessageText.message_id == message, MessageText.language == language)
        )
    ).one()
    url = f"{settings.public_url}/areas/{row.criteria['areas'][0]}"
    return {"title": row.title, "body": row.body, "team_name": row.team, "url": url}
