"""How far channels that must be asked have been read, and who asks: one process at a time, by a lease on the row.

What came and the new cursor are committed together: a process that dies between the answer and the commit has read
nothing, and the next one is told the same again. Called by the worker's `poller`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import or_, select, update

from channels.base import Event
from notifier.db import Tx
from notifier.inbox import events as events_in
from notifier.models import Poll
from subscribers.dialects import insert_for

EVERY = timedelta(seconds=60)
LONGEST_WAIT = timedelta(minutes=15)
LEASE = timedelta(seconds=90)  # longer than any poll may take


class Taken(NamedTuple):
    """The right to ask a channel until then, with the cursor to ask with. failures: since it last went well."""

    channel: str
    cursor: str
    until: datetime
    failures: int


async def take(tx: Tx, channel: str) -> Taken | None:
    """The right to ask, where its time has come and nobody else has it. Of all who ask at once, one gets it."""
    row = (await tx.execute(select(Poll.next_at).where(Poll.channel == channel))).first()
    if row is None:
        await tx.execute(insert_for(tx, Poll).on_conflict_do_nothing().values(channel=channel))
    elif row.next_at and row.next_at > tx.now:
        return None
    until = tx.now + LEASE
    taken = await tx.execute(
        update(Poll)
        .where(Poll.channel == channel, or_(Poll.next_at.is_(None), Poll.next_at <= tx.now))
        .values(next_at=until)
        .returning(Poll.cursor, Poll.failures)
    )
    given = taken.first()
    return Taken(channel, given.cursor, until, given.failures) if given else None


async def keep(tx: Tx, taken: Taken, events: Sequence[Event], cursor: str, *, factor: float = 1.0) -> bool:
    """Keep what came, and go on from the new cursor. False, and nothing kept, where the right had run out.

    Safe to run twice: each event is kept once by its id. Where something came there may be more: it is asked again
    at once.
    """
    more = bool(events) and cursor != taken.cursor
    moved = await _end(
        tx,
        taken,
        cursor=cursor,
        polled_at=tx.now,
        next_at=tx.now if more else tx.now + EVERY * factor,
        failures=0,
        reason="",
    )
    if moved:
        for event in events:
            await events_in.keep(tx, taken.channel, event)
    return moved


async def failed(
    tx: Tx, taken: Taken, reason: str, *, after_seconds: float = 0.0, factor: float = 1.0
) -> None:
    """It could not be asked: again later, doubling to a quarter of an hour, or when the provider said."""
    wait = min(EVERY * 2.0 ** min(taken.failures, 10), LONGEST_WAIT)
    wait = max(wait, timedelta(seconds=max(after_seconds, 0.0)))
    failures = min(taken.failures + 1, 1000)
    await _end(tx, taken, next_at=tx.now + wait * factor, failures=failures, reason=reason[:200])


async def _end(tx: Tx, taken: Taken, **values: object) -> bool:
    """Only while the right is still ours."""
    ended = await tx.execute(
        update(Poll).where(Poll.channel == taken.channel, Poll.next_at == taken.until).values(**values)
    )
    return bool(ended.rowcount)
