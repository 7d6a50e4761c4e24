"""Questions the service asks a sender, so that their message finds its team: which ward, which postcode.

Called by `handle` (asking) and by the resolvers (reading the answer). A question stands for 48 hours or
until the message it was asked about has left central triage.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import exists, select

from notifier.broadcast.notices import notice
from notifier.db import Tx
from notifier.delivery.wording import VARIABLES
from notifier.inbox.places import Covered
from notifier.inbox.sender import Sender
from notifier.models import (
    Conversation,
    ConversationEntry,
    ConversationState,
    Notice,
    NoticeKind,
    Team,
    TeamKind,
)

GOOD_FOR = timedelta(hours=48)
MOST_CHOICES = 9
WARD, POSTCODE = "question_ward", "question_postcode"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One line of a question: its number, and the area it stands for."""

    number: int
    code: str
    name: str


@dataclass(frozen=True, kw_only=True)
class OpenQuestion:
    """A question that waits for its answer, and the conversation it was asked about."""

    conversation: UUID
    choices: tuple[Choice, ...]


async def ask_ward(
    tx: Tx, sender: Sender, entry: UUID, wards: Sequence[Covered], *, from_number: str
) -> UUID | None:
    """Plan "Reply 1 for …, 2 for …". Safe to run twice by the entry it is asked about."""
    choices = [
        {"number": number, "code": ward.code, "name": ward.name}
        for number, ward in enumerate(wards[:MOST_CHOICES], start=1)
    ]
    variables = {"choices": choices, "from_number": from_number}
    return await _plan(tx, sender, WARD, variables, entry, f"question-ward:{entry}")


async def ask_postcode(tx: Tx, sender: Sender, entry: UUID, *, from_number: str) -> UUID | None:
    """Plan the question for a postcode, once for each unknown sender."""
    key = f"question-postcode:{sender.contact_point}"
    return await _plan(tx, sender, POSTCODE, {"from_number": from_number}, entry, key)


async def open_question(tx: Tx, contact_point: UUID) -> OpenQuestion | None:
    """The newest question this sender has not answered yet, or None."""
    row = (
        await tx.execute(
            select(Notice.id, Notice.variables_sealed, Conversation.id.label("conversation_id"))
            .join(ConversationEntry, ConversationEntry.id == Notice.entry_id)
            .join(Conversation, Conversation.id == ConversationEntry.conversation_id)
            .join(Team, Team.id == Conversation.team_id)
            .where(
                Notice.contact_point_id == contact_point,
                Notice.kind == NoticeKind.QUESTION,
                Notice.created_at > tx.now - GOOD_FOR,
                Conversation.state != ConversationState.RESOLVED,
                Team.kind == TeamKind.CENTRAL,
            )
            .order_by(Notice.created_at.desc(), Notice.id.desc())
            .limit(1)
        )
    ).one_or_none()
    if row is None:
        return None
    given = json.loads(tx.keys.open_text(VARIABLES, row.id, row.variables_sealed))
    return OpenQuestion(
        conversation=row.conversation_id,
        choices=tuple(Choice(**each) for each in given.get("choices", [])),
    )


async def was_told(tx: Tx, contact_point: UUID, kinds: Sequence[NoticeKind], within: timedelta) -> bool:
    """Did a notice of such a kind go to this contact point lately?"""
    told = exists().where(
        Notice.contact_point_id == contact_point,
        Notice.kind.in_(kinds),
        Notice.created_at > tx.now - within,
    )
    return bool(await tx.scalar(select(told)))


async def _plan(
    tx: Tx, sender: Sender, template: str, variables: Mapping[str, object], entry: UUID, key: str
) -> UUID | None:
    return await notice(
        tx,
        sender.contact_point,
        kind=NoticeKind.QUESTION,
        template=template,
        variables=variables,
        language=sender.language,
        entry=entry,
        dedupe_key=key,
    )
