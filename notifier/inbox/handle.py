"""Takes one stored message to where it belongs. Called by the worker's job `route`, for one id at a time.

Opens it, lets `triage` say what it is, acts on commands and reports, and puts all else into exactly one
team's queue. Safe to run twice: the row's state is looked at under its lock, and an entry is unique by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never
from uuid import UUID

from sqlalchemy import select, update

from channels.base import Medium
from channels.mailread import Mail
from notifier.config import Settings
from notifier.db import Tx
from notifier.inbox import bounces, commands, conversations, questions, read, receive, thread
from notifier.inbox.acknowledge import Filed, acknowledge
from notifier.inbox.read import Received
from notifier.inbox.resolvers import answered_question, place_in_text, ward_word
from notifier.inbox.route import Decision, Facts, Resolver, route
from notifier.inbox.sender import Sender, find_or_make
from notifier.inbox.thread import Thread
from notifier.models import (
    ConversationEntry,
    IncomingKind,
    IncomingRow,
    IncomingState,
    RoutingDecision,
    Team,
    TeamKind,
)
from subscribers import standing
from subscribers.models import ContactPoint

# What says in the sender's own words where an earlier message of theirs belongs too.
_ANSWERS_A_QUESTION = frozenset(each.__name__ for each in (answered_question, ward_word, place_in_text))

# Whoever writes so has an address that works; a stop is no wish to be written to again.
_FROM_A_PERSON = frozenset(
    {IncomingKind.REPLY, IncomingKind.CHOICE, IncomingKind.CONFIRM, IncomingKind.START}
)


@dataclass(frozen=True, kw_only=True)
class Handled:
    """What became of a message. conversation, resolver: of what was put into a queue."""

    state: IncomingState
    kind: IncomingKind
    conversation: UUID | None = None
    resolver: str | None = None


async def handle(
    tx: Tx, incoming: UUID, resolvers: Sequence[Resolver], settings: Settings, *, mail: Mail | None = None
) -> Handled | None:
    """Handle one stored message; None where it was handled already. What it raises is counted by `receive.failed`.

    mail: the message, where it is a mail that was read already.
    """
    row = (
        await tx.execute(
            select(IncomingRow.__table__)
            .where(IncomingRow.id == incoming, IncomingRow.state == IncomingState.STORED)
            .with_for_update()
        )
    ).one_or_none()
    if row is None:
        return None
    received = read.open_row(tx, row, mail_domain=settings.mail_domain, mail=mail)
    if received.mail is not None and received.mail.beyond:
        await receive.set_aside(tx, incoming, f"it has {received.mail.beyond}")
        return Handled(state=IncomingState.QUARANTINED, kind=IncomingKind.UNREADABLE)
    sender = await find_or_make(tx, received.medium, received.sender)
    done, reason = await _act(tx, received, sender, resolvers, settings)
    await tx.execute(
        update(IncomingRow)
        .where(IncomingRow.id == incoming)
        .values(
            state=done.state,
            kind=done.kind,
            reason=reason[:200] or None,
            contact_point_id=sender.contact_point,
            sender_hash=tx.keys.address_hash(received.medium, received.sender),
        )
    )
    return done


async def _act(
    tx: Tx, received: Received, sender: Sender, resolvers: Sequence[Resolver], settings: Settings
) -> tuple[Handled, str]:
    """What the kind asks for; and, for the record, why it was filed."""
    kind = received.triage.kind
    if sender.is_ours:
        return _filed(IncomingKind.AUTO_REPLY), "it came from an address of our own"
    if kind in _FROM_A_PERSON and not received.is_doubtful:
        await standing.revive(tx, sender.contact_point)
    match kind:
        case IncomingKind.BOUNCE:
            return _filed(kind), await bounces.bounced(tx, received)
        case IncomingKind.COMPLAINT:
            return _filed(kind), await bounces.complained(tx, received)
        case IncomingKind.AUTO_REPLY | IncomingKind.UNREADABLE:
            return _filed(kind), "written by a machine"
        case (
            IncomingKind.STOP
            | IncomingKind.START
            | IncomingKind.HELP
            | IncomingKind.CONFIRM
            | IncomingKind.REPLY
        ):
            found = await commands.obey(tx, received, sender, public_url=settings.public_url)
            if found is not None:
                return _filed(found.kind), found.reason
        case IncomingKind.CHOICE:
            pass
        case _:
            assert_never(kind)
    done = await _queue(tx, received, sender, resolvers)
    return done, "it may be a wish to stop" if received.triage.hints_at_stop else ""


def _filed(kind: IncomingKind) -> Handled:
    return Handled(state=IncomingState.FILED, kind=kind)


# --- Into a queue -----------------------------------------------------------------------------


async def _queue(tx: Tx, received: Received, sender: Sender, resolvers: Sequence[Resolver]) -> Handled:
    found = await _thread(tx, received, sender)
    facts = Facts(
        incoming=received.id,
        sender=sender,
        text=received.text,
        recipients=received.recipients,
        thread=found,
        choice=received.triage.choice,
    )
    decision = await route(tx, facts, resolvers)
    await _settle_question(tx, sender, decision)
    conversation = await _conversation(tx, facts, decision)
    verified = found.verified if found else sender.medium is not Medium.EMAIL and sender.verified
    entry = await conversations.add_incoming(
        tx,
        conversation,
        received.words,
        medium=received.medium,
        incoming=received.id,
        verified=verified,
        urgent=received.triage.urgent,
    )
    is_strangers = found is not None and not found.verified
    if not is_strangers:
        filed = Filed(
            received=received,
            sender=sender,
            decision=decision,
            conversation=conversation,
            entry=entry,
            verified=verified,
        )
        await acknowledge(tx, filed)
    return Handled(
        state=IncomingState.ROUTED,
        kind=received.triage.kind,
        conversation=conversation,
        resolver=decision.resolver,
    )


async def _thread(tx: Tx, received: Received, sender: Sender) -> Thread | None:
    """What it answers, by what only that could know."""
    if received.medium is Medium.SOCIAL:
        return await thread.of_post(
            tx, sender=sender.contact_point, channel=received.channel, post=received.answers
        )
    return await thread.find(
        tx,
        sender=sender.contact_point,
        recipients=received.recipients if received.medium is Medium.EMAIL else (),
        mail=received.mail,
        is_doubtful=received.is_doubtful,
    )


async def _conversation(tx: Tx, facts: Facts, decision: Decision) -> UUID:
    """The conversation a message joins: the one it answers, the live one with that team, or a new one.

    What came by another person's token joins that person's conversation, unverified: answers go to the
    address we wrote to first, never to whoever got hold of the token.
    """
    found, team = facts.thread, decision.hit.team
    joins = found if found is not None and found.team == team else None
    if (
        joins is not None
        and joins.conversation is not None
        and await conversations.reopen(tx, joins.conversation)
    ):
        return joins.conversation
    contact_point, subscriber = await _with_whom(tx, facts, joins)
    return await conversations.live_or_new(
        tx,
        contact_point,
        team,
        subscriber=subscriber,
        message=joins.message if joins else None,
        subject=joins.title if joins else None,
    )


async def _with_whom(tx: Tx, facts: Facts, joins: Thread | None) -> tuple[UUID, UUID | None]:
    if joins is None:
        return facts.sender.contact_point, facts.sender.subscriber
    subscriber: UUID | None = await tx.scalar(
        select(ContactPoint.subscriber_id).where(ContactPoint.id == joins.contact_point)
    )
    return joins.contact_point, subscriber


async def _settle_question(tx: Tx, sender: Sender, decision: Decision) -> None:
    """Where the message answers our question, the one we asked about goes to the same team."""
    if decision.resolver not in _ANSWERS_A_QUESTION:
        return
    question = await questions.open_question(tx, sender.contact_point)
    kind = await tx.scalar(select(Team.kind).where(Team.id == decision.hit.team))
    if question is None or kind == TeamKind.CENTRAL:
        return
    asked_about = select(ConversationEntry.incoming_id).where(
        ConversationEntry.conversation_id == question.conversation,
        ConversationEntry.incoming_id.is_not(None),
    )
    await tx.execute(
        update(RoutingDecision)
        .where(RoutingDecision.incoming_id.in_(asked_about))
        .values(corrected_to=decision.hit.team)
    )
    await conversations.move(tx, question.conversation, decision.hit.team)
