"""What is known of leased rows at the mark: read in one statement, handed to `permit` as plain values.

A new rule adds its column here, its field to `policy.Facts`, and its decision to `policy.decide`.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Select, exists, literal, or_, select

from notifier.db import Tx
from notifier.delivery.fast import Shape, is_one_of
from notifier.delivery.hours import Hours
from notifier.delivery.permit import Case
from notifier.delivery.policy import Facts
from notifier.models import (
    Delivery,
    Hold,
    HoldScope,
    Lane,
    Message,
    MessageArea,
    MessageState,
    MessageTopic,
    Notice,
)
from subscribers.models import ContactPoint, Subscriber, Subscription, Suppression, SuppressionScope


def facts_of(of: str) -> Select[*tuple[Any, ...]]:
    """The rows `ids` with everything the decision looks at, contact points held against a change meanwhile.

    of: the dialect it is for. What cannot change after the claim stands in `Claimed`, and is not read again.
    """
    no_topics = ~exists().where(MessageTopic.message_id == Delivery.message_id).correlate(Delivery)
    wanted_topic = (
        exists()
        .where(
            MessageTopic.message_id == Delivery.message_id,
            MessageTopic.topic_slug == Subscription.topic_slug,
        )
        .correlate(Delivery, Subscription)
    )
    # Looked up wish by wish: a message to a whole force has hundreds of areas, a person a few wishes.
    wanted_area = (
        select(MessageArea.area_code)
        .where(
            MessageArea.message_id == Delivery.message_id,
            MessageArea.area_code == Subscription.area_code,
        )
        .limit(literal(1, literal_execute=True))
        .offset(literal(0, literal_execute=True))
        .correlate(Delivery, Subscription)
        .exists()
    )
    still_subscribed = exists().where(
        Subscription.subscriber_id == ContactPoint.subscriber_id,
        Subscription.ended_at.is_(None),
        wanted_area,
        or_(no_topics, wanted_topic),
    )
    suppressed = exists().where(
        Suppression.medium == ContactPoint.medium,
        Suppression.address_hash == ContactPoint.address_hash,
        Suppression.scope.in_([SuppressionScope.ALL, SuppressionScope.MEDIUM]),
    )
    return (
        select(
            # Which row it is, and whose: as many as OWN says.
            Delivery.id,
            Delivery.state,
            Delivery.fence,
            Delivery.message_id,
            Delivery.notice_id,
            ContactPoint.subscriber_id,
            # What is known of it.
            Delivery.channel,
            Delivery.lane,
            Delivery.expires_at,
            ContactPoint.subscriber_id.is_not(None).label("is_person"),
            ContactPoint.medium,
            ContactPoint.state.label("contact_state"),
            ContactPoint.stopped_at,
            Subscriber.quiet_from,
            Subscriber.quiet_until,
            Subscriber.weekly_limit,
            Message.state.label("message_state"),
            Message.send_at,
            Message.team_id,
            Message.expires_at.label("useless_at"),
            Message.override_reason,
            Notice.kind.label("notice_kind"),
            Notice.created_at.label("asked_at"),
            still_subscribed.label("still_subscribed"),
            suppressed.label("suppressed"),
        )
        .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
        .outerjoin(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
        .outerjoin(Message, Message.id == Delivery.message_id)
        .outerjoin(Notice, Notice.id == Delivery.notice_id)
        .where(is_one_of(Delivery.id, "ids", of))
        .order_by(Delivery.id)
        .with_for_update(read=True, of=ContactPoint)
    )


OWN = 6  # columns of `FACTS` that differ from row to row though the same is known of them
FACTS = Shape(facts_of)
HOLDS = Shape(lambda _of: select(Hold.scope, Hold.key))


async def standing_holds(tx: Tx) -> frozenset[tuple[str, str]]:
    """(scope, key) of every hold that stands."""
    rows = await HOLDS.rows(tx)
    return frozenset((row.scope, row.key) for row in rows)


def cases_of(
    rows: Iterable[Any], now: datetime, held: frozenset[tuple[str, str]]
) -> Iterator[tuple[int, Case]]:
    """(id, case) of rows of `FACTS`. Rows of which the same is known share one `Facts`: most do. Pure."""
    known: dict[tuple[Any, ...], Facts] = {}
    for row in rows:
        what = tuple(row[OWN:])
        facts = known.get(what)
        if facts is None:
            facts = known[what] = _facts(row, now, held)
        yield row[0], Case(facts, row[3], row[5], row[4])


def _facts(row: Any, now: datetime, held: frozenset[tuple[str, str]]) -> Facts:
    places = {(HoldScope.SYSTEM, ""), (HoldScope.CHANNEL, row.channel), (HoldScope.TEAM, str(row.team_id))}
    return Facts(
        now=now,
        expires_at=row.expires_at,
        is_held=bool(held & places),
        message_state=MessageState(row.message_state) if row.message_state else None,
        send_at=row.send_at,
        notice_kind=row.notice_kind,
        asked_at=row.asked_at,
        is_person=bool(row.is_person),
        contact_state=row.contact_state,
        stopped_at=row.stopped_at,
        still_subscribed=bool(row.still_subscribed),
        suppressed=bool(row.suppressed),
        lane=Lane(row.lane),
        medium=row.medium,
        useless_at=row.useless_at,
        overrides=row.override_reason is not None,
        quiet=Hours(start=row.quiet_from, end=row.quiet_until) if row.quiet_from is not None else None,
        weekly_limit=row.weekly_limit,
    )
