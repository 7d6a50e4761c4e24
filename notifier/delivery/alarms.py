"""What an operator must know of, once: raised where it is noticed, cleared where it has passed.

Open alarms stand on the desk, in `/health/ready` and in the metrics, and go to the alarm address if there is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Row, Select, select, update

from channels.http import TROUBLE, Session
from notifier.db import Tx
from notifier.models import Alarm
from subscribers.dialects import insert_for

log = structlog.get_logger()

TELL_SECONDS = 5.0


class AlarmKind(StrEnum):
    """What went wrong. The alarm's key says where."""

    CHANNEL = "channel"  # key: the channel; credentials, credit or suspension
    LEDGER = "ledger"  # key: what the proof found wrong
    MESSAGE = "message"  # key: a message that paused itself
    ORPHANS = "orphans"  # key: the channel; receipts for attempts nobody knows
    SPEND = "spend"  # key: the channel, or channel and team, whose limit for the day is spent
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
    rows = await tx.execute(_read().where(Alarm.cleared_at.is_(None)))
    return [_open(row) for row in rows]


async def untold(tx: Tx) -> Sequence[OpenAlarm]:
    """Open alarms that have not gone to the alarm address yet."""
    rows = await tx.execute(_read().where(Alarm.cleared_at.is_(None), Alarm.told_at.is_(None)))
    return [_open(row) for row in rows]


async def mark_told(tx: Tx, alarm: int) -> None:
    """It has gone to the alarm address. Safe to repeat."""
    await tx.execute(update(Alarm).where(Alarm.id == alarm, Alarm.told_at.is_(None)).values(told_at=tx.now))


class Herald:
    """Tells the alarm address. Two workers may tell it of one alarm twice: `id` says that it is the same.

    url: https, or http on this machine; empty: there is none, and nothing is told. No redirect is followed.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = Session(
            f"{urlsplit(url).scheme}://{urlsplit(url).netloc}", total_seconds=TELL_SECONDS
        )

    async def tell(self, alarm: OpenAlarm, *, service: str) -> bool:
        """Whether the address took it. What it says holds ids and names of channels, nobody's address or words."""
        said = {
            "id": alarm.id,
            "kind": alarm.kind,
            "key": alarm.key,
            "detail": alarm.detail,
            "raised_at": alarm.raised_at.isoformat(),
            "service": service,
        }
        try:
            async with self._session.request("POST", self.url, json=said) as answer:
                return answer.status < 300
        except TROUBLE as error:
            log.warning("alarm_not_told", alarm=alarm.id, error=type(error).__name__)
            return False

    async def close(self) -> None:
        await self._session.close()


def _read() -> Select[Any]:
    return select(Alarm.__table__).order_by(Alarm.id)


def _open(row: Row[Any]) -> OpenAlarm:
    return OpenAlarm(id=row.id, kind=row.kind, key=row.key, detail=row.detail, raised_at=row.raised_at)
