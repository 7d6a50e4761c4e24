"""What every process does beside sending: the sweep, look-ups of what is in doubt, digests, old things forgotten."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

import structlog

from channels.base import CanLookUp, Idempotency, Outcome, Throttled
from notifier.broadcast import digest, probe
from notifier.delivery import receipts
from notifier.delivery.content import Contents, Personal, Ready
from notifier.delivery.doubt import InDoubt, claimed_by_others, take_doubtful
from notifier.delivery.evidence import unclaimed
from notifier.delivery.send import tried
from notifier.delivery.settle import resolve
from notifier.delivery.settled import record
from notifier.delivery.sweep import Swept, rescue, sweep
from notifier.jobs import Handler
from notifier.runtime import Service
from notifier.staff import sessions
from subscribers.homes import fill_places
from subscribers.retention import drop_old_sign_ups

log = structlog.get_logger()

RESTS = 50  # times as long as a rescue took
LONGEST_LOOK_UP_SECONDS = 60.0


class Upkeep:
    """Of one worker."""

    def __init__(self, service: Service, contents: Contents, close: Handler, stopping: asyncio.Event) -> None:
        self._service, self._contents, self._close, self._stopping = service, contents, close, stopping
        self._factor = service.settings.time_factor
        self._rescue_at = {False: 0.0, True: 0.0}  # not before: by whether bulk lanes are looked through

    async def sweep(self) -> None:
        """Everything that lapsed, page by page; then doubts whose wait is over, and digests that are due."""
        more = True
        while more and not self._stopping.is_set():
            swept: Swept = await self._service.db.attempt(lambda tx: sweep(tx, factor=self._factor))
            more = swept.more
            _say(swept)
            for message in swept.unclosed:
                await self._close(str(message))
        await self.resolve_doubts()
        await self.gather_digests()

    async def rescue(self) -> None:
        """What a lost worker held: an alert must not wait for the whole sweep.

        The longer it takes to look through what is open, the more seldom that is done: the sweep does it too.
        """
        for bulk in (False, True):
            began = time.monotonic()
            if began >= self._rescue_at[bulk]:
                _say(
                    await self._service.db.attempt(
                        partial(rescue, factor=self._factor, bulk=bulk), by_index=True
                    )
                )
                self._rescue_at[bulk] = began + RESTS * (time.monotonic() - began)
        if ended := await self._service.db.end_standing():
            log.warning("ended_standing_sessions", number=ended)

    async def tidy(self) -> None:
        """Forget what has had its time, match late receipts, ask addresses that return mail, and place homes whose
        postcode came later."""
        async with self._service.db.transaction() as tx:
            await drop_old_sign_ups(tx)
            await sessions.drop_old(tx)
        await self._service.db.attempt(receipts.match_late_orphans)
        await self._service.db.attempt(partial(probe.tend, settings=self._service.settings))
        await self._place_homes()

    async def _place_homes(self) -> None:
        """A page of people in each transaction."""
        filled = await self._service.db.attempt(fill_places)
        while filled.last is not None and not self._stopping.is_set():
            filled = await self._service.db.attempt(partial(fill_places, after=filled.last))

    async def resolve_doubts(self) -> None:
        """Ask the providers for what is in doubt; each answer is written by itself."""
        async with self._service.db.transaction() as tx:
            doubtful = await take_doubtful(tx, factor=self._factor)
            starts = [doubt.started for doubt in doubtful]
            words = await self._contents.load(tx, starts)
            numbers = await self._contents.numbers(tx, starts, words)
            claimed = {start.id: await claimed_by_others(tx, start) for start in starts}
        open_ones = [start for start in starts if start.channel in self._service.channels]
        ready = self._contents.compiled(open_ones, words)
        personal = self._contents.personal(starts, numbers)
        for doubt, own in zip(doubtful, personal, strict=True):
            start = doubt.started
            found = await self._look_up(doubt, ready.get(start.id, ""), own, claimed[start.id])
            await self._write(doubt, found)

    async def _write(self, doubt: InDoubt, found: Outcome | None) -> None:
        start = doubt.started
        channel = self._service.channels.get(start.channel)
        kind = channel.capabilities.idempotency if channel else Idempotency.NONE
        async with self._service.db.transaction() as tx:
            found = await unclaimed(tx, found, delivery=start.id, contact_point=start.contact_point_id)
            change = resolve(found, tried(start, kind), now=tx.now, factor=self._factor)
            await record(tx, [change])
            if change.provider_id:
                names = {change.provider_id: (start.id, start.number)}
                await receipts.match_orphans(tx, start.channel, names)
            tx.on_commit("wake", lane=start.lane.name.lower())

    async def _look_up(
        self, doubt: InDoubt, ready: Ready | str, personal: Personal, claimed: Sequence[str]
    ) -> Outcome | None:
        channel = self._service.channels.get(doubt.started.channel)
        if not isinstance(channel, CanLookUp) or isinstance(ready, str):
            return None
        try:
            message = self._contents.outgoing(doubt.started, ready, personal)
            async with asyncio.timeout(LONGEST_LOOK_UP_SECONDS):
                return await channel.look_up(message, since=doubt.since, claimed=claimed)
        except Exception as error:
            log.warning("look_up_failed", channel=doubt.started.channel, error=type(error).__name__)
            return Throttled(after_seconds=0, reason="the look-up failed")

    async def gather_digests(self) -> None:
        """A page of people in each transaction, until nothing more is due."""
        done = False
        while not done and not self._stopping.is_set():
            step = await self._service.db.attempt(lambda tx: digest.plan_page(tx, self._service.settings))
            done = step.done


def _say(swept: Swept) -> None:
    if swept.returned or swept.doubted or swept.held or swept.expired:
        log.info(
            "swept",
            returned=swept.returned,
            doubted=swept.doubted,
            held=swept.held,
            expired=swept.expired,
        )
