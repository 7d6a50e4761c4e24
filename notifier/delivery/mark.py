"""Writes the attempt before the provider is called (commit point C4): the last look, and the point of no return.

A short transaction without network. What may not start gets the state it deserves and frees its place at once.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
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
from notifier.delivery.facts import FACTS, cases_of, standing_holds
from notifier.delivery.fast import POSTGRESQL, Shape, given
from notifier.delivery.permit import judge, turn_away
from notifier.delivery.policy import NO_RULES, Rules
from notifier.models import Attempt, Delivery, DeliveryState, Lane
from subscribers.models import UTCDateTime

AFTER_TIMEOUT = timedelta(seconds=30)

Admit = Callable[[Tx, Sequence[Claimed]], Awaitable[Collection[PutBack]]]


class Started(NamedTuple):
    """A row whose attempt is on record: it must be sent and settled, or it will be in doubt.

    number: of the attempt, the claim's fence. tries: this one counted. team_id: of the message or notice.
    """

    id: int
    number: int
    channel: str
    medium: str
    address: str
    language: str
    lane: Lane
    tries: int
    checks: int
    maybe_repeat: bool
    expires_at: datetime
    contact_point_id: UUID
    link_version: int
    message_id: UUID | None
    notice_id: UUID | None
    team_id: UUID | None


async def mark(
    tx: Tx,
    claimed: Sequence[Claimed],
    owner: str,
    *,
    timeout_seconds: float | Mapping[str, float],
    factor: float = 1.0,
    rules: Rules = NO_RULES,
    admit: Admit | None = None,
) -> list[Started]:
    """Write the attempt of every row that may start, in the order given; the others get their states.

    Starts only rows still under this claim (fence) whose message is sending, whose channel is open,
    whose owner has not opted out, and whose time has not passed. Contact points are read FOR SHARE:
    an opt-out that has committed is seen, one that has not waits until these attempts are on record.
    timeout_seconds: of the channel, or of each channel. admit: asked, in this transaction, which of the rows
    that might start must wait after all (a breaker, a spending limit).
    """
    if not claimed:
        return []
    by_id = {row.id: row for row in claimed}
    found = await FACTS.rows(tx, ids=sorted(by_id))
    held = await standing_holds(tx)
    ours = [row for row in found if row[1] == DeliveryState.LEASED and row[2] == by_id[row[0]].fence]
    cases = dict(cases_of(ours, tx.now, held))
    permits = await judge(tx, cases, rules)
    if not all(permit.starts for permit in permits.values()):
        await turn_away(tx, permits)
    # A row whose lease ran out may be claimed again by the same worker, and stand here twice: it starts once.
    going = [row for row in by_id.values() if row.id in permits and permits[row.id].starts]
    if admit is not None and going:
        back = await admit(tx, going)
        await put_back(tx, back, owner)
        waiting = {each.id for each in back}
        going = [row for row in going if row.id not in waiting]
    if not going:
        return []
    leases = {name: tx.now + lease(timeout_seconds, name, factor) for name in {row.channel for row in going}}
    start = _on_postgresql if tx.dialect == POSTGRESQL else _elsewhere
    started = await start(tx, going, owner, leases)
    return [
        Started(*row[:7], row.tries + 1, *row[8:])  # type: ignore[arg-type]
        for row in going
        if row.id in started
    ]


def lease(timeout_seconds: float | Mapping[str, float], channel: str, factor: float) -> timedelta:
    """How long a started row of that channel is its worker's. Pure."""
    each = timeout_seconds if isinstance(timeout_seconds, int | float) else timeout_seconds[channel]
    return max((timedelta(seconds=each) + AFTER_TIMEOUT) * factor, LEAST_LEASE)


# --- the statements ------------------------------------------------------------------------------


def _start(of: str) -> Executable:
    going = (
        func.unnest(
            given("ids", ARRAY(BigInteger)),
            given("fences", ARRAY(Integer)),
            given("leases", ARRAY(UTCDateTime)),
        )
        .table_valued(column("id", BigInteger), column("fence", Integer), column("lease", UTCDateTime()))
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
        .values(state=DeliveryState.STARTED, lease_until=going.c.lease, tries=Delivery.tries + 1)
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


async def _on_postgresql(
    tx: Tx, going: Sequence[Claimed], owner: str, leases: Mapping[str, datetime]
) -> set[int]:
    ordered = sorted(going)  # two workers lock in the same order
    rows = await _START.rows(
        tx,
        ids=[row.id for row in ordered],
        fences=[row.fence for row in ordered],
        leases=[leases[row.channel] for row in ordered],
        owner=owner,
        now=tx.now,
    )
    return {row[0] for row in rows}


async def _elsewhere(
    tx: Tx, going: Sequence[Claimed], owner: str, leases: Mapping[str, datetime]
) -> set[int]:
    started: list[Any] = []
    for channel, until in leases.items():
        pairs = [(row.id, row.fence) for row in going if row.channel == channel]
        rows = await tx.execute(
            update(Delivery)
            .where(
                tuple_(Delivery.id, Delivery.fence).in_(pairs),
                Delivery.state == DeliveryState.LEASED,
                Delivery.owner == owner,
            )
            .values(state=DeliveryState.STARTED, lease_until=until, tries=Delivery.tries + 1)
            .returning(Delivery.id, Delivery.fence)
        )
        started += rows.all()
    if started:
        await tx.execute(
            insert(Attempt),
            [
                {"delivery_id": id_, "number": fence, "started_at": tx.now, "owner": owner}
                for id_, fence in started
            ],
        )
    return {id_ for id_, _ in started}
