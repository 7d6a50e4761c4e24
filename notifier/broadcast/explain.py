"""Why a person got a message, got it later, or did not: by each way of sending, with the rule that decided.

Called by `notifier explain SUBSCRIBER MESSAGE`. It reads the rows alone, and never opens an address.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row, select

from notifier.broadcast.absent import NARROWED, Address, Meant, Wish, by, not_meant, not_reached, not_sent_by
from notifier.broadcast.narrow import criteria_of
from notifier.db import Tx
from notifier.delivery.explain import timeline
from notifier.delivery.why import Why
from notifier.errors import NotFound
from notifier.models import Delivery, Kind, Message, MessageState
from subscribers.audience import Criteria, Span, select_people
from subscribers.models import (
    ContactPoint,
    ContactPointState,
    LeastPriority,
    Subscriber,
    SubscriberState,
    Subscription,
)

_NOTHING: Mapping[str, Any] = {
    "languages": (),
    "homes": (),
    "near": None,
    "without_areas": (),
    "without_topics": (),
    "without": None,
    "sample": None,
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What happened by one medium (None: by any). delivery: its number, where there is one."""

    medium: str | None
    delivery: int | None
    why: Why

    @property
    def text(self) -> str:
        return f"{_upper(by(self.medium))}: {self.why.text}" if self.medium else self.why.text


async def explain(tx: Tx, subscriber: UUID, message: UUID, *, zone: ZoneInfo) -> Sequence[Told]:
    """One line for each way of sending that counts for this person. Raises NotFound."""
    row = (await tx.execute(select(Message.__table__).where(Message.id == message))).one_or_none()
    if row is None:
        raise NotFound(f"There is no message {message}.")
    person = await tx.scalar(select(Subscriber.state).where(Subscriber.id == subscriber))
    if person is None:
        raise NotFound(f"There is no person {subscriber}.")
    if person == SubscriberState.ERASED:
        return [_overall("erased", "They asked to be erased, so nothing is known of them any more.")]
    points = (
        await tx.execute(select(ContactPoint.__table__).where(ContactPoint.subscriber_id == subscriber))
    ).all()
    told = await _planned(tx, message, points, zone)
    if row.frozen_at is None:
        return [_overall("draft", "The message has not been approved, so it is for nobody yet.")]
    missing = await _not_planned(tx, row, subscriber, points, {each.medium for each in told}, zone)
    return [*told, *missing]


async def _planned(tx: Tx, message: UUID, points: Sequence[Row[Any]], zone: ZoneInfo) -> list[Told]:
    media = {point.id: point.medium for point in points}
    rows = await tx.execute(
        select(Delivery.id, Delivery.contact_point_id)
        .where(Delivery.message_id == message, Delivery.contact_point_id.in_(list(media)))
        .order_by(Delivery.id)
    )
    told = []
    for row in rows.all():
        found = await timeline(tx, row.id, zone=zone)
        if found is not None:
            told.append(Told(medium=media[row.contact_point_id], delivery=row.id, why=found.why))
    return told


async def _not_planned(
    tx: Tx,
    row: Row[Any],
    subscriber: UUID,
    points: Sequence[Row[Any]],
    planned: set[str | None],
    zone: ZoneInfo,
) -> list[Told]:
    """Why there is no delivery: for the person, or for some of the media."""
    if row.corrects_id:
        gone = "It puts another message right, and goes to those alone who got that one by this way."
        media = sorted({point.medium for point in points} - planned)
        return [
            Told(medium=medium, delivery=None, why=Why(rule="correction", sentence=gone)) for medium in media
        ]
    criteria = await criteria_of(tx, Kind(row.kind), row.criteria)
    meant = Meant(
        kind=Kind(row.kind),
        areas=frozenset(criteria.areas),
        topics=criteria.topics,
        media=criteria.media,
        frozen_at=row.frozen_at,
    )
    left_out = not planned and await _left_out(tx, meant, criteria, subscriber, zone)
    if left_out:
        return [Told(medium=None, delivery=None, why=left_out)]
    addresses = [_address(point) for point in points]
    is_listed = MessageState(row.state) not in (MessageState.APPROVED, MessageState.PLANNING)
    told = []
    for medium in dict.fromkeys(
        [*(m for m in criteria.media if m != "social"), *(a.medium for a in addresses)]
    ):
        if medium in planned:
            continue
        why = not_reached(meant, medium, addresses, zone) if medium in meant.media else not_sent_by(medium)
        told.append(
            Told(medium=medium, delivery=None, why=why or _unplanned(medium, tx, is_listed=is_listed))
        )
    return told


async def _left_out(tx: Tx, meant: Meant, criteria: Criteria, subscriber: UUID, zone: ZoneInfo) -> Why | None:
    """The first criterion that did not choose them; None where they were meant."""
    rows = await tx.execute(select(Subscription.__table__).where(Subscription.subscriber_id == subscriber))
    wishes = [
        Wish(
            area=row.area_code,
            topic=row.topic_slug,
            least_priority=LeastPriority(row.least_priority),
            started_at=row.started_at,
            ended_at=row.ended_at,
        )
        for row in rows
    ]
    found = not_meant(meant, wishes, zone)
    if found:
        return found
    alone = Span(after=UUID(int=subscriber.int - 1), upto=subscriber)
    asked = replace(criteria, **_NOTHING)
    for name, sentence in NARROWED.items():
        if getattr(criteria, name) == _NOTHING[name] or getattr(criteria, name) is None:
            continue
        asked = replace(asked, **{name: getattr(criteria, name)})
        if (await tx.execute(select_people(asked, meant.frozen_at, alone))).first() is None:
            return Why(rule=name.partition("_")[0], sentence=sentence)
    return None


def _unplanned(medium: str, tx: Tx, *, is_listed: bool) -> Why:
    if medium not in tx.carriers:
        return Why(rule="channel", sentence=f"No channel here sends {by(medium)}.")
    if not is_listed:
        return Why(rule="planning", sentence="The list of who gets the message is being made.")
    return Why(
        rule="ledger", sentence="They should have a delivery and have none: run `notifier doctor --ledger`."
    )


def _address(point: Row[Any]) -> Address:
    return Address(
        medium=point.medium,
        state=ContactPointState(point.state),
        verified_at=point.verified_at,
        stopped_at=point.stopped_at,
    )


def _overall(rule: str, sentence: str) -> Told:
    return Told(medium=None, delivery=None, why=Why(rule=rule, sentence=sentence))


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]
