"""Looks every few seconds at what concerns all workers: how many there are, whether the counters answer, a new day.

And tells the alarm address, if there is one, of alarms: when the doorbell says so, and by itself where it was lost.
"""

from datetime import timedelta

from notifier.db import Tx
from notifier.delivery import gate, spend
from notifier.delivery.alarms import AlarmKind, Herald, clear_alarm, mark_told, raise_alarm, untold
from notifier.delivery.standing import live_workers
from notifier.runtime import Service
from notifier.worker.governor import Governor

LOOK_SECONDS, LEAST_LOOK_SECONDS = 5.0, 0.2
RING_FIRST = timedelta(seconds=15)  # the doorbell's own job should have told by then
COUNTERS_LOST = (
    "the shared counters are away: workers keep to their share of the rates, sign-up texts are refused"
)


class Watch:
    """Of one worker."""

    def __init__(self, service: Service, governor: Governor) -> None:
        self._service, self._governor = service, governor
        self._factor, self._zone = service.settings.time_factor, service.settings.zone
        self._herald = Herald(service.settings.alarm_url) if service.settings.alarm_url else None
        self._said_lost: bool | None = None

    async def look(self) -> None:
        """One look."""
        await self._governor.pacer.ask_whether_lost()
        await self._service.db.attempt(self._look)
        await self.tell(raised_before=RING_FIRST * self._factor)

    async def tell(self, *, raised_before: timedelta = timedelta()) -> None:
        """Tell the alarm address of what it has not been told; what it does not take is told at a later look."""
        if self._herald is None:
            return
        async with self._service.db.transaction(read_only=True) as tx:
            alarms = [alarm for alarm in await untold(tx) if alarm.raised_at <= tx.now - raised_before]
        for alarm in alarms:
            if await self._herald.tell(alarm, service=self._service.settings.service_name):
                async with self._service.db.transaction() as tx:
                    await mark_told(tx, alarm.id)

    async def tidy(self) -> None:
        """Forget breakers that nobody has touched for long."""
        async with self._service.db.transaction() as tx:
            await gate.forget_old(tx)

    async def close(self) -> None:
        """Give back the connection to the alarm address."""
        if self._herald is not None:
            await self._herald.close()

    async def _look(self, tx: Tx) -> None:
        pacer = self._governor.pacer
        pacer.workers = max(await live_workers(tx), 1)
        if pacer.is_lost:
            await raise_alarm(tx, AlarmKind.COUNTERS, "", COUNTERS_LOST)
        elif self._said_lost is not False:
            await clear_alarm(tx, AlarmKind.COUNTERS, "")
        self._said_lost = pacer.is_lost
        await spend.clear_yesterday(tx, self._zone)
