"""What is known of leased rows at the mark: read in one statement, handed to `permit` as plain values.

A new rule adds its column here, its field to `policy.Facts`, and its decision to `policy.decide`. Of nearly all rows
of a message the same is known, so PostgreSQL hands them over by kinds; on SQLite that is done here.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Executable,
    Integer,
    Select,
    String,
    Subquery,
    Uuid,
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
from notifier.delivery.claim import Claimed
from notifier.delivery.fast import POSTGRESQL, Shape, is_one_of, list_of, listed
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
    """Rows of which the same is known. ids, subscribers: of each, side by side. subscriber: of a person's."""

    facts: Facts
    message: UUID | None
    notice: UUID | None
    ids: Sequence[int]
    subscribers: Sequence[UUID | None]


async def kinds_of(tx: Tx, claimed: Iterable[Claimed]) -> list[Kind]:
    """What is known of those of the rows that are still leased under their fence.

    Their contact points are held against a change until the transaction ends.
    """
    rows = sorted(claimed)  # two workers lock in the same order
    messages = list({row.message_id for row in rows if row.message_id})
    if tx.dialect == POSTGRESQL:
        ids, fences = list_of([row.id for row in rows]), list_of([row.fence for row in rows])
        found = await _FACTS.rows(tx, ids=ids, fences=fences, messages=messages)
        if not found:
            return []
        held = _places(json.loads(found[0].holds or "[]"))
        return [_kind(row, tx.now, held, *row[:OWN]) for row in found]
    held = await standing_holds(tx)
    known: dict[tuple[Any, ...], tuple[Any, list[Any]]] = {}
    for row in await _FACTS.rows(tx, pairs=[(row.id, row.fence) for row in rows], messages=messages):
        known.setdefault(tuple(row[OWN:]), (row, []))[1].append(row[:OWN])
    return [_kind(row, tx.now, held, *zip(*each, strict=True)) for row, each in known.values()]


async def standing_holds(tx: Tx) -> frozenset[tuple[str, str]]:
    """(scope, key) of every hold that stands."""
    return _places(await _HOLDS.rows(tx))


def _places(rows: Iterable[Sequence[str]]) -> frozenset[tuple[str, str]]:
    return frozenset((scope, key) for scope, key in rows)


# --- the statements ------------------------------------------------------------------------------

OWN = 2  # columns that differ from row to row though the same is known of them


def _by_kind(of: str) -> Executable:
    about = _about(of)
    if of != POSTGRESQL:
        each = _each(about).where(
            tuple_(Delivery.id, Delivery.fence).in_(bindparam("pairs", expanding=True, required=False))
        )
        return _with_content(each.subquery("each"), about)
    going = (
        func.unnest(listed("ids", BigInteger), listed("fences", Integer))
        .table_valued(column("id", BigInteger), column("fence", Integer))
        .render_derived("going")
    )
    each = _each(about).join(going, (going.c.id == Delivery.id) & (going.c.fence == Delivery.fence))
    row = each.cte("each").prefix_with("MATERIALIZED")
    own, shared = list(row.c)[:OWN], list(row.c)[OWN:]
    kinds = select(*[func.array_agg(each_own).label(each_own.name) for each_own in own], *shared)
    holds = select(func.json_agg(func.json_build_array(Hold.scope, Hold.key))).scalar_subquery()
    return _with_content(kinds.group_by(*shared).subquery("kinds"), about).add_columns(
        holds.cast(String).label("holds")
    )


def _about(of: str) -> CTE:
    """What is known of each message, read once for all its rows."""
    about = select(
        Message.id,
        Message.state.label("message_state"),
        Message.send_at,
        Message.team_id,
        Message.expires_at.label("useless_at"),
        Message.override_reason,
        exists().where(MessageTopic.message_id == Message.id).label("has_topics"),
    ).where(is_one_of(Message.id, "messages", of, Uuid))
    return about.cte("about").prefix_with("MATERIALIZED", dialect=POSTGRESQL)


def _each(about: CTE) -> Select[*tuple[Any, ...]]:
    """Everything the decision looks at that is of the row. What cannot change after the claim stands in `Claimed`."""
    return (
        select(
            # Which row it is, and whose: as many as OWN says.
            Delivery.id,
            ContactPoint.subscriber_id,
            # What is known of it.
            Delivery.message_id,
            Delivery.notice_id,
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
            _still_subscribed(about).label("still_subscribed"),
            _suppressed().label("suppressed"),
        )
        .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
        .outerjoin(Subscriber, Subscriber.id == ContactPoint.subscriber_id)
        .outerjoin(about, about.c.id == Delivery.message_id)
        .where(Delivery.state == DeliveryState.LEASED)
        .order_by(Delivery.id)
        .with_for_update(read=True, of=ContactPoint)
    )


def _with_content(rows: Subquery, about: CTE) -> Select[*tuple[Any, ...]]:
    """And that is of what it carries."""
    of_message = [each for each in about.c if each.name not in ("id", "has_topics")]
    asked = [Notice.kind.label("notice_kind"), Notice.created_at.label("asked_at")]
    return (
        select(*rows.c, *of_message, *asked)
        .outerjoin(about, about.c.id == rows.c.message_id)
        .outerjoin(Notice, Notice.id == rows.c.notice_id)
    )


def _still_subscribed(about: CTE) -> ColumnElement[bool]:
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
    return (
        exists()
        .where(
            Subscription.subscriber_id == ContactPoint.subscriber_id,
            Subscription.ended_at.is_(None),
            wanted_area,
            or_(about.c.has_topics.is_(False), wanted_topic),
        )
        .correlate(ContactPoint, Delivery, about)
    )


def _suppressed() -> ColumnElement[bool]:
    return exists().where(
        Suppression.medium == ContactPoint.medium,
        Suppression.address_hash == ContactPoint.address_hash,
        Suppression.scope.in_([SuppressionScope.ALL, SuppressionScope.MEDIUM]),
    )


_FACTS = Shape(_by_kind)
_HOLDS = Shape(lambda _of: select(Hold.scope, Hold.key))


def _kind(
    row: Any,
    now: datetime,
    held: frozenset[tuple[str, str]],
    ids: Sequence[int],
    subscribers: Sequence[UUID | None],
) -> Kind:
    return Kind(_facts(row, now, held), row.message_id, row.notice_id, ids, subscribers)


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
