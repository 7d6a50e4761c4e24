"""May these deliveries start now? The last look before an attempt is written (commit point C4).

`judge` reckons what a person got where a limit could hold them back, and asks `policy` for each row;
`turn_away` writes what becomes of the rows that may not start, with the reason on record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never
from uuid import UUID

from sqlalchemy import func, select, update

from notifier.db import Tx
from notifier.delivery.closing import cancel_rows
from notifier.delivery.facts import Kind
from notifier.delivery.hours import first_of_day
from notifier.delivery.policy import (
    BULK,
    TEXT,
    WEEK,
    Decision,
    Got,
    Rules,
    Verdict,
    decide,
    is_limited,
)
from notifier.delivery.record import follow_digests, note_events
from notifier.models import Delivery, DeliveryEvent, DeliveryState, Message, MessageState, NoticeKind
from subscribers.models import ContactPoint, Frequency, Subscriber

LATER, DIGEST = "later", "digest"  # kinds of events
NEWEST = 100  # of a contact point's deliveries, those that are looked at
WENT = (
    DeliveryState.STARTED,
    DeliveryState.IN_DOUBT,
    DeliveryState.ACCEPTED,
    DeliveryState.DELIVERED,
    DeliveryState.COMPLAINED,
    DeliveryState.UNKNOWN,
)


@dataclass(frozen=True, kw_only=True)
class Permit:
    """The state the row takes, and why. due_at, expires_at: its new ones; digest: the one it joins.

    Without a new time it is due as before, at once: a claim takes nothing of what is held or not sending.
    """

    state: DeliveryState
    reason: str = ""
    event: str = ""
    due_at: datetime | None = None
    expires_at: datetime | None = None
    digest: Frequency | None = None

    @property
    def starts(self) -> bool:
        return self.state is DeliveryState.STARTED


START = Permit(state=DeliveryState.STARTED)
_ANEW = Permit(state=DeliveryState.PENDING, reason="made anew")
_EMPTY = Permit(
    state=DeliveryState.CANCELLED,
    reason="every message in it was stopped",
    event=DeliveryState.CANCELLED.value,
)


@dataclass(frozen=True, kw_only=True)
class _Sent:
    message: UUID | None
    at: datetime
    is_text: bool


async def judge(tx: Tx, kinds: Sequence[Kind], rules: Rules) -> tuple[list[int], dict[int, Permit]]:
    """Ids of the rows that may start, and what becomes of each of the others."""
    permits: dict[int, Permit] = {}
    going: list[int] = []
    limited: list[Kind] = []
    for kind in kinds:
        if is_limited(kind.facts, rules) and any(kind.subscribers):
            limited.append(kind)
            continue
        permit = permit_of(decide(kind.facts, rules))
        if permit.starts:
            going += kind.ids
        else:
            permits |= dict.fromkeys(kind.ids, permit)
    permits |= await _within_limits(tx, limited, rules) if limited else {}
    permits |= await _without_stopped(tx, _digests(kinds, permits))
    going += [id_ for kind in limited for id_ in kind.ids]
    away = {id_: permit for id_, permit in permits.items() if not permit.starts}
    return [id_ for id_ in going if id_ not in away] if away else going, away


async def _within_limits(tx: Tx, kinds: Sequence[Kind], rules: Rules) -> dict[int, Permit]:
    """Only where a limit applies is it counted what a person got.

    Their rows are held meanwhile, so that two workers cannot each send the last message of a week.
    """
    sent = await _sent_to(tx, sorted({each for kind in kinds for each in kind.subscribers if each}))
    midnight = first_of_day(tx.now.astimezone(rules.zone).date(), rules.zone)
    permits = {}
    for kind in kinds:
        facts = kind.facts
        for id_, subscriber in zip(kind.ids, kind.subscribers, strict=True):
            before = sent.get(subscriber) if subscriber else None
            got = _got(before, kind.message, midnight) if before is not None else facts.got
            permits[id_] = permit_of(decide(replace(facts, got=got), rules))
            if before is not None and permits[id_].starts:
                before.append(_Sent(message=kind.message, at=tx.now, is_text=facts.medium == TEXT))
    return permits


def _digests(kinds: Sequence[Kind], permits: Mapping[int, Permit]) -> dict[UUID, int]:
    """Notice → its row, of the digests that might start."""
    return {
        kind.notice: id_
        for kind in kinds
        if kind.notice and kind.facts.notice_kind == NoticeKind.DIGEST
        for id_ in kind.ids
        if permits.get(id_, START).starts
    }


def permit_of(decision: Decision) -> Permit:
    """What a decision makes of the row. Pure."""
    verdict, why = decision.verdict, decision.sentence
    match verdict:
        case Verdict.START:
            return START
        case Verdict.WAIT:
            return Permit(state=DeliveryState.PENDING, reason=why)
        case Verdict.LATER:
            return Permit(state=DeliveryState.PENDING, reason=why, event=LATER, due_at=decision.due_at)
        case Verdict.DIGEST:
            return Permit(
                state=DeliveryState.PENDING,
                reason=why,
                event=DIGEST,
                due_at=decision.due_at,
                expires_at=decision.expires_at,
                digest=Frequency.WEEKLY,
            )
        case Verdict.SUPPRESSED | Verdict.EXPIRED | Verdict.CANCELLED:
            return Permit(state=DeliveryState(verdict.value), reason=why, event=verdict.value)
    assert_never(verdict)


async def _without_stopped(tx: Tx, digests: Mapping[UUID, int]) -> dict[int, Permit]:
    """Digests in which a message stands that was stopped since: it is taken out, and they are made anew.

    A paused message's deliveries wait for the next digest. digests: notice → its delivery.
    """
    if not digests:
        return {}
    stopped = (MessageState.PAUSED, MessageState.CANCELLED)
    rows = (
        await tx.execute(
            select(Delivery.id, Delivery.digest_notice_id, Message.state)
            .join(Message, Message.id == Delivery.message_id)
            .where(Delivery.digest_notice_id.in_(list(digests)), Message.state.in_(stopped))
        )
    ).all()
    if not rows:
        return {}
    await tx.execute(
        update(Delivery).where(Delivery.id.in_([row.id for row in rows])).values(digest_notice_id=None)
    )
    await cancel_rows(tx, [row.id for row in rows if row.state == MessageState.CANCELLED])
    touched = {row.digest_notice_id for row in rows}
    left = await tx.execute(select(Delivery.digest_notice_id).where(Delivery.digest_notice_id.in_(touched)))
    full = set(left.scalars())
    return {digests[notice]: _ANEW if notice in full else _EMPTY for notice in touched}


async def turn_away(tx: Tx, permits: Mapping[int, Permit]) -> None:
    """Rows that may not start: waiting ones go back, the others end, with the reason on record.

    A hold is a standing order and leaves no event on each row; a rule that puts a row off leaves one, once.
    """
    groups: dict[Permit, list[int]] = {}
    for id_, permit in permits.items():
        groups.setdefault(permit, []).append(id_)
    for permit, ids in groups.items():
        await tx.execute(update(Delivery).where(Delivery.id.in_(ids)).values(**_values(permit)))
        if permit.event:
            new = await _not_told(tx, ids, permit.reason) if permit.event == LATER else ids
            became = permit.state if permit.state.is_terminal else ""
            await note_events(tx, new, permit.event, permit.reason, state=became)
    await follow_digests(
        tx, [id_ for permit, ids in groups.items() if permit.state.is_terminal for id_ in ids]
    )


def _values(permit: Permit) -> dict[str, object]:
    values: dict[str, object] = {"state": permit.state, "lease_until": None, "owner": None}
    if permit.event:
        values["reason"] = permit.reason[:200]
    if permit.due_at:
        values["due_at"] = permit.due_at
    if permit.digest:
        values |= {"digest": permit.digest.value, "expires_at": permit.expires_at}
    return values


async def _not_told(tx: Tx, deliveries: Sequence[int], reason: str) -> list[int]:
    told = await tx.execute(
        select(DeliveryEvent.delivery_id).where(
            DeliveryEvent.delivery_id.in_(deliveries),
            DeliveryEvent.kind == LATER,
            DeliveryEvent.detail == reason[:200],
        )
    )
    before = set(told.scalars())
    return [id_ for id_ in deliveries if id_ not in before]


async def _sent_to(tx: Tx, people: Sequence[UUID]) -> dict[UUID, list[_Sent]]:
    """What went to each of them in seven days, alerts, answers and digests' contents apart."""
    await tx.execute(
        select(Subscriber.id).where(Subscriber.id.in_(people)).order_by(Subscriber.id).with_for_update()
    )
    older = Delivery.__table__.alias("older")
    oldest = (
        select(older.c.id)
        .where(older.c.contact_point_id == ContactPoint.id)
        .order_by(older.c.id.desc())
        .offset(NEWEST - 1)
        .limit(1)
        .correlate(ContactPoint)
        .scalar_subquery()
    )
    rows = await tx.execute(
        select(ContactPoint.subscriber_id, ContactPoint.medium, Delivery.message_id, Delivery.due_at)
        .join(Delivery, Delivery.contact_point_id == ContactPoint.id)
        .where(
            ContactPoint.subscriber_id.in_(people),
            Delivery.id >= func.coalesce(oldest, 0),
            Delivery.due_at > tx.now - WEEK,
            Delivery.state.in_(WENT),
            Delivery.lane.in_(BULK),
            Delivery.digest.is_(None),
        )
    )
    sent: dict[UUID, list[_Sent]] = {id_: [] for id_ in people}
    for row in rows:
        sent[row.subscriber_id].append(
            _Sent(message=row.message_id, at=row.due_at, is_text=row.medium == TEXT)
        )
    return sent


def _got(sent: Sequence[_Sent], message: UUID | None, midnight: datetime) -> Got:
    """One message is one, by however many media; the one in hand is not among the others."""
    others = {each.message for each in sent if each.message and each.message != message}
    return Got(messages=len(others), texts=sum(each.is_text and each.at >= midnight for each in sent))
