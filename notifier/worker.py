"""Serves the ledger: one loop for each lane, slots that send, a sweep, and the doorbell's jobs.

An edge: it opens the transactions. The in-process runner and `notifier work` are both this class;
with Redis, arq's own worker runs beside it under supervision and only rings. Losing the doorbell
costs seconds, since every loop also looks by itself.
"""

import asyncio
import contextlib
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import structlog
from arq import Worker as ArqWorker
from arq import func
from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError

from channels.base import Accepted, CanLookUp, Outcome
from notifier.broadcast import digest, plan
from notifier.delivery.canary import Canaries, Ended
from notifier.delivery.claim import Claimed, Started, claim, mark, release
from notifier.delivery.closing import close_page
from notifier.delivery.content import Contents
from notifier.delivery.policy import rules_of
from notifier.delivery.send import send
from notifier.delivery.settle import Change, decide, record, resolve
from notifier.delivery.sweep import InDoubt, forget_leases, forgotten, sweep, take_doubtful
from notifier.inbox import receive
from notifier.inbox.handle import handle
from notifier.jobs import USUAL_LANE, Jobs, RedisJobs, pack, queue, redis_settings
from notifier.models import Lane
from notifier.runtime import Service
from notifier.staff import sessions
from subscribers.retention import drop_old_sign_ups

log = structlog.get_logger()

Groups = asyncio.Queue[list[Claimed]]
POLL_SECONDS = {Lane.URGENT: 1.0, Lane.TRANSACTIONAL: 1.0, Lane.WARD: 2.0, Lane.BULLETIN: 2.0}
SLOTS = {Lane.URGENT: 8, Lane.TRANSACTIONAL: 4}
SWEEP_SECONDS = 5.0
LEAST_SWEEP_SECONDS = 0.2
LOOK_SECONDS = 1.0
TIDY_SECONDS = 3600.0
STOP_SECONDS = 30.0
ALL_LANES = tuple(Lane)

T = TypeVar("T")


