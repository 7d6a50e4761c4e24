"""The doorbell: what each job does, and arq's own workers, one for each lane's queue, under supervision.

Losing it costs seconds, since every loop also looks by itself.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from arq import Worker as ArqWorker
from arq import func
from redis.exceptions import RedisError

from channels.mailread import Mail
from notifier.broadcast import plan
from notifier.db import is_away
from notifier.delivery.closing import close_page
from notifier.delivery.sweep import forgotten
from notifier.inbox import receive
from notifier.inbox.handle import handle
from notifier.inbox.read import waiting_mail
from notifier.inbox.reader import Reader, TooCostly
from notifier.jobs import Handler, Jobs, RedisJobs, pack, queue, redis_settings
from notifier.models import Lane
from notifier.runtime import Service
from notifier.worker.loops import quietly
from notifier.worker.pipeline import Pipeline

log = structlog.get_logger()

LONGEST_JOB_SECONDS = 600
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.1, 2.0
# How often a lane's queue is looked at: each look costs a millisecond, also while others are busy.
POLL_DELAY_SECONDS = {Lane.URGENT: 0.1, Lane.TRANSACTIONAL: 0.2, Lane.WARD: 0.5, Lane.BULLETIN: 0.5}


class Doorbell:
    """The jobs of one worker, for the lanes it serves."""

    def __init__(
        self,
        service: Service,
        jobs: Jobs,
        pipelines: Mapping[Lane, Pipeline],
        stopping: asyncio.Event,
        *,
        alarm: Handler,
    ) -> None:
        self._service, self._jobs, self._alarm = service, jobs, alarm
        self._pipelines, self._stopping = pipelines, stopping
        self._planning: set[str] = set()
        self._reader = Reader()

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """What each job does."""
        return {
            "wake": self.wake,
            "plan": self.plan,
            "close": self.close,
            "route": self.route,
            "alarm": self._alarm,
        }

    @property
    def guarded(self) -> Mapping[str, Handler]:
        """The handlers, where a fault is logged and left to the sweep. Jobs nobody here knows do nothing."""

        def guard(name: str, handler: Handler) -> Handler:
            async def run(*ids: str) -> None:
                await quietly(handler(*ids), name, self._stopping)

            return run

        return {name: guard(name, handler) for name, handler in self.handlers.items()}

    async def serve(self) -> None:
        """Until cancelled: pokes of this process, or through Redis arq's workers."""
        try:
            if not isinstance(self._jobs, RedisJobs):
                await self._jobs.run(self.guarded)
                return
            async with asyncio.TaskGroup() as tasks:
                for lane in self._pipelines:
                    tasks.create_task(self._supervise(lane.name.lower()))
        finally:
            await self._reader.close()

    async def look(self, lanes: Sequence[Lane]) -> None:
        """Do what nobody was told of: the doorbell may be lost, the rows are not."""
        async with self._service.db.transaction() as tx:
            found = await forgotten(tx, lanes)
        for job, id_ in found:
            if id_ not in self._planning:
                await self.guarded[job](id_)

    # --- the jobs ----------------------------------------------------------------------------------

    async def wake(self, lane: str = "") -> None:
        """Rows of that lane, or of any, may be due now."""
        for each, pipeline in self._pipelines.items():
            if lane in ("", each.name.lower()):
                pipeline.bell.set()

    async def plan(self, message: str) -> None:
        """Plan a message page by page, each a transaction, and safe to run twice; other jobs run between them."""
        self._planning.add(message)
        try:
            done = False
            while not done and not self._stopping.is_set():
                done = await self._service.db.attempt(
                    lambda tx: plan.plan_page(tx, UUID(message)), point="C2"
                )
                await asyncio.sleep(0)
        finally:
            self._planning.discard(message)

    async def close(self, message: str) -> None:
        """End what a cancelled message has not started, page by page."""
        done = False
        while not done and not self._stopping.is_set():
            done = await self._service.db.attempt(lambda tx: close_page(tx, UUID(message)))
            await asyncio.sleep(0)

    async def route(self, incoming: str) -> None:
        """Handle one stored message. A fault of its own is counted, so that it cannot come back for ever."""
        service, id_ = self._service, UUID(incoming)
        try:
            mail = await self._read(id_)
            await service.db.attempt(
                lambda tx: handle(tx, id_, service.resolvers, service.settings, mail=mail)
            )
        except TooCostly as error:
            async with service.db.transaction() as tx:
                await receive.set_aside(tx, id_, str(error))
        except Exception as error:
            if not is_away(error):  # or the message is not to blame
                async with service.db.transaction() as tx:
                    await receive.failed(tx, id_, f"could not be handled: {type(error).__name__}")
            raise

    async def _read(self, incoming: UUID) -> Mail | None:
        """A mail that is not small, read before anything is locked for it; None for all else."""
        async with self._service.db.transaction(read_only=True) as tx:
            raw = await waiting_mail(tx, incoming)
        return await self._reader.read(raw) if raw is not None else None

    # --- arq ---------------------------------------------------------------------------------------

    async def _supervise(self, lane: str) -> None:
        """Run arq's worker of a lane, and build a new one whenever Redis takes it down; delay doubling to 2 s."""
        delay = FIRST_DELAY_SECONDS
        while True:
            worker = self._arq_worker(lane)
            try:
                await worker.async_run()
            except (RedisError, OSError, RuntimeError) as error:
                log.warning("doorbell_lost", lane=lane, error=type(error).__name__)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await worker.pool.aclose(close_connection_pool=True)
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    def _arq_worker(self, lane: str) -> ArqWorker:
        def served(name: str) -> Any:
            async def run(_context: dict[Any, Any], *ids: str) -> None:
                await self.guarded[name](*ids)

            job: Any = run  # arq's type knows no further arguments
            return func(job, name=name, keep_result=0, timeout=LONGEST_JOB_SECONDS)

        return ArqWorker(
            functions=[served(name) for name in self.handlers],
            redis_settings=redis_settings(self._service.settings.redis_url, patient=True),
            queue_name=queue(lane),
            handle_signals=False,
            job_serializer=pack,
            job_deserializer=json.loads,
            keep_result=0,
            max_jobs=4,
            poll_delay=POLL_DELAY_SECONDS[Lane[lane.upper()]],
            health_check_interval=30,
        )
