"""What is it an answer to? Finds the delivery of ours that a message from outside replies to.

Called by `handle`. A post of ours is named by its network. Elsewhere a signed reply address comes first, then the Message-ID we signed in In-Reply-To or
References. A token is not identity: from another address the message is attached, but unverified.
A sender's open conversation is no proof of anything and is left to the resolvers.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, select

from channels.email_smtp import delivery_of
from channels.mailread import Mail
from notifier.db import Tx
from notifier.delivery.tokens import read_delivery_token, read_reply_address
from notifier.models import (
    Conversation,
    ConversationEntry,
    Delivery,
    Message,
    MessageText,
    Notice,
    NoticeKind,
    TeamContactPoint,
    TeamUse,
)
from subscribers.signing import Keys

_REPLY_MARKS = re.compile(r"^(?:\s*(?:re|aw|sv|fw|fwd|atb|ymateb)\s*(?:\[\d+\])?\s*:)+", re.IGNORECASE)


class How(StrEnum):
    """By what the delivery was found."""

    TOKEN = "token"  # noqa: S105 - the way, not a secret
    HEADERS = "headers"
    POST = "post"  # it stands under a post of ours


@dataclass(frozen=True, kw_only=True)
class Thread:
    """The delivery replied to. verified: does the message come from the address that delivery went to?

    team: who has it now; none where we had asked which team. conversation: of the answer replied to, if it was one.
    """

    how: How
    delivery: int
    contact_point: UUID
    team: UUID | None
    message: UUID | None
    title: str | None
    conversation: UUID | None
    verified: bool


async def find(
    tx: Tx, *, sender: UUID, recipients: Iterable[str], mail: Mail | None = None, is_doubtful: bool = False
) -> Thread | None:
    """The thread a message belongs to by what was signed, or None.

    recipients: every address it was sent to, envelope and headers. is_doubtful: its sender cannot be trusted.
    References alone are believed only under the same subject: mail programs reuse them for new mail.
    """
    named = token_in(tx.keys, recipients)
    if named is not None:
        return await _thread(tx, named, How.TOKEN, sender, is_doubtful=is_doubtful)
    if mail is None:
        return None
    named = message_id_in(tx.keys, [mail.in_reply_to])
    if named is not None:
        return await _thread(tx, named, How.HEADERS, sender, is_doubtful=is_doubtful)
    named = message_id_in(tx.keys, reversed(mail.references))
    if named is None:
        return None
    found = await _thread(tx, named, How.HEADERS, sender, is_doubtful=is_doubtful)
    return found if found and found.title and _same_subject(mail.subject, found.title) else None


async def of_post(tx: Tx, *, sender: UUID, channel: str, post: str) -> Thread | None:
    """The thread of what somebody wrote under a post of ours, named by its provider's id: theirs, with that team.

    It went to nobody's address, so there is none to compare: the network says who wrote.
    """
    accounts = select(TeamContactPoint.contact_point_id).where(TeamContactPoint.use == TeamUse.POST)
    posted = select(Delivery.id).where(
        Delivery.contact_point_id.in_(accounts), Delivery.channel == channel, Delivery.provider_id == post
    )
    delivery = await tx.scalar(posted.order_by(Delivery.id.desc()).limit(1)) if post else None
    found = await _thread(tx, delivery, How.POST, sender, is_doubtful=False) if delivery else None
    return replace(found, contact_point=sender, conversation=None, verified=True) if found else None


def token_in(keys: Keys, recipients: Iterable[str]) -> int | None:
    """The delivery named by the first reply address of ours among the recipients. Pure."""
    named = (read_reply_address(keys, each) for each in recipients)
    return next((each for each in named if each is not None), None)


def message_id_in(keys: Keys, ids: Iterable[str]) -> int | None:
    """The delivery named by the first Message-ID of ours. Pure."""
    for each in ids:
        token = delivery_of(each)
        named = read_delivery_token(keys, token) if token else None
        if named is not None:
            return named
    return None


def is_marked_reply(subject: str) -> bool:
    """Does a mail program's mark of a reply stand before the subject? Pure."""
    return bool(_REPLY_MARKS.match(subject[:1_000]))


async def _thread(tx: Tx, delivery: int, how: How, sender: UUID, *, is_doubtful: bool) -> Thread | None:
    title = select(func.min(MessageText.title)).where(
        MessageText.message_id == Delivery.message_id, MessageText.language == Delivery.language
    )
    row = (
        await tx.execute(
            select(
                Delivery.contact_point_id,
                Delivery.message_id,
                func.coalesce(Conversation.team_id, Message.team_id, Notice.team_id).label("team_id"),
                Notice.kind,
                Conversation.id.label("conversation_id"),
                title.scalar_subquery().label("title"),
            )
            .outerjoin(Message, Message.id == Delivery.message_id)
            .outerjoin(Notice, Notice.id == Delivery.notice_id)
            .outerjoin(ConversationEntry, ConversationEntry.id == Notice.entry_id)
            .outerjoin(Conversation, Conversation.id == ConversationEntry.conversation_id)
            .where(Delivery.id == delivery)
        )
    ).one_or_none()
    if row is None:
        return None
    return Thread(
        how=how,
        delivery=delivery,
        contact_point=row.contact_point_id,
        team=None if row.kind == NoticeKind.QUESTION else row.team_id,
        message=row.message_id,
        title=row.title,
        conversation=row.conversation_id,
        verified=row.contact_point_id == sender and not is_doubtful,
    )


def _same_subject(subject: str, title: str) -> bool:
    return _canonical(title) in _canonical(subject)


def _canonical(subject: str) -> str:
    return " ".join(_REPLY_MARKS.sub("", subject[:1_000]).casefold().split())
