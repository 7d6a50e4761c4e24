"""What the service itself says when something came in: that it has arrived, where to turn in an emergency,
or a question that finds its team. Called by `handle`, after the message is safe in a queue.

Rules of RFC 3834: never to what a machine wrote, never to an address that cannot be believed, once a day.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from channels.base import Medium
from notifier.broadcast.notices import notice
from notifier.db import Tx
from notifier.inbox import questions
from notifier.inbox.read import Received
from notifier.inbox.resolvers import ask, central_triage
from notifier.inbox.route import Decision
from notifier.inbox.sender import Sender
from notifier.models import Conversation, NoticeKind, Team
from subscribers.models import ContactPointState

ONCE_A_DAY = timedelta(hours=24)
HELP_AGAIN_AFTER = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Filed:
    """Where a message was put, and why."""

    received: Received
    sender: Sender
    decision: Decision
    conversation: UUID
    entry: UUID
    verified: bool


async def acknowledge(tx: Tx, filed: Filed) -> None:
    """Say at most one thing back. Safe to run twice: each notice has a key or a time within which it is not repeated."""
    sender = filed.sender
    if not may_be_told(tx, sender) or filed.received.is_doubtful:
        return
    if filed.received.triage.urgent:
        await _say_call_999(tx, filed)
        return
    if sender.state in (ContactPointState.STOPPED, ContactPointState.BOUNCED):
        return
    number = from_number(filed.received)
    if filed.decision.resolver == ask.__name__:
        if not filed.decision.hit.asks:
            return  # they were asked before, and what they write meanwhile waits with the rest
        await questions.ask_ward(tx, sender, filed.entry, filed.decision.hit.asks, from_number=number)
    elif filed.decision.resolver == central_triage.__name__ and not sender.areas:
        await questions.ask_postcode(tx, sender, filed.entry, from_number=number)
    elif filed.verified or sender.medium is not Medium.EMAIL:
        await _say_it_came(tx, filed)


async def say_help(tx: Tx, sender: Sender, received: Received) -> None:
    """That nobody watches this live, and whom to call. Once an hour."""
    if not may_be_told(tx, sender):
        return
    if await questions.was_told(tx, sender.contact_point, [NoticeKind.HELP], HELP_AGAIN_AFTER):
        return
    await notice(
        tx,
        sender.contact_point,
        kind=NoticeKind.HELP,
        template="help",
        variables={"from_number": from_number(received)},
        language=sender.language,
        dedupe_key=f"help:{received.id}",
    )


def may_be_told(tx: Tx, sender: Sender) -> bool:
    """Can anything be sent there at all, to them alone, and is it not ourselves? Pure."""
    if sender.medium is Medium.SOCIAL:
        return False  # a post would say it to everybody
    return sender.can_reply and not sender.is_ours and sender.medium in tx.carriers


def from_number(received: Received) -> str:
    """The number of ours that a text was sent to, so that what we say comes from the same. Pure."""
    return received.recipients[0] if received.medium is Medium.SMS and received.recipients else ""


async def _say_call_999(tx: Tx, filed: Filed) -> None:
    if not await questions.was_told(tx, filed.sender.contact_point, [NoticeKind.HELP], HELP_AGAIN_AFTER):
        await _tell(tx, filed, NoticeKind.HELP, urgent=True)


async def _say_it_came(tx: Tx, filed: Filed) -> None:
    told = [NoticeKind.ACKNOWLEDGEMENT]
    if not await questions.was_told(tx, filed.sender.contact_point, told, ONCE_A_DAY):
        await _tell(tx, filed, NoticeKind.ACKNOWLEDGEMENT, urgent=False)


async def _tell(tx: Tx, filed: Filed, kind: NoticeKind, *, urgent: bool) -> None:
    row = (
        await tx.execute(
            select(Conversation.reference, Conversation.team_id, Team.name)
            .join(Team, Team.id == Conversation.team_id)
            .where(Conversation.id == filed.conversation)
        )
    ).one()
    await notice(
        tx,
        filed.sender.contact_point,
        kind=kind,
        template="acknowledgement",
        variables={
            "team_name": row.name,
            "reference": row.reference,
            "urgent": urgent,
            "from_number": from_number(filed.received),
        },
        language=filed.sender.language,
        team=row.team_id,
        entry=filed.entry,
        dedupe_key=f"acknowledgement:{filed.entry}",
    )