class Worker:
    """One process's share of the work. `run` serves until `stop`; then what is started is finished."""

    def __init__(self, service: Service, jobs: Jobs, lanes: Sequence[Lane] = ALL_LANES) -> None:
        self.service, self.jobs, self.lanes = service, jobs, lanes
        self.owner = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._factor = service.settings.time_factor
        self._rules = rules_of(service.settings)
        self._canaries = Canaries()
        self._contents = Contents(service.settings, service.channels, service.db.keys)
        self._bells = {lane: asyncio.Event() for lane in lanes}
        self._stopping = asyncio.Event()
        self._random = secrets.SystemRandom()

    @property
    def handlers(self) -> Mapping[str, Callable[..., Awaitable[None]]]:
        """What each job of the doorbell does."""
        return {"wake": self._wake, "plan": self._plan, "close": self._close, "route": self._route}

    async def run(self) -> None:
        """Serve until `stop` is called."""
        if self.service.db.is_sqlite:  # the only sender there: whatever an earlier one held, it has lost
            async with self.service.db.transaction() as tx:
                await forget_leases(tx)
        async with asyncio.TaskGroup() as tasks:
            loops = [tasks.create_task(self._serve(lane)) for lane in self.lanes]
            loops.append(tasks.create_task(self._every(SWEEP_SECONDS, self._sweep)))
            loops.append(tasks.create_task(self._every(LOOK_SECONDS, self._look)))
            loops.append(tasks.create_task(self._every(TIDY_SECONDS, self._tidy)))
            helpers = [tasks.create_task(self.jobs.run(self._guarded()))]
            if isinstance(self.jobs, RedisJobs):
                helpers.append(tasks.create_task(self._supervise_arq()))
            await asyncio.wait(loops)
            for helper in helpers:
                helper.cancel()
        async with self.service.db.transaction() as tx:
            await release(tx, self.owner)

    def stop(self) -> None:
        """Take no more; finish what is started. Safe to call twice."""
        self._stopping.set()
        for bell in self._bells.values():
            bell.set()

    async def drain(self) -> None:
        """Serve every lane until nothing is due: for tests and commands that wait."""
        for lane in self.lanes:
            while rows := await self._claim(lane, 100):
                for group in self._groups(lane, rows):
                    await self._deliver(group)

    # --- lanes ------------------------------------------------------------------------------

    async def _serve(self, lane: Lane) -> None:
        slots = SLOTS.get(lane, self.service.settings.slots)
        groups: Groups = asyncio.Queue(maxsize=slots)
        senders = [asyncio.create_task(self._slot(groups)) for _ in range(slots)]
        while not self._stopping.is_set():
            self._bells[lane].clear()
            rows = await self._quietly(self._claim(lane, slots * 5), "claim")
            for group in self._groups(lane, rows or []):
                await groups.put(group)
            if not rows:
                await self._rest(self._bells[lane], POLL_SECONDS[lane])
        while not groups.empty():
            groups.get_nowait()  # leased, not started: released at the end of `run`
            groups.task_done()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await groups.join()
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    async def _slot(self, groups: Groups) -> None:
        while True:
            group = await groups.get()
            try:
                await self._quietly(self._deliver(group), "deliver")
            finally:
                groups.task_done()

    async def _claim(self, lane: Lane, limit: int) -> list[Claimed]:
        async with self.service.db.transaction() as tx:
            return await claim(tx, lane, limit, self.owner, factor=self._factor)

    def _groups(self, lane: Lane, rows: Sequence[Claimed]) -> list[list[Claimed]]:
        """As many rows as one slot may start at a time (*M*): a killed worker can repeat no more."""
        groups: list[list[Claimed]] = []
        for name in dict.fromkeys(row.channel for row in rows):
            channel = self.service.channels.get(name)
            size = 1 if channel is None or lane is Lane.URGENT else channel.capabilities.slot_rows
            mine = [row for row in rows if row.channel == name]
            groups += [mine[at : at + size] for at in range(0, len(mine), size)] if channel else []
        return groups

    async def _deliver(self, group: list[Claimed]) -> None:
        """Mark, send, settle: three acts, no transaction across the network."""
        timeout = self.service.channels[group[0].channel].capabilities.timeout_seconds
        async with self.service.db.transaction() as tx:
            started = await mark(
                tx, group, self.owner, timeout_seconds=timeout, factor=self._factor, rules=self._rules
            )
            words = await self._contents.load(tx, started)
        if not started:
            return
        done = await send(self.service.channels, self._contents, started, words)
        async with self.service.db.transaction() as tx:
            await record(
                tx,
                [
                    decide(outcome, tried, now=tx.now, jitter=self._random.random(), factor=self._factor)
                    for tried, outcome in done
                ],
            )
            messages = {delivery.id: delivery.message_id for delivery in started}
            ended = [Ended(message_id=messages[tried.id], outcome=outcome) for tried, outcome in done]
            stopped = await self._canaries.observe(tx, ended)
        for message in stopped:
            log.warning("message_paused_itself", message=str(message))
        for tried, outcome in done:
            say = log.debug if isinstance(outcome, Accepted) else log.info
            say("tried", delivery=tried.id, attempt=tried.number, outcome=type(outcome).__name__)

    # --- the sweep, and what is in doubt --------------------------------------------------------

    async def _sweep(self) -> None:
        async with self.service.db.transaction() as tx:
            swept = await sweep(tx, factor=self._factor)
        if swept.returned or swept.doubted or swept.expired:
            log.info("swept", returned=swept.returned, doubted=swept.doubted, expired=swept.expired)
        for message in swept.unclosed:
            await self._close(str(message))
        await self._resolve_doubts()
        await self._gather_digests()

    async def _gather_digests(self) -> None:
        """A page of people in each transaction, until nothing more is due."""
        done = False
        while not done and not self._stopping.is_set():
            async with self.service.db.transaction() as tx:
                done = (await digest.plan_page(tx, self.service.settings)).done

    async def _look(self) -> None:
        """Do what nobody was told of: the doorbell may be lost, the rows are not."""
        async with self.service.db.transaction(read_only=True) as tx:
            found = await forgotten(tx)
        for job, id_ in found:
            await self._guarded()[job](id_)

    async def _tidy(self) -> None:
        """Forget what has had its time: sign-ups nobody confirmed, sessions nobody uses."""
        async with self.service.db.transaction() as tx:
            await drop_old_sign_ups(tx)
            await sessions.drop_old(tx)

    async def _resolve_doubts(self) -> None:
        kinds = {name: c.capabilities.idempotency for name, c in self.service.channels.items()}
        async with self.service.db.transaction() as tx:
            doubtful = await take_doubtful(tx, kinds, factor=self._factor)
            starts = [_as_started(doubt) for doubt in doubtful]
            words = await self._contents.load(tx, starts)
        found = [
            await self._look_up(doubt, start, words.get(start.id))
            for doubt, start in zip(doubtful, starts, strict=True)
        ]
        if not doubtful:
            return
        async with self.service.db.transaction() as tx:
            changes: list[Change] = [
                resolve(outcome, doubt.tried, now=tx.now, factor=self._factor)
                for doubt, outcome in zip(doubtful, found, strict=True)
            ]
            await record(tx, changes)
            tx.on_commit("wake")

    async def _look_up(self, doubt: InDoubt, start: Started, words: Any) -> Outcome | None:
        channel = self.service.channels.get(doubt.channel)
        if channel is None or not isinstance(channel, CanLookUp):
            return None
        return await channel.look_up(self._contents.outgoing(start, words))

    # --- the doorbell -----------------------------------------------------------------------------

    async def _wake(self, _lane: str = "") -> None:
        for bell in self._bells.values():
            bell.set()

    async def _plan(self, message: str) -> None:
        """Plan a message page by page; each page is a transaction, and safe to run twice."""
        done = False
        while not done and not self._stopping.is_set():
            async with self.service.db.transaction() as tx:
                done = await plan.plan_page(tx, UUID(message))

    async def _close(self, message: str) -> None:
        """End what a cancelled message has not started, page by page."""
        done = False
        while not done and not self._stopping.is_set():
            async with self.service.db.transaction() as tx:
                done = await close_page(tx, UUID(message))

    async def _route(self, incoming: str) -> None:
        """Handle one stored message. A fault of its own is counted, so that it cannot come back for ever."""
        service, id_ = self.service, UUID(incoming)
        try:
            async with service.db.transaction() as tx:
                await handle(tx, id_, service.resolvers, service.settings)
        except (OperationalError, InterfaceError, OSError):
            raise  # the database is away: the message is not to blame
        except Exception as error:
            async with service.db.transaction() as tx:
                await receive.failed(tx, id_, f"could not be handled: {type(error).__name__}")
            raise

    def _guarded(self) -> dict[str, Callable[..., Awaitable[None]]]:
        """The handlers, where a fault is logged and left to the sweep."""

        def guarded(name: str, handler: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
            async def run(*ids: str) -> None:
                await self._quietly(handler(*ids), name)

            return run

        return {name: guarded(name, handler) for name, handler in self.handlers.items()}

    async def _supervise_arq(self) -> None:
        """Run arq's worker, and build a new one whenever Redis takes it down; delay doubling to 2 s."""
        delay = 0.1
        while True:
            worker = self._arq_worker()
            try:
                await worker.async_run()
            except (RedisError, OSError, RuntimeError) as error:
                log.warning("doorbell_lost", error=type(error).__name__)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await worker.pool.aclose(close_connection_pool=True)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)

    def _arq_worker(self) -> ArqWorker:
        async def served(ctx: dict[Any, Any], *ids: str, name: str) -> None:
            await self._guarded()[name](*ids)

        def named(name: str) -> Any:
            async def run(ctx: dict[Any, Any], *ids: str) -> None:
                await served(ctx, *ids, name=name)

            return func(run, name=name, keep_result=0, timeout=60)

        return ArqWorker(
            functions=[named(name) for name in self.handlers],
            redis_settings=redis_settings(self.service.settings.redis_url, patient=True),
            queue_name=queue(USUAL_LANE),
            handle_signals=False,
            job_serializer=pack,
            job_deserializer=json.loads,
            keep_result=0,
            max_jobs=4,
            poll_delay=0.1,
            health_check_interval=30,
        )

    # --- how loops behave ---------------------------------------------------------------------

    async def _every(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            await self._quietly(act(), act.__name__)
            await self._rest(self._stopping, max(seconds * self._factor, LEAST_SWEEP_SECONDS))

    async def _quietly(self, work: Awaitable[T], name: str) -> T | None:
        """A loop outlives a fault: the rows keep what was to be done, and the sweep brings it back."""
        try:
            return await work
        except Exception as error:
            log.exception("loop_failed", loop=name, error=type(error).__name__)
            await self._rest(self._stopping, 1.0)
            return None

    @staticmethod
    async def _rest(bell: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await bell.wait()


def _as_started(doubt: InDoubt) -> Started:
    tried = doubt.tried
    return Started(
        id=tried.id,
        number=tried.number,
        channel=doubt.channel,
        medium=doubt.medium,
        address=doubt.address,
        language=doubt.language,
        lane=tried.lane,
        tries=tried.tries,
        checks=tried.checks,
        maybe_repeat=tried.maybe_repeat,
        expires_at=tried.expires_at,
        contact_point_id=tried.contact_point_id,
        link_version=0,
        message_id=doubt.message_id,
        notice_id=doubt.notice_id,
    )
