"""What a provider later says of an attempt: kept raw, and applied by rank, in whatever order it comes.

A receipt finds its attempt by our own token, which the channel gave the provider. One that brings the provider's
id alone is an orphan until that id is known: `match_orphans` when the attempt is settled, `match_late_orphans`
where it was settled before. No index serves that last search: it would cost every attempt of every channel.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, exists, func, select, update

from channels.base import Progress, Receipt
from notifier.db import Tx
from notifier.delivery.alarms import AlarmKind, clear_alarm, raise_alarm
from notifier.delivery.record import follow_digests
from notifier.delivery.replay import STATE, is_superseded, outweighs
from notifier.delivery.tokens import read_attempt_token
from notifier.models import Alarm, Attempt, Delivery, DeliveryState, Notice, NoticeKind, ReceiptRow
from subscribers import standing
from subscribers.dialects import insert_for
from subscribers.models import ContactPoint

RAW = "receipts.raw"
ORPHANS_WITHIN = timedelta(minutes=10)
TOO_MANY_ORPHANS = 20
LATEST_ORPHAN = timedelta(days=4)  # providers tell for three days
PAGE = 1000


async def record(tx: Tx, channel: str, receipt: Receipt, *, delivery: int | None = None) -> bool:
    """Keep a receipt and raise its delivery's state. False where it was known already.

    delivery: named by a bounce address, where no attempt token came back. A receipt whose attempt is
    unknown is kept as an orphan. A repeated event id changes nothing, but may give an orphan its attempt.
    """
    named = read_attempt_token(tx.keys, receipt.attempt) if receipt.attempt else None
    found, number = named or (delivery, None)
    if found is None:
        found, number = await _of_a_sibling(tx, channel, receipt.provider_id)
    event_id = receipt.event_id[:200]
    stored = await tx.execute(
        insert_for(tx, ReceiptRow)
        .on_conflict_do_nothing(index_elements=["channel", "event_id"])
        .values(
            channel=channel,
            event_id=event_id,
            provider_id=receipt.provider_id[:200] or None,
            delivery_id=found,
            number=number,
            progress=receipt.progress,
            raw_sealed=tx.keys.seal(RAW, f"{channel}/{receipt.event_id}", receipt.raw),
            code=receipt.code[:40] or None,
            permanent=receipt.permanent,
            opted_out=receipt.opted_out,
            at=tx.now,
        )
    )
    if stored.rowcount == 0 and (found is None or not await _adopt(tx, (channel, event_id), found, number)):
        return False
    if found is None:
        await _watch_orphans(tx, channel)
        return True
    await _apply(tx, found, number, receipt.progress, code=receipt.code, provider_id=receipt.provider_id)
    await _count(tx, found, number, receipt)
    return True


async def match_orphans(tx: Tx, channel: str, settled: Mapping[str, tuple[int, int]]) -> int:
    """Apply what came before the settle with the provider's id alone; how many receipts found their attempt.

    settled: the provider's id → (delivery, number of the attempt), of attempts that were just settled.
    """
    if not settled:
        return 0
    rows = await tx.execute(
        select(
            ReceiptRow.event_id,
            ReceiptRow.provider_id,
            ReceiptRow.progress,
            ReceiptRow.code,
            ReceiptRow.permanent,
            ReceiptRow.opted_out,
        )
        .where(
            ReceiptRow.channel == channel,
            ReceiptRow.provider_id.in_(list(settled)),
            ReceiptRow.delivery_id.is_(None),
        )
        .order_by(ReceiptRow.id)
        .with_for_update(skip_locked=True)  # whoever holds one is giving it its attempt
    )
    found = rows.all()
    for row in found:
        delivery, number = settled[row.provider_id]
        if await _adopt(tx, (channel, row.event_id), delivery, number):
            told = _kept(row)
            await _apply(tx, delivery, number, told.progress, code=told.code, provider_id=told.provider_id)
            await _count(tx, delivery, number, told)
    return len(found)


async def match_late_orphans(tx: Tx) -> int:
    """Apply what came with the provider's id alone after the settle; how many found their attempt.

    Reads every attempt once, and only where there is such a receipt of the last days: for once an hour.
    """
    recent = (
        ReceiptRow.delivery_id.is_(None),
        ReceiptRow.provider_id.is_not(None),
        ReceiptRow.at > tx.now - LATEST_ORPHAN,
    )
    if not await tx.scalar(select(exists().where(*recent))):
        return 0
    by_attempt = (
        select(
            ReceiptRow.channel, ReceiptRow.provider_id, Attempt.delivery_id.label("delivery"), Attempt.number
        )
        .join(Attempt, Attempt.provider_id == ReceiptRow.provider_id)
        .join(Delivery, (Delivery.id == Attempt.delivery_id) & (Delivery.channel == ReceiptRow.channel))
    )
    by_look_up = select(  # found in a look-up: the delivery has the id, its attempt never got one
        ReceiptRow.channel,
        ReceiptRow.provider_id,
        Delivery.id.label("delivery"),
        Delivery.fence.label("number"),
    ).join(
        Delivery,
        (Delivery.provider_id == ReceiptRow.provider_id) & (Delivery.channel == ReceiptRow.channel),
    )
    settled: dict[str, dict[str, tuple[int, int]]] = {}
    queries: tuple[Select[*tuple[Any, ...]], ...] = (by_look_up, by_attempt)
    for query in queries:
        rows = await tx.execute(query.where(*recent).order_by(ReceiptRow.id).limit(PAGE))
        for row in rows:
            settled.setdefault(row.channel, {})[row.provider_id] = (row.delivery, row.number)
    return sum([await match_orphans(tx, channel, ids) for channel, ids in settled.items()])


async def ease_orphan_alarms(tx: Tx) -> None:
    """Clear the alarm of each channel whose receipts find their attempts again."""
    kind = AlarmKind.ORPHANS
    for channel in (
        (await tx.execute(select(Alarm.key).where(Alarm.kind == kind.value, Alarm.cleared_at.is_(None))))
        .scalars()
        .all()
    ):
        if await _recent_orphans(tx, channel) < TOO_MANY_ORPHANS:
            await clear_alarm(tx, kind, channel)


async def _of_a_sibling(tx: Tx, channel: str, provider_id: str) -> tuple[int | None, int | None]:
    """The attempt of an earlier receipt about the same thing."""
    if not provider_id:
        return None, None
    row = (
        await tx.execute(
            select(ReceiptRow.delivery_id, ReceiptRow.number)
            .where(
                ReceiptRow.channel == channel,
                ReceiptRow.provider_id == provider_id[:200],
                ReceiptRow.delivery_id.is_not(None),
            )
            .limit(1)
        )
    ).first()
    return (row.delivery_id, row.number) if row else (None, None)


async def _adopt(tx: Tx, event: tuple[str, str], delivery: int, number: int | None) -> bool:
    """Give an orphan its attempt; False where it has one."""
    channel, event_id = event
    given = await tx.execute(
        update(ReceiptRow)
        .where(
            ReceiptRow.channel == channel,
            ReceiptRow.event_id == event_id,
            ReceiptRow.delivery_id.is_(None),
        )
        .values(delivery_id=delivery, number=number)
    )
    return given.rowcount > 0


async def _apply(
    tx: Tx, delivery: int, number: int | None, progress: Progress, *, code: str, provider_id: str
) -> None:
    old = await tx.scalar(select(Delivery.state).where(Delivery.id == delivery).with_for_update())
    if old is None:
        return
    new = STATE[progress]
    if not outweighs(new, DeliveryState(old)):
        return
    if new is DeliveryState.UNDELIVERED and number is not None:
        newest = await tx.scalar(select(func.max(Attempt.number)).where(Attempt.delivery_id == delivery))
        if is_superseded(new, number, newest or 0):
            return
    values: dict[str, Any] = {"state": new, "lease_until": None, "owner": None}
    values["reason"] = f"the provider says {progress} ({code[:40]})" if code else None
    if provider_id:
        values["provider_id"] = provider_id[:200]
    await tx.execute(update(Delivery).where(Delivery.id == delivery).values(**values))
    await follow_digests(tx, [delivery])


async def _count(tx: Tx, delivery: int, number: int | None, receipt: Receipt) -> None:
    """What a receipt says of the address itself: the same rules, whichever way it was told."""
    if receipt.progress is Progress.SENT and not (receipt.permanent or receipt.opted_out):
        return
    row = (
        await tx.execute(
            select(Delivery.contact_point_id, Notice.kind, ContactPoint.bounced_at)
            .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
            .outerjoin(Notice, Notice.id == Delivery.notice_id)
            .where(Delivery.id == delivery)
        )
    ).one_or_none()
    if row is None:
        return
    point: UUID = row.contact_point_id
    if receipt.progress is Progress.COMPLAINED or receipt.opted_out:
        source = "complaint" if receipt.progress is Progress.COMPLAINED else "provider"
        await standing.ended_by_owner(tx, point, source=source)
    elif receipt.progress is Progress.BOUNCED or receipt.permanent:
        is_probe = row.kind == NoticeKind.PROBE
        weight = standing.weigh(receipt.code, permanent=receipt.permanent, probe=is_probe)
        await standing.bounced(tx, point, weight)
    elif receipt.progress is Progress.DELIVERED and row.bounced_at is not None:
        tries = select(func.max(Attempt.started_at)).where(Attempt.delivery_id == delivery)
        started = await tx.scalar(tries if number is None else tries.where(Attempt.number == number))
        await standing.delivered(tx, point, started_at=started)


def _kept(row: Row[Any]) -> Receipt:
    """A receipt as it was kept, but for its raw words."""
    return Receipt(
        event_id=row.event_id,
        provider_id=row.provider_id,
        attempt="",
        progress=Progress(row.progress),
        at=None,
        raw=b"",
        code=row.code or "",
        permanent=row.permanent,
        opted_out=row.opted_out,
    )


async def _watch_orphans(tx: Tx, channel: str) -> None:
    """Raise the alarm where many receipts find no attempt; not counted again while it stands."""
    stands = exists().where(
        Alarm.kind == AlarmKind.ORPHANS.value, Alarm.key == channel, Alarm.cleared_at.is_(None)
    )
    if await tx.scalar(select(stands)) or await _recent_orphans(tx, channel) < TOO_MANY_ORPHANS:
        return
    detail = f"{TOO_MANY_ORPHANS} receipts of {channel} within 10 minutes name no attempt of ours"
    await raise_alarm(tx, AlarmKind.ORPHANS, channel, detail)


async def _recent_orphans(tx: Tx, channel: str) -> int:
    """How many of the last ten minutes, but no more than are too many."""
    recent = (
        select(ReceiptRow.id)
        .where(
            ReceiptRow.delivery_id.is_(None),
            ReceiptRow.channel == channel,
            ReceiptRow.at > tx.now - ORPHANS_WITHIN,
        )
        .limit(TOO_MANY_ORPHANS)
        .subquery()
    )
    found: int = await tx.scalar(select(func.count()).select_from(recent))
    return found
