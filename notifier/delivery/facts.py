"""What is known of leased rows at the mark: read in one statement, handed to `permit` as plain values.

A new rule adds its column here, its field to `policy.Facts`, and its decision to `policy.decide`. Of nearly all rows
of a message the same is known, so PostgreSQL hands them over by kinds; on SQLite that is done here.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Executable,
    Integer,
    Select,
    String,
    bindparam,
    column,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from notifier.db import Tx
from notifier.delivery.fast import POSTGRESQL, Shape, list_of, listed
from notifier.delivery.hours import Hours
from notifier.delivery.policy import Facts
from notifier.models import (
    Delivery,
    DeliveryState,
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


class Kind(NamedTuple):
    """Rows of which the same is known. ids, subscribers, notices: of each, side by side. subscriber: of a person's."""

    facts: Facts
    message: UUID | None
    ids: Sequence[int]
    subscribers: Sequence[UUID | None]
    notices: Sequence[UUID | None]


async def kinds_of(tx: Tx, fences: Mapping[int, int]) -> list[Kind]:
    """What is known of those of the rows (id → fence) that are still leased under that fence.

    Their contact points are held against a change until the transaction ends.
    """
    ids = sorted(fences)  # two workers lock in the same order
    if tx.dialect == POSTGRESQL:
        rows = await _FACTS.rows(tx, ids=list_of(ids), fences=list_of([fences[id_] for id_ in ids]))
        if not rows:
            return []
        held = _places(json.loads(rows[0].holds or "[]"))
        return [Kind(_facts(row, tx.now, held), row.message_id, *row[:OWN]) for row in rows]
    held = await standing_holds(tx)
    known: dict[tuple[Any, ...], tuple[Any, list[Any]]] = {}
    for row in await _FACTS.rows(tx, pairs=[(id_, fences[id_]) for id_ in ids]):
        known.setdefault(tuple(row[OWN:]), (row, []))[1].append(row[:OWN])
    return [
        Kind(_facts(row, tx.now, held), row.message_id, *zip(*each, strict=True))
        for row, each in known.values()
    ]


async def standing_holds(tx: Tx) -> frozenset[tuple[str, str]]:
    """(scope, key) of every hold that stands."""
    return _places(await _HOLDS.rows(tx))


def _places(rows: Iterable[Sequence[str]]) -> frozenset[tuple[str, str]]:
    return frozenset((scope, key) for scope, key in rows)


# --- the statements ------------------------------------------------------------------------------

OWN = 3  # columns that differ from row to row though the same is known of them


def _by_kind(of: str) -> Executable:
    if of != POSTGRESQL:
        ours = tuple_(Delivery.id, Delivery.fence).in_(bindparam("pairs", expanding=True, required=False))
        return _each().where(ours)
    going = (
        func.unnest(listed("ids", BigInteger), listed("fences", Integer))
        .table_valued(column("id", BigInteger), column("fence", Integer))
        .render_derived("going")
    )
    each = (
        _each()
        .join(going, (going.c.id == Delivery.id) & (going.c.fence == Delivery.fence))
        .cte("each")
        .prefix_with("MATERIALIZED")
    )
    own, shared = list(each.c)[:OWN], list(each.c)[OWN:]
    holds = select(func.json_agg(func.json_build_array(Hold.scope, Hold.key))).scalar_subquery()
    return select(
        *[func.array_agg(each_own) for each_own in own], *shared, holds.cast(String).label("holds")
    ).group_by(*shared)


def _each() -> Select[*tuple[Any, ...]]:
    """Everything the decision looks at. What cannot change after the claim stands in `Claimed`."""
    return (
        select(
            # Which row it is, and whose: as many as OWN says.
            Delivery.id,
            ContactPoint.subscriber_id,
            Delivery.notice_id,
            # What is known of it.
            Delivery.message_id,
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
            _still_subscribed().label("still_subscribed"),
            _suppressed().label("suppressed"),
        )
        .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
        .outerjoin(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
        .outerjoin(Message, Message.id == Delivery.message_id)
        .outerjoin(Notice, Notice.id == Delivery.notice_id)
        .where(Delivery.state == DeliveryState.LEASED)
        .order_by(Delivery.id)
        .with_for_update(read=True, of=ContactPoint)
    )


def _still_subscribed() -> ColumnElement[bool]:
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
    return exists().where(
        Subscription.subscriber_id == ContactPoint.subscriber_id,
        Subscription.ended_at.is_(None),
        wanted_area,
        or_(no_topics, wanted_topic),
    )


def _suppressed() -> ColumnElement[bool]:
    return exists().where(
        Suppression.medium == ContactPoint.medium,
        Suppression.address_hash == ContactPoint.address_hash,
        Suppression.scope.in_([SuppressionScope.ALL, SuppressionScope.MEDIUM]),
    )


_FACTS = Shape(_by_kind)
_HOLDS = Shape(lambda _of: select(Hold.scope, Hold.key))


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
