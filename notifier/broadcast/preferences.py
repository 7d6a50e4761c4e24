"""What a person sees and changes of themselves: preferences, a fresh link, everything held.

Called by the manage page and the API. A link in a message opens `read` and `change`; adding an
address, the download and erasing need a fresh link (`links.Access.is_fresh`), because messages get
forwarded.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import func, select

from notifier.broadcast.notices import notice
from notifier.broadcast.welcome import ask
from notifier.db import Tx
from notifier.delivery.hours import Hours
from notifier.delivery.tokens import fresh_token
from notifier.models import Conversation, ConversationEntry, Delivery, MessageText, Notice, NoticeKind
from subscribers import contact_points, evidence, retention, subscriptions, suppression
from subscribers.consent import WORDING, Choices, ConsentAction
from subscribers.contact_points import Contact
from subscribers.evidence import Evidence
from subscribers.models import ContactPointState, Frequency, LeastPriority
from subscribers.subscriptions import Wanted
from subscribers.topics import topic_slugs

Choice = TypeVar("Choice", Frequency, LeastPriority)

FRESH_FOR = timedelta(hours=1)
MOST_LINKS_AN_HOUR = 3


@dataclass(frozen=True, kw_only=True)
class AddressLine:
    """One of a person's addresses. hint: enough for its owner to know it by, no more."""

    contact_point: UUID
    medium: str
    state: ContactPointState
    hint: str


@dataclass(frozen=True, kw_only=True)
class Preferences:
    """What one person gets. areas: code → name. quiet_hours, weekly_limit: their own, if they chose any."""

    contact_point: UUID
    subscriber: UUID
    language: str
    frequency: Frequency
    least_priority: LeastPriority
    areas: Mapping[str, str]
    topics: tuple[str, ...]
    addresses: tuple[AddressLine, ...]
    quiet_hours: Hours | None
    weekly_limit: int | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is to become of the preferences; None leaves a thing as it is.

    quiet_hours that hold no minute are none, and a weekly_limit of 0 is no limit of their own.
    """

    area_codes: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    language: str | None = None
    frequency: Frequency | None = None
    least_priority: LeastPriority | None = None
    quiet_hours: Hours | None = None
    weekly_limit: int | None = None


async def read_preferences(tx: Tx, contact_point: UUID) -> Preferences | None:
    """The preferences of the person behind an address; None where it is nobody's."""
    contact = await contact_points.get(tx, contact_point)
    person = await subscriptions.person(tx, contact.subscriber) if contact and contact.subscriber else None
    if contact is None or person is None:
        return None
    wanted = await subscriptions.live(tx, person.id)
    topics = {each.topic for each in wanted}
    addresses = await contact_points.of_subscriber(tx, person.id)
    opened = await contact_points.addresses(tx, [each.id for each in addresses])
    return Preferences(
        contact_point=contact.id,
        subscriber=person.id,
        language=person.language,
        frequency=_most_common([each.frequency for each in wanted], Frequency.AT_ONCE),
        least_priority=_most_common([each.least_priority for each in wanted], LeastPriority.EVERYTHING),
        areas=await subscriptions.areas_of(tx, person.id),
        topics=tuple(slug for slug in await topic_slugs(tx) if slug in topics),
        addresses=tuple(
            AddressLine(
                contact_point=each.id, medium=each.medium, state=each.state, hint=_hint(opened[each.id])
            )
            for each in addresses
        ),
        quiet_hours=_hours(person.quiet_from, person.quiet_until),
        weekly_limit=person.weekly_limit,
    )


async def change_preferences(
    tx: Tx, contact_point: UUID, change: Change, *, source: str, actor: str = "subscriber"
) -> Preferences | None:
    """Make it so: subscriptions are ended and begun, never deleted; each thing changed is on the ledger.

    Safe to repeat: what is so already is left alone. Areas not served are left out, so look them up first.
    """
    contact = await contact_points.hold(tx, contact_point)
    before = await read_preferences(tx, contact_point)
    if contact is None or before is None:
        return None
    wanted = {
        Wanted(
            area_code=code,
            topic=slug,
            least_priority=change.least_priority or before.least_priority,
            frequency=change.frequency or before.frequency,
        )
        for code in (before.areas if change.area_codes is None else change.area_codes)
        for slug in (before.topics or await topic_slugs(tx) if change.topics is None else change.topics)
    }
    await subscriptions.set_wanted(tx, before.subscriber, wanted, reason="changed", source=source)
    if change.language and change.language != before.language:
        await subscriptions.change_language(tx, before.subscriber, change.language)
    await _change_times(tx, before.subscriber, change)
    after = await read_preferences(tx, contact_point)
    if after is not None:
        await _lift_chosen(tx, before, after)
        await evidence.record(tx, *_changes(tx, contact, before, after, source, actor))
    return after


async def add_address(
    tx: Tx, subscriber: UUID, medium: str, address: str, *, source: str, public_url: str
) -> UUID | None:
    """Ask the owner of one more address (or a new one in place of the old) to confirm it.

    Only behind a fresh link. Returns the contact point, for `welcome.confirm_code`.
    """
    person = await subscriptions.person(tx, subscriber)
    if person is None:
        return None
    choices = Choices(language=person.language, subscriber=subscriber)
    return await ask(tx, medium, address, choices, wording=WORDING, source=source, public_url=public_url)


