"""The guard against the same post twice: the same words for an overlapping area within a day.

Asked by desk, API and command before approval; whoever goes on all the same is on record (`messages.doubles_id`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from notifier.broadcast.narrow import areas_of
from notifier.db import Tx
from notifier.errors import Conflict
from notifier.models import Message, MessageArea, MessageState, MessageText, Team

SAME_WORDS_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class Double:
    """An earlier message with the same words. at: when it goes or went out. audience: None until it is planned."""

    id: UUID
    title: str
    at: datetime
    audience: int | None


class LikelyDouble(Conflict):
    """The same words went to some of the same places within the last 24 hours."""

    def __init__(self, double: Double) -> None:
        self.double = double
        whom = f" to {double.audience:,}" if double.audience is not None else ""
        super().__init__(
            f"The same words were approved on {double.at:%d %B %Y at %H:%M} UTC{whom}, for some of the same places. "
            "Say that it is meant if they should go out again."
        )


async def same_words(tx: Tx, message: UUID) -> Double | None:
    """The latest other message of the last 24 hours with the same words for an overlapping area."""
    own = (
        await tx.execute(select(Message.kind, Message.criteria).where(Message.id == message))
    ).one_or_none()
    if own is None:
        return None
    areas = await areas_of(tx, own.criteria)
    mine = select(MessageText.content_hash).where(MessageText.message_id == message)
    row = (
        await tx.execute(
            select(
                Message.id,
                MessageText.title,
                func.coalesce(Message.published_at, Message.send_at, Message.frozen_at).label("at"),
                Message.audience_count,
            )
            .join(MessageText, MessageText.message_id == Message.id)
            .where(
                Message.id != message,
                Message.frozen_at > tx.now - SAME_WORDS_WITHIN,
                Message.state != MessageState.CANCELLED,
                MessageText.content_hash.in_(mine),
                select(MessageArea.area_code)
                .where(MessageArea.message_id == Message.id, MessageArea.area_code.in_(areas))
                .exists(),
            )
            .order_by(Message.frozen_at.desc())
            .limit(1)
        )
    ).first()
    return Double(id=row.id, title=row.title, at=row.at, audience=row.audience_count) if row else None


async def require_single(tx: Tx, message: UUID, *, team: UUID, allow: bool) -> UUID | None:
    """The message that this one doubles knowingly, if any. Raises LikelyDouble where nobody said it is meant.

    Holds the team's row until the end of the transaction: of two alike approved at once, the second sees the first.
    """
    await tx.execute(select(Team.id).where(Team.id == team).with_for_update(key_share=True))
    double = await same_words(tx, message)
    if double and not allow:
        raise LikelyDouble(double)
    return double.id if double else None
