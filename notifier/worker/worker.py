"""One process's share of the work: its pipelines and what stands around them."""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from notifier.db import is_away
from notifier.delivery.claim import release
from notifier.delivery.content import Contents
from notifier.delivery.sweep import forget_leases
from notifier.jobs import Handler, Jobs
from notifier.models import Lane
from notifier.runtime import Service
from notifier.worker.detours import DETOUR_SECONDS, LEAST_DETOUR_SECONDS, Detours
from notifier.worker.doorbell import Doorbell
from notifier.worker.governor import Governor
from notifier.worker.heartbeat import BEAT_SECONDS, LEAST_BEAT_SECONDS, Heartbeat
from notifier.worker.loops import every
from notifier.worker.pictures import LEAST_LOOK_SECONDS as LEAST_FETCH_SECONDS
from notifier.worker.pictures import LOOK_SECONDS as FETCH_SECONDS
from notifier.worker.pictures import Pictures
from notifier.worker.pipeline import Pipeline
from notifier.worker.poller import LEAST_LOOK_SECONDS as LEAST_POLL_SECONDS
from notifier.worker.poller import LOOK_SECONDS as POLL_SECONDS
from notifier.worker.poller import Poller
from notifier.worker.proving import LEAST_PROVE_SECONDS, PROVE_SECONDS, Proving
from notifier.worker.upkeep import Upkeep
from notifier.worker.watch import LEAST_LOOK_SECONDS as LEAST_WATCH_SECONDS
from notifier.worker.watch import LOOK_SECONDS as WATCH_SECONDS
from notifier.worker.watch import Watch

log = structlog.get_logger()

SWEEP_SECONDS, RESCUE_SECONDS, LEAST_SWEEP_SECONDS = 10.0, 2.0, 0.2
LOOK_SECONDS = {Lane.URGENT: 0.5, Lane.TRANSACTIONAL: 0.5, Lane.WARD: 2.0, Lane.BULLETIN: 2.0}
TIDY_SECONDS = 3600.0
ALL_LANES = tuple(Lane)


