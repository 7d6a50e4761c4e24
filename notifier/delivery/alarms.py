"""What an operator must know of, once: raised where it is noticed, cleared where it has passed.

Open alarms stand on the desk, in `/health/ready` and in the metrics, and go to the alarm address if there is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select, update

from notifier.db import Tx
from notifier.models import Alarm
from subscribers.dialects import insert_for


class AlarmKind(StrEnum):
    """What went wrong. The alarm's key says where."""

    CHANNEL = "channel"  # key: the channel; credentials, credit or suspension
    LEDGER = "ledger"  # key: what the proof found wrong
    MESSAGE = "message"  # key: a message that paused itself
    ORPHANS = "orphans"  # key: the channel; receipts for attempts nobody knows
    COUNTERS = "counters"  # key: empty; the shared counters are lost, each worker keeps to its share


@dataclass(frozen=True, kw_only=True)
class OpenAlarm:
    """An alarm nobody has cleared."""

    id: int
    kind: str
    key: str
    detail: str
    raised_at: datetime


async def raise_alarm(tx: Tx, kind: AlarmKind, key: str, detail: str) -> bool:
    """Open an alarm; False where the same one is open already. Safe to call again and again."""
    made = await tx.execute(
        insert_for(tx, Alarm)
        .on_conflict_do_nothing()
        .values(kind=kind.value, key=key[:120], detail=detail[:500], raised_at=tx.now)
    )
    if made.rowcount:
        tx.on_commit("alarm")
    return bool(made.rowcount)


async def clear_alarm(tx: Tx, kind: AlarmKind, key: str) -> None:
    """What was wrong is right again."""
    await tx.execute(
        update(Alarm)
        .where(Alarm.kind == kind.value, Alarm.key == key[:120], Alarm.cleared_at.is_(None))
        .values(cleared_at=tx.now)
    )


async def open_alarms(tx: Tx) -> Sequence[OpenAlarm]:
    """Every alarm nobody has cleared, the oldest first."""
    rows = await tx.execute(select(Alarm).where(Alarm.cleared_at.is_(None)).order_by(Alarm.id))
    return [
        OpenAlarm(id=row.id, kind=row.kind, key=row.key, detail=row.detail, raised_at=row.raised_at)
        for row in rows
    ]
