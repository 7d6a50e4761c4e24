"""The doorbell: a port of two methods, `poke` and `run`, with two implementations.

A job is a name and ids, never content. Every job may be lost, doubled or late: the rows say what
is to be done, and the sweeper finds what nobody was told of. `InProcessJobs` serves one process;
`RedisJobs` goes through arq, whose workers `notifier.worker` supervises.
"""

import asyncio
import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

log = structlog.get_logger()

Handler = Callable[..., Awaitable[None]]
PATIENCE_SECONDS = 0.25
LANES = ("urgent", "transactional", "ward", "bulletin")
USUAL_LANE = "transactional"
WAKE = "wake"  # told to every lane where none is named


class Jobs(ABC):
    """Who is to be told that there is work."""

    @abstractmethod
    async def poke(self, job: str, *ids: str, lane: str = "") -> None:
        """Say that there may be work. Never raises and never waits long: a lost poke costs seconds.

        lane: whose queue it goes to; none: the usual one, and for `wake` every one.
        """

    @abstractmethod
    async def run(self, handlers: Mapping[str, Handler]) -> None:
        """Serve pokes until cancelled. Lanes do not wait for each other. A `wake` is given its lane."""

    async def close(self) -> None:
        """Give back connections."""
        return


class InProcessJobs(Jobs):
    """Pokes kept in this process, one queue a lane; equal pokes that wait are one."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[tuple[str, ...], None]] = {lane: {} for lane in LANES}
        self._rings = {lane: asyncio.Event() for lane in LANES}

    async def poke(self, job: str, *ids: str, lane: str = "") -> None:
        for each in queues_of(job, lane):
            self._waiting[each][(job, *ids)] = None
            self._rings[each].set()

    def take(self, lanes: Sequence[str] = LANES) -> tuple[str, Sequence[str]] | None:
        """The next poke that waits in these lanes, as (job, what its handler is given); None: no more."""
        for lane in lanes:
            for job, *ids in self._waiting[lane]:
                del self._waiting[lane][(job, *ids)]
                return job, [lane] if job == WAKE else ids
        return None

    async def run(self, handlers: Mapping[str, Handler]) -> None:
        async with asyncio.TaskGroup() as serving:
            for lane in LANES:
                serving.create_task(self._serve(lane, handlers))

    async def _serve(self, lane: str, handlers: Mapping[str, Handler]) -> None:
        while True:
            await self._rings[lane].wait()
            while found := self.take((lane,)):
                job, given = found
                handler = handlers.get(job)
                if handler is None:  # poked by a newer release: its own workers serve it
                    log.warning("job_unknown", job=job)
                    continue
                await handler(*given)
            self._rings[lane].clear()


class RedisJobs(Jobs):
    """Pokes as arq jobs in Redis, JSON both ways. `run` waits for ever: arq's own worker serves them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: ArqRedis | None = None
        self._opening = asyncio.Lock()

    async def poke(self, job: str, *ids: str, lane: str = "") -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                pool = await self._open()
                for each in queues_of(job, lane):
                    given = [each] if job == WAKE else ids
                    name = ":".join((job, *given))
                    await pool.enqueue_job(job, *given, _job_id=name, _queue_name=queue(each))
        except (TimeoutError, RedisError, OSError) as error:
            log.warning("poke_lost", job=job, error=type(error).__name__)

    async def run(self, handlers: Mapping[str, Handler]) -> None:
        await asyncio.Event().wait()

    async def _open(self) -> ArqRedis:
        async with self._opening:
            if self._pool is None:
                self._pool = await create_pool(
                    redis_settings(self._url, patient=False), job_serializer=pack, job_deserializer=json.loads
                )
            return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            with contextlib.suppress(RedisError, OSError):
                await self._pool.aclose(close_connection_pool=True)
            self._pool = None


def queues_of(job: str, lane: str) -> tuple[str, ...]:
    """The lanes whose queues a poke goes to. Pure."""
    if lane:
        return (lane,)
    return LANES if job == WAKE else (USUAL_LANE,)


def queue(lane: str) -> str:
    """The name of a lane's queue in Redis. Pure."""
    return f"notifier:jobs:{lane}"


def pack(job: dict[str, Any]) -> bytes:
    """A job as JSON: arq's default, pickle, would let whoever writes to Redis run code."""
    return json.dumps(job, default=repr).encode()


def redis_settings(url: str, *, patient: bool) -> RedisSettings:
    """Settings for a worker, which outlives a restart of Redis, or for a poke, which does not wait."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_timeout = 1
    settings.conn_retries = 5 if patient else 0
    if patient:
        settings.retry = Retry(ExponentialBackoff(cap=1, base=0.1), 20)
        settings.retry_on_error = [RedisError, OSError]
    return settings