class Worker:
    """`run` serves until `stop`; then what is started is finished, and what is leased given back."""

    def __init__(self, service: Service, jobs: Jobs, lanes: Sequence[Lane] = ALL_LANES) -> None:
        self.service, self.lanes, self.governor = service, lanes, Governor(service)
        self.owner = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._factor = service.settings.time_factor
        self._contents = Contents(service.settings, service.channels, service.db.keys)
        self._stopping = asyncio.Event()
        self._pipelines = {lane: self._pipeline(lane) for lane in lanes}
        self._watch = Watch(service, self.governor)
        self._doorbell = Doorbell(service, jobs, self._pipelines, self._stopping, alarm=self._watch.tell)
        self._upkeep = Upkeep(service, self._contents, self._doorbell.close, self._stopping)

        self._detours = Detours(service, self._stopping)
        self._poller, self._pictures = Poller(service), Pictures(service)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What each job of the doorbell does."""
        return self._doorbell.handlers

    async def run(self) -> None:
        """Serve until `stop` is called."""
        if self.service.db.is_sqlite:  # the only sender there: whatever an earlier one held, it has lost
            async with self.service.db.transaction() as tx:
                await forget_leases(tx)
        async with self.service.db.apart() as aside, asyncio.TaskGroup() as tasks:
            over = asyncio.Event()
            heart = Heartbeat(aside, self.owner, list(self._pipelines.values()), factor=self._factor)
            beating = tasks.create_task(
                every(BEAT_SECONDS, heart.beat, over, factor=self._factor, least=LEAST_BEAT_SECONDS)
            )
            ringing = tasks.create_task(self._doorbell.serve())
            proving = tasks.create_task(self._prove())
            looks = [(look, POLL_SECONDS, LEAST_POLL_SECONDS) for look in self._poller.looks.values()]
            if self._pictures.is_wanted:
                looks.append((self.fetch_pictures, FETCH_SECONDS, LEAST_FETCH_SECONDS))
            asking = [tasks.create_task(self._ask(*each)) for each in looks]
            serving = [tasks.create_task(pipeline.run()) for pipeline in self._pipelines.values()]
            serving += [tasks.create_task(self._look(lane)) for lane in self.lanes]
            serving.append(tasks.create_task(self._sweep()))
            serving.append(tasks.create_task(self._rescue()))
            serving.append(tasks.create_task(self._tidy()))
            serving.append(tasks.create_task(self._watch_over()))
            if self._detours.is_wanted:
                serving.append(tasks.create_task(self._find_ways()))
            await asyncio.wait(serving)
            for cut_short in (ringing, proving, *asking):
                cut_short.cancel()
            over.set()  # not cancelled: its connection must come back whole
            await beating
            await self._leave(heart)
        await self._watch.close()

    def stop(self) -> None:
        """Take no more; finish what is started. Safe to call twice."""
        self._stopping.set()
        for pipeline in self._pipelines.values():
            pipeline.stop()

    async def drain(self) -> None:
        """Serve every lane until nothing is due: for tests and commands that wait."""
        for lane in self.lanes:
            await self._pipeline(lane).run(until_idle=True)

    async def sweep(self) -> None:
        """One sweep now, with what follows it: for tests and commands that wait."""
        await self._upkeep.sweep()

    async def gather_digests(self) -> None:
        """Plan the digests that are due now: for tests and commands that wait."""
        await self._upkeep.gather_digests()

    async def fail_over(self) -> int:
        """Move what waits for a channel out of order, now: for tests and commands that wait."""
        return await self._detours.look()

    async def poll(self) -> None:
        """Ask every channel that must be asked and whose time has come: for tests and commands that wait."""
        for look in self._poller.looks.values():
            await look()

    async def fetch_pictures(self) -> int:
        """Fetch the pictures whose time has come: for tests and commands that wait."""
        return await self._pictures.look()

    def _pipeline(self, lane: Lane) -> Pipeline:
        return Pipeline(self.service, lane, self.owner, contents=self._contents, seams=self.governor)

    async def _leave(self, heart: Heartbeat) -> None:
        """Give back what is leased. While the database is away that is left to the sweep of others."""
        try:
            async with self.service.db.transaction() as tx:
                await release(tx, self.owner)
                await heart.leave(tx)
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("left_in_silence", error=type(error).__name__)

    async def _look(self, lane: Lane) -> None:
        async def look() -> None:
            await self._doorbell.look([lane])

        await every(LOOK_SECONDS[lane], look, self._stopping, factor=1.0, least=LOOK_SECONDS[lane])

    async def _sweep(self) -> None:
        await every(
            SWEEP_SECONDS, self._upkeep.sweep, self._stopping, factor=self._factor, least=LEAST_SWEEP_SECONDS
        )

    async def _ask(self, look: Callable[[], Awaitable[object]], seconds: float, least: float) -> None:
        """Ask a provider. Cut short at the stop: what was told and not committed is told again."""
        await every(seconds, look, asyncio.Event(), factor=self._factor, least=least)

    async def _prove(self) -> None:
        """Cut short at the stop: it is found again. A worker for what cannot wait leaves it to the others."""
        if Lane.BULLETIN in self.lanes:
            look = Proving(self.service).look
            await every(PROVE_SECONDS, look, asyncio.Event(), factor=self._factor, least=LEAST_PROVE_SECONDS)

    async def _watch_over(self) -> None:
        look = self._watch.look
        await every(WATCH_SECONDS, look, self._stopping, factor=self._factor, least=LEAST_WATCH_SECONDS)

    async def _rescue(self) -> None:
        await every(
            RESCUE_SECONDS,
            self._upkeep.rescue,
            self._stopping,
            factor=self._factor,
            least=LEAST_SWEEP_SECONDS,
        )

    async def _find_ways(self) -> None:
        look = self.fail_over
        await every(DETOUR_SECONDS, look, self._stopping, factor=self._factor, least=LEAST_DETOUR_SECONDS)

    async def _tidy(self) -> None:
        async def tidy() -> None:
            await self._upkeep.tidy()
            await self._watch.tidy()

        await every(TIDY_SECONDS, tidy, self._stopping, factor=self._factor, least=LEAST_SWEEP_SECONDS)
