"""Pictures that came with texts, as an officer finds them: what became of each, and the picture itself.

A picture is never shown in a page: it is handed over as a file, as it came, to who may see its conversation.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select

from notifier.db import Tx
from notifier.inbox.answer import Teams, in_scope
from notifier.inbox.media import BYTES, KINDS
from notifier.models import Conversation, ConversationEntry, IncomingMedia, MediaState


class PictureView(NamedTuple):
    """What became of one. octets: of a kept one. reason: why it is not there."""

    incoming: UUID
    number: int
    state: MediaState
    octets: int | None
    reason: str | None


class Picture(NamedTuple):
    """A kept picture as it came. name: what a file of it may be called."""

    content_type: str
    name: str
    data: bytes


async def pictures_of(tx: Tx, incoming: Sequence[UUID]) -> dict[UUID, tuple[PictureView, ...]]:
    """By text, its pictures in order."""
    rows = await tx.execute(
        select(
            IncomingMedia.incoming_id,
            IncomingMedia.number,
            IncomingMedia.state,
            IncomingMedia.octets,
            IncomingMedia.reason,
        )
        .where(IncomingMedia.incoming_id.in_(list(incoming)))
        .order_by(IncomingMedia.incoming_id, IncomingMedia.number)
    )
    found: dict[UUID, tuple[PictureView, ...]] = {}
    for row in rows:
        each = PictureView(row.incoming_id, row.number, MediaState(row.state), row.octets, row.reason)
        found[row.incoming_id] = (*found.get(row.incoming_id, ()), each)
    return found


async def picture(tx: Tx, conversation: UUID, incoming: UUID, number: int, teams: Teams) -> Picture | None:
    """A kept picture of a conversation of these teams, or None."""
    row = (
        await tx.execute(
            select(IncomingMedia.content_type, IncomingMedia.media_sealed)
            .join(ConversationEntry, ConversationEntry.incoming_id == IncomingMedia.incoming_id)
            .join(Conversation, Conversation.id == ConversationEntry.conversation_id)
            .where(
                Conversation.id == conversation,
                in_scope(teams),
                IncomingMedia.incoming_id == incoming,
                IncomingMedia.number == number,
                IncomingMedia.state == MediaState.KEPT,
            )
        )
    ).one_or_none()
    if row is None:
        return None
    data = tx.keys.open(BYTES, f"{incoming}/{number}", row.media_sealed)
    return Picture(row.content_type, f"picture-{number}.{KINDS[row.content_type][1]}", data)
