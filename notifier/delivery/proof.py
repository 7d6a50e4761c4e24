"""Proves the ledger: every message adds up, every state follows from its record, nobody is written to twice.

Reads only, page by page, while sending goes on; what looks wrong is read again before it is said. `notifier doctor
--ledger` shows what it finds, and once a night the worker raises an alarm for it (`nightly.py`).
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Row, func, select

from notifier.db import Tx
from notifier.delivery.findings import (
    MOST_KEPT,
    OPEN,
    Counted,
    Digest,
    Finding,
    History,
    Kind,
    Proved,
    wrong_with,
    wrong_with_message,
)
from notifier.delivery.replay import Attempted, Noted, Said
from notifier.models import Attempt, Delivery, DeliveryEvent, Message, MessageState, ReceiptRow
from subscribers.models import ContactPoint

PAGE = 5000
AT_ONCE = 500
MESSAGES = 200
COMPARED_AT_ONCE = 500_000  # deliveries whose addresses one statement compares
READ_AGAIN = 2
BEFORE_READING_AGAIN = 0.2  # seconds
BEYOND = 2**62

Reading = Callable[[], AbstractAsyncContextManager[Tx]]
Told = Callable[[int], None]
T = TypeVar("T")


async def prove(
    reading: Reading, *, refuse_repeats: Collection[str] = (), told: Told | None = None
) -> Proved:
    """Look at every delivery and every message. Changes nothing.

    reading: opens a read-only transaction, handed in by an edge. refuse_repeats: channels whose provider refuses a
    second copy, so that two tries there need no flag. told: called with the number of deliveries read so far.
    """
    proved = Proved()
    rows: dict[UUID, Counted] = defaultdict(Counted)
    async for page in _pages(reading, refuse_repeats):
        proved.deliveries += page.read
        for message, state, number in page.by_message:
            rows[message].add(state, number)
        proved.add(page.findings)
        if told:
            told(proved.deliveries)
    await _prove_messages(reading, rows, proved)
    return proved


async def add_up(reading: Reading) -> Proved:
    """Look only whether every message has its audience's number of deliveries, none of them open once it is done."""
    proved = Proved()
    after: list[UUID] = []
    while page := await _messages(reading, after):
        async with reading() as tx:
            proved.add(await _counted(tx, [row.id for row in page]))
        proved.messages += len(page)
        after = [page[-1].id]
    return proved


# --- Deliveries ---------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Page:
    """Some deliveries in the order of their ids, and what is wrong with them. last: None where no more come."""

    last: int | None
    read: int
    findings: list[Finding]
    by_message: list[tuple[UUID, str, int]]


async def _pages(reading: Reading, refuse_repeats: Collection[str]) -> AsyncIterator[_Page]:
    after: int | None = 0
    while after is not None:
        page = await _examined(reading, after, BEYOND, refuse_repeats)
        for _ in range(READ_AGAIN):
            if page.findings:
                await asyncio.sleep(BEFORE_READING_AGAIN)
                page.findings = await _still(reading, page, refuse_repeats)
        yield page
        after = page.last


async def _still(reading: Reading, page: _Page, refuse_repeats: Collection[str]) -> list[Finding]:
    """What is still wrong when it is read again, of deliveries that stood still meanwhile."""
    until = BEYOND if page.last is None else page.last
    wrong = [finding.delivery for finding in page.findings if finding.delivery is not None]
    first, last = min(wrong) - 1, max(wrong)
    async with reading() as tx:
        before = await _standing(tx, wrong)
    again = await _examined(reading, first, min(last, until), refuse_repeats)
    async with reading() as tx:
        after = await _standing(tx, wrong)
    found = set(again.findings)
    return [
        finding
        for finding in page.findings
        if finding in found and before.get(finding.delivery) == after.get(finding.delivery)
    ]


async def _standing(tx: Tx, ids: Sequence[int]) -> Mapping[int | None, tuple[str, int]]:
    rows = await tx.execute(
        select(Delivery.id, Delivery.state, Delivery.fence).where(
            Delivery.id.between(min(ids), max(ids)), Delivery.id.in_(ids[:MOST_KEPT])
        )
    )
    return {row.id: (row.state, row.fence) for row in rows}


async def _examined(reading: Reading, after: int, until: int, refuse_repeats: Collection[str]) -> _Page:
    """One page: four statements, five where digests are among them."""
    async with reading() as tx:
        rows = (
            await tx.execute(
                select(
                    Delivery.id,
                    Delivery.message_id,
                    Delivery.channel,
                    Delivery.state,
                    Delivery.fence,
                    Delivery.maybe_repeat,
                    Delivery.digest_notice_id,
                )
                .where(Delivery.id > after, Delivery.id <= until)
                .order_by(Delivery.id)
                .limit(PAGE)
            )
        ).all()
        is_last = len(rows) < PAGE
        last = until if is_last else rows[-1].id
        waits = any(row.digest_notice_id for row in rows)
        history = await _history(tx, after, last, waits_in_digests=waits)
    findings = [
        Finding(kind=Kind.STRAY, delivery=id_, detail="an attempt of a delivery that is not there")
        for id_ in sorted(history.attempts.keys() - {row.id for row in rows})
    ]
    for number, row in enumerate(rows):
        findings += wrong_with(row, history, refuse_repeats)
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)  # whoever sends in this process goes on
    return _Page(
        last=None if is_last else rows[-1].id,
        read=len(rows),
        findings=findings,
        by_message=_by_message(rows),
    )