async def send_fresh_link(tx: Tx, contact_point: UUID, *, public_url: str) -> None:
    """Send a link that is good for one hour and shows everything held; three an hour at most.

    Says nothing, so that nobody learns who is signed up.
    """
    contact = await contact_points.hold(tx, contact_point)
    if contact is None or contact.subscriber is None or not contact.is_active:
        return
    sent = await tx.scalar(
        select(func.count()).where(
            Notice.contact_point_id == contact.id,
            Notice.kind == NoticeKind.LINK,
            Notice.created_at > tx.now - FRESH_FOR,
        )
    )
    if sent >= MOST_LINKS_AN_HOUR:
        return
    token = fresh_token(tx.keys, contact.id, contact.link_version, tx.now + FRESH_FOR)
    await notice(
        tx,
        contact.id,
        kind=NoticeKind.LINK,
        template="fresh_link",
        variables={
            "fresh_url": f"{public_url}/manage/{token}",
            "good_for_minutes": int(FRESH_FOR.total_seconds()) // 60,
        },
        language=contact.language,
    )


async def send_fresh_link_to(tx: Tx, medium: str, address: str, *, public_url: str) -> None:
    """The same to an address somebody typed in, known or not."""
    contact = await contact_points.find(tx, medium, address)
    if contact is not None:
        await send_fresh_link(tx, contact.id, public_url=public_url)


async def hold_data(tx: Tx, subscriber: UUID) -> dict[str, Any]:
    """Everything held about a person, as JSON values, with what was sent to them. Only behind a fresh link."""
    held = await retention.hold(tx, subscriber)
    if not held:
        return {}
    contacts = {each.id: each for each in await contact_points.of_subscriber(tx, subscriber)}
    rows = await tx.execute(
        select(Delivery.contact_point_id, Delivery.state, Delivery.due_at, MessageText.title, Notice.template)
        .outerjoin(
            MessageText,
            (MessageText.message_id == Delivery.message_id) & (MessageText.language == Delivery.language),
        )
        .outerjoin(Notice, Notice.id == Delivery.notice_id)
        .where(Delivery.contact_point_id.in_(list(contacts)))
        .order_by(Delivery.id)
    )
    sent = [
        {
            "medium": contacts[row.contact_point_id].medium,
            "what": row.title or row.template,
            "state": row.state,
            "due_at": row.due_at.isoformat(),
        }
        for row in rows
    ]
    return held | {"sent": sent, "conversations": await _said(tx, list(contacts))}


async def _said(tx: Tx, points: Sequence[UUID]) -> list[dict[str, Any]]:
    """What they wrote to their team, and what was answered; officers' notes among themselves are not theirs."""
    rows = await tx.execute(
        select(ConversationEntry.__table__, Conversation.reference)
        .join(Conversation, Conversation.id == ConversationEntry.conversation_id)
        .where(Conversation.contact_point_id.in_(points))
        .order_by(Conversation.opened_at, ConversationEntry.at)
    )
    return [
        {
            "reference": row.reference,
            "direction": row.direction,
            "medium": row.medium,
            "at": row.at.isoformat(),
            "text": tx.keys.open_text("conversation_entries.body", row.id, row.body_sealed),
        }
        for row in rows
    ]


async def _lift_chosen(tx: Tx, before: Preferences, after: Preferences) -> None:
    """Choosing an area again outweighs an earlier STOP of that area."""
    chosen = after.areas.keys() - before.areas.keys()
    if chosen:
        for each in await contact_points.of_subscriber(tx, after.subscriber):
            await suppression.lift_areas(tx, each, chosen)


async def _change_times(tx: Tx, subscriber: UUID, change: Change) -> None:
    if change.quiet_hours is not None:
        start, end = change.quiet_hours.start, change.quiet_hours.end
        await subscriptions.change_quiet_hours(tx, subscriber, (start, end) if start != end else None)
    if change.weekly_limit is not None:
        await subscriptions.change_weekly_limit(tx, subscriber, change.weekly_limit or None)


def _hours(start: int | None, end: int | None) -> Hours | None:
    return Hours(start=start, end=end) if start is not None and end is not None else None


def _changes(
    tx: Tx, contact: Contact, before: Preferences, after: Preferences, source: str, actor: str
) -> list[Evidence]:
    things = ("areas", "topics", "language", "frequency", "least_priority", "quiet_hours", "weekly_limit")
    return [
        Evidence(
            contact_point=contact.id,
            action=ConsentAction.CHANGED,
            purpose=thing,
            source=source,
            actor=actor,
            at=tx.now,
        )
        for thing in things
        if getattr(before, thing) != getattr(after, thing)
    ]


def _most_common(values: Sequence[Choice], otherwise: Choice) -> Choice:
    """Subscriptions of several origins may differ; the page shows, and then sets, one value for all."""
    counted = Counter(values).most_common(1)
    return counted[0][0] if counted else otherwise


def _hint(address: str) -> str:
    """`s…@example.org`, `…045`, the push service: an address its owner knows and a stranger does not learn."""
    if address.startswith("https://"):
        return urlsplit(address).hostname or ""
    local, at, domain = address.rpartition("@")
    return f"{local[0]}…@{domain}" if at and local else f"…{address[-3:]}"
