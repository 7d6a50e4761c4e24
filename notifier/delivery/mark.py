"""Writes the attempt before the provider is called (commit point C4): the last look, and the point of no return.

A short transaction without network. What may not start gets the state it deserves and frees its place at once.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Executable,
    Integer,
    String,
    column,
    func,
    insert,
    select,
    tuple_,
    update,
)

from notifier.db import Tx
from notifier.delivery.claim import LEAST_LEASE, Claimed, PutBack, put_back
from notifier.delivery.facts import kinds_of
from notifier.delivery.fast import POSTGRESQL, Shape, given, list_of, listed
from notifier.delivery.permit import judge, turn_away
from notifier.delivery.policy import NO_RULES, Rules
from notifier.models import Attempt, Delivery, DeliveryState
from subscribers.models import UTCDateTime

AFTER_TIMEOUT = timedelta(seconds=30)

Admit = Callable[[Tx, Sequence[Claimed]], Awaitable[Collection[PutBack]]]


async def mark(
    tx: Tx,
    claimed: Sequence[Claimed],
    owner: str,
    *,
    timeout_seconds: float | Mapping[str, float],
    factor: float = 1.0,
    rules: Rules = NO_RULES,
    admit: Admit | None = None,
) -> list[Claimed]:
    """Write the attempt of every row that may start: those, in the order given; the others get their states.

    Starts only rows still under this claim (fence) whose message is sending, whose channel is open,
    whose owner has not opted out, and whose time has not passed. Contact points are read FOR SHARE:
    an opt-out that has committed is seen, one that has not waits until these attempts are on record.
    timeout_seconds: of the channel, or of each channel. admit: asked, in this transaction, which of the rows
    that might start must wait after all (a breaker, a spending limit).
    """
    if not claimed:
        return []
    by_id = {row.id: row for row in claimed}
    kinds = await kinds_of(tx, by_id.values())
    ids, away = await judge(tx, kinds, rules)
    if away:
        await turn_away(tx, away)
    # A row whose lease ran out may be claimed again by the same worker, and stand here twice: it starts once.
    going = _among(by_id.values(), ids)
    if admit is not None and going:
        back = await admit(tx, going)
        await put_back(tx, back, owner)
        waiting = {each.id for each in back}
        going = [row for row in going if row.id not in waiting] if waiting else going
    started: list[int] = []
    start = _on_postgresql if tx.dialect == POSTGRESQL else _elsewhere
    for channel in sorted({row.channel for row in going}):
        until = tx.now + lease(timeout_seconds, channel, factor)
        started += await start(tx, [row for row in going if row.channel == channel], owner, until)
    return _among(going, started)


def _among(rows: Collection[Claimed], ids: Collection[int]) -> list[Claimed]:
    """Those of the rows, in their order. The ids are of rows that are there."""
    if len(ids) == len(rows):
        return list(rows)
    these = frozenset(ids)
    return [row for row in rows if row.id in these]


def lease(timeout_seconds: float | Mapping[str, float], channel: str, factor: float) -> timedelta:
    """How long a started row of that channel is its worker's. Pure."""
    each = timeout_seconds if isinstance(timeout_seconds, int | float) else timeout_seconds[channel]
    return max((timedelta(seconds=each) + AFTER_TIMEOUT) * factor, LEAST_LEASE)


# --- the statements ------------------------------------------------------------------------------


def _start(of: str) -> Executable:
    going = (
        func.unnest(listed("ids", BigInteger), listed("fences", Integer))
        .table_valued(column("id", BigInteger), column("fence", Integer))
        .render_derived("going")
    )
    started = (
        update(Delivery)
        .where(
            Delivery.id == going.c.id,
            Delivery.fence == going.c.fence,
            Delivery.state == DeliveryState.LEASED,
            Delivery.owner == given("owner", String),
        )
        .values(
            state=DeliveryState.STARTED, lease_until=given("until", UTCDateTime()), tries=Delivery.tries + 1
        )
        .returning(Delivery.id, Delivery.fence)
        .execution_options(synchronize_session=False)
        .cte("started")
    )
    rows = select(
        started.c.id,
        started.c.fence,
        given("now", UTCDateTime()),
        given("owner", String),
    )
    return (
        insert(Attempt)
        .from_select(["delivery_id", "number", "started_at", "owner"], rows)
        .returning(Attempt.delivery_id)
    )


_START = Shape(_start)


async def _on_postgresql(tx: Tx, going: Sequence[Claimed], owner: str, until: datetime) -> list[int]:
    ordered = sorted(going)  # two workers lock in the same order
    rows = await _START.rows(
        tx,
        ids=list_of([row.id for row in ordered]),
        fences=list_of([row.fence for row in ordered]),
        until=until,
        owner=owner,
        now=tx.now,
    )
    return [row[0] for row in rows]


async def _elsewhere(tx: Tx, going: Sequence[Claimed], owner: str, until: datetime) -> list[int]:
    rows = await tx.execute(
        update(Delivery)
        .where(
            tuple_(Delivery.id, Delivery.fence).in_([(row.id, row.fence) for row in going]),
            Delivery.state == DeliveryState.LEASED,
            Delivery.owner == owner,
        )
        .values(state=DeliveryState.STARTED, lease_until=until, tries=Delivery.tries + 1)
        .returning(Delivery.id, Delivery.fence)
    )
    started = rows.all()
    if started:
        await tx.execute(
            insert(Attempt),
            [
                {"delivery_id": row.id, "number": row.fence, "started_at": tx.now, "owner": owner}
                for row in started
            ],
        )
    return [row.id for row in started]