async def _history(tx: Tx, after: int, last: int, *, waits_in_digests: bool) -> History:
    attempt, event, receipt = Attempt, DeliveryEvent, ReceiptRow
    attempts = await tx.execute(
        select(attempt.delivery_id, attempt.number, attempt.outcome, attempt.became).where(
            attempt.delivery_id > after, attempt.delivery_id <= last
        )
    )
    events = await tx.execute(
        select(event.delivery_id, event.id, event.number, event.kind, event.state).where(
            event.delivery_id > after, event.delivery_id <= last
        )
    )
    receipts = await tx.execute(
        select(receipt.delivery_id, receipt.number, receipt.progress).where(
            receipt.delivery_id > after, receipt.delivery_id <= last
        )
    )
    digests = await _digests(tx, after, last) if waits_in_digests else {}
    return History(
        attempts=_by_delivery(attempts, Attempted),
        events=_by_delivery(events, Noted),
        receipts=_by_delivery(receipts, Said),
        digests=digests,
    )


def _by_delivery(rows: Iterable[Row[Any]], kind: Callable[..., T]) -> dict[int, list[T]]:
    """Rows that begin with a delivery's id, made into something and gathered under it."""
    found: dict[int, list[T]] = defaultdict(list)
    for row in rows:
        found[row[0]].append(kind(*row[1:]))
    return found


async def _digests(tx: Tx, after: int, last: int) -> Mapping[int, Digest]:
    digest = Delivery.__table__.alias("digest")
    found = await tx.execute(
        select(
            Delivery.id,
            digest.c.state,
            (digest.c.contact_point_id == Delivery.contact_point_id).label("same"),
        )
        .outerjoin(digest, digest.c.notice_id == Delivery.digest_notice_id)
        .where(Delivery.id > after, Delivery.id <= last, Delivery.digest_notice_id.is_not(None))
    )
    return {row.id: Digest(row.state, is_same_address=bool(row.same)) for row in found}


def _by_message(rows: Sequence[Row[Any]]) -> list[tuple[UUID, str, int]]:
    counted: dict[tuple[UUID, str], int] = defaultdict(int)
    for row in rows:
        if row.message_id is not None:
            counted[row.message_id, row.state] += 1
    return [(message, state, number) for (message, state), number in counted.items()]


# --- Messages -------------------------------------------------------------------------------


async def _prove_messages(reading: Reading, rows: Mapping[UUID, Counted], proved: Proved) -> None:
    after: list[UUID] = []
    while page := await _messages(reading, after):
        wrong = [f.message for row in page for f in wrong_with_message(row, rows.get(row.id, Counted()))]
        if wrong:  # counted page by page: one that is being planned or ended may have moved between them
            async with reading() as tx:
                proved.add(await _counted(tx, [each for each in wrong if each]))
        for portion in _portions([row.id for row in page], rows):
            async with reading() as tx:
                proved.add(await _doubles(tx, portion))
        proved.messages += len(page)
        after = [page[-1].id]


async def _messages(reading: Reading, after: Sequence[UUID]) -> Sequence[Row[Any]]:
    async with reading() as tx:
        return (
            await tx.execute(
                select(Message.id, Message.state, Message.audience_count)
                .where(Message.state != MessageState.DRAFT, *(Message.id > each for each in after))
                .order_by(Message.id)
                .limit(MESSAGES)
            )
        ).all()


def _portions(messages: Iterable[UUID], rows: Mapping[UUID, Counted]) -> Iterator[list[UUID]]:
    """Messages side by side until together they have too many deliveries for one statement."""
    portion: list[UUID] = []
    together = 0
    for message in messages:
        number = rows[message].all if message in rows else 0
        if portion and together + number > COMPARED_AT_ONCE:
            yield portion
            portion, together = [], 0
        portion.append(message)
        together += number
    if portion:
        yield portion


async def _counted(tx: Tx, messages: Collection[UUID]) -> list[Finding]:
    """What is wrong with some messages, all their deliveries counted in one statement."""
    counted = await tx.execute(
        select(
            Message.id,
            Message.state,
            Message.audience_count,
            func.count(Delivery.id).label("all"),
            func.count(Delivery.id).filter(Delivery.state.in_(OPEN)).label("open"),
        )
        .outerjoin(Delivery, Delivery.message_id == Message.id)
        .where(Message.id.in_(messages))
        .group_by(Message.id, Message.state, Message.audience_count)
        .order_by(Message.id)
    )
    return [each for row in counted for each in wrong_with_message(row, Counted(row.all, row.open))]


async def _doubles(tx: Tx, messages: Sequence[UUID]) -> list[Finding]:
    rows = await tx.execute(
        select(
            Delivery.message_id,
            func.count().label("number"),
            func.min(Delivery.id).label("first"),
            func.max(Delivery.id).label("last"),
        )
        .join(ContactPoint, ContactPoint.id == Delivery.contact_point_id)
        .where(Delivery.message_id.in_(messages))
        .group_by(Delivery.message_id, ContactPoint.medium, ContactPoint.address_hash)
        .having(func.count() > 1)
        .order_by(func.min(Delivery.id))
        .limit(MOST_KEPT)
    )
    return [
        Finding(
            kind=Kind.DOUBLE,
            message=row.message_id,
            delivery=row.last,
            detail=f"{row.number} deliveries for one address, from {row.first} to {row.last}",
        )
        for row in rows
    ]
