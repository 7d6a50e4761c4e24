"""Holds: nothing of the whole service, of one channel or of one team starts while one stands.

The mark reads them (`facts.standing_holds`), so nothing starts once a hold has committed but what a slot has
marked already; claims leave held channels alone. Called by the desk and by `notifier hold`.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select

from notifier.db import Tx
from notifier.errors import Conflict, Invalid
from notifier.models import Hold, HoldScope, Officer, Team
from notifier.staff import audit
from subscribers.dialects import insert_for

LONGEST_REASON = 300
OFFICER = "officer:"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A hold that stands. name: of the channel or team, empty for the system. by: an officer's name, or the actor."""

    scope: HoldScope
    key: str
    name: str
    reason: str
    by: str
    since: datetime


async def place(tx: Tx, scope: HoldScope, key: str, *, reason: str, by: str) -> None:
    """Hold from the commit on. key: a channel's name, a team's id, or empty. by: the actor of the audit.

    Whether there is such a channel or team is the caller's to check. Raises Invalid without a reason, and
    Conflict where it is held already.
    """
    words = " ".join(reason.split())
    if not words:
        raise Invalid({"reason": "Say why, for those who wonder what happened."})
    made = await tx.execute(
        insert_for(tx, Hold)
        .on_conflict_do_nothing()
        .values(scope=scope, key=key, reason=words[:LONGEST_REASON], by=by[:60], since=tx.now)
    )
    if not made.rowcount:
        raise Conflict("It is held already.")
    await audit.record(
        tx,
        by,
        "held",
        object_kind=f"sending_{scope.value}",
        object_id=key or "-",
        reason=words[:LONGEST_REASON],
    )


async def lift(tx: Tx, scope: HoldScope, key: str, *, by: str) -> None:
    """Let it go on. Raises Conflict where nothing is held."""
    gone = await tx.execute(delete(Hold).where(Hold.scope == scope, Hold.key == key))
    if not gone.rowcount:
        raise Conflict("It is not held.")
    await audit.record(tx, by, "released", object_kind=f"sending_{scope.value}", object_id=key or "-")
    tx.on_commit("wake")


async def standing(tx: Tx) -> list[Standing]:
    """Every hold that stands, the widest first."""
    rows = (await tx.execute(select(Hold.__table__).order_by(Hold.since))).all()
    if not rows:
        return []
    teams = await _names(tx, Team, [row.key for row in rows if row.scope == HoldScope.TEAM])
    officers = await _names(tx, Officer, [row.by.removeprefix(OFFICER) for row in rows])
    found = [
        Standing(
            scope=HoldScope(row.scope),
            key=row.key,
            name=teams.get(row.key, row.key),
            reason=row.reason,
            by=officers.get(row.by.removeprefix(OFFICER), row.by),
            since=row.since,
        )
        for row in rows
    ]
    order = list(HoldScope)
    return sorted(found, key=lambda hold: order.index(hold.scope))


async def _names(tx: Tx, table: type[Team | Officer], texts: Iterable[str]) -> dict[str, str]:
    """Names of teams or officers by their id as text; what is no id is left out."""
    ids = []
    for text in texts:
        with contextlib.suppress(ValueError):
            ids.append(UUID(text))
    rows = await tx.execute(select(table.id, table.name).where(table.id.in_(ids)))
    return {str(row.id): row.name for row in rows}
