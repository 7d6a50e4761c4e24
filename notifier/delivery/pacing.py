"""Keeps every provider, sender and mail domain below its rate, and slows down where a provider asks.

The worker asks before it marks: a row that must wait goes back with the time at which its turn comes. Rates are
NOTIFIER_RATES. Without the shared counters each worker keeps to its share of the rates.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import structlog

from channels.base import Outcome, Throttled, Where
from notifier.delivery.counters import FREE, NOW, Ask, Counters, CountersLost, LocalCounters, Turn

log = structlog.get_logger()

LOST_SECONDS = 1.0  # until counters that were lost are asked again
MOST_KNOWN = 4096  # names of buckets kept ready
SOON_SECONDS = 1.0  # a shorter wait needs no place in the queue
LONGEST_QUEUE_SECONDS = 300.0
FREE_SECONDS = 0.1  # in which what has no limit is not asked about again

T = TypeVar("T")


class Want(NamedTuple):
    """A row that is about to start. parts: of a text, 1 elsewhere. sender, domain: empty where it has none.

    bulk: its lane is `ward` or `bulletin`.
    """

    channel: str
    parts: int = 1
    sender: str = ""
    domain: str = ""
    bulk: bool = True


def read_rates(pairs: Iterable[str]) -> dict[str, float]:
    """NOTIFIER_RATES: `email_smtp=50`, `email_smtp/domain=20`; 0 means no limit."""
    found = (pair.partition("=") for pair in pairs)
    return {name: float(rate) for name, _, rate in found}


@dataclass
class Pacer:
    """One for a worker. shared: the counters of all of them, or None where each counts for itself.

    hide: makes of a sender or a domain what may stand where others can read it. workers: how many are alive.
    """

    rates: Mapping[str, float]
    shared: Counters | None = None
    hide: Callable[[str], str] = str
    factor: float = 1.0
    workers: int = 1
    clock: Callable[[], float] = time.monotonic
    local: LocalCounters = field(default_factory=LocalCounters)
    is_lost: bool = False
    _ask_again_at: float = float("-inf")
    _known: dict[tuple[str, str, str], list[tuple[str, float]]] = field(default_factory=dict)
    _queued_until: dict[str, float] = field(default_factory=dict)
    _free: set[Want] = field(default_factory=set)
    _free_until: float = float("-inf")
    _untold: Counter[Want] = field(default_factory=Counter)

    async def take(self, wants: Sequence[Want]) -> list[float]:
        """Seconds until each may start, 0: now. The turns of bulk that waits come one after the other.

        What was free a moment ago passes without being asked for, and is counted a moment later.
        """
        if not wants:
            return []
        counted, now = Counter(wants), self.clock()
        if now < self._free_until and counted.keys() <= self._free:
            self._untold.update(counted)
            return [0.0] * len(wants)
        if now >= self._free_until:
            self._free.clear()
            self._free_until = now + FREE_SECONDS
        await self._tell()
        asks, rates = self._asks(wants)
        turns = await self._through(lambda counters: counters.take(asks, rates))
        if turns[0] is FREE:
            self._free.update(counted)
            return [0.0] * len(wants)
        return self._queue(wants, turns) if any(turn is not NOW for turn in turns) else [0.0] * len(wants)

    async def give_back(self, wants: Sequence[Want]) -> None:
        """They did not start after all."""
        if wants:
            asks, rates = self._asks(wants)
            await self._through(lambda counters: counters.give_back(asks, rates))

    async def heed(self, want: Want, outcome: Outcome) -> None:
        """Slow down where an outcome asks for it; others change nothing."""
        if not isinstance(outcome, Throttled) or outcome.where is Where.RECIPIENT:
            return
        self._free.clear()
        await self._tell()
        is_domain = outcome.where is Where.DOMAIN and bool(want.domain)
        bucket, usual = self._buckets(want)[-1 if is_domain else 0]
        wait = max(outcome.after_seconds, 0.0) * self.factor
        log.info(
            "throttled", channel=want.channel, where=outcome.where, seconds=round(wait), code=outcome.code
        )
        await self._through(lambda counters: counters.slow(bucket, usual, wait, factor=self.factor))

    async def ask_whether_lost(self) -> bool:
        """Do the shared counters answer? Asked now and then, for nobody sends at night."""
        await self._through(lambda counters: counters.take([], {}))
        return self.is_lost

    async def _tell(self) -> None:
        """Count what passed without being asked for."""
        if self._untold:
            untold, self._untold = self._untold, Counter()
            counted = [want._replace(parts=-want.parts * number) for want, number in untold.items()]
            asks, rates = self._asks(counted)
            await self._through(lambda counters: counters.give_back(asks, rates))

    async def _through(self, act: Callable[[Counters], Awaitable[T]]) -> T:
        """By the shared counters; where there are none, or they are lost, by our share of the rates."""
        if self.shared is not None and self.clock() >= self._ask_again_at:
            try:
                found = await act(self.shared)
            except CountersLost:
                self._ask_again_at = self.clock() + LOST_SECONDS
                if not self.is_lost:
                    log.warning("counters_lost", workers=self.workers)
                self.is_lost = True
            else:
                self.is_lost = False
                return found
        self.local.share = 1.0 / max(self.workers, 1)
        return await act(self.local)

    def _buckets(self, want: Want) -> list[tuple[str, float]]:
        """Names and usual rates (0: no limit) of the buckets a row needs: the provider's first, the domain's last."""
        key = (want.channel, want.sender, want.domain)
        if key not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = self._buckets_of(want)
        return self._known[key]

    def _buckets_of(self, want: Want) -> list[tuple[str, float]]:
        found = [(want.channel, self.rates.get(want.channel, 0.0))]
        for scope, value in (("sender", want.sender), ("domain", want.domain)):
            if value:
                name = f"{want.channel}/{scope}"
                found.append((f"{name}/{self.hide(value)}", self.rates.get(name, 0.0)))
        return found

    def _asks(self, wants: Sequence[Want]) -> tuple[list[Ask], dict[str, float]]:
        """Those that want the same ask the same: many do."""
        rates: dict[str, float] = {}
        made: dict[Want, Ask] = {}
        for want in dict.fromkeys(wants):
            buckets = self._buckets(want)
            rates.update(buckets)
            made[want] = Ask(cost=want.parts, buckets=[name for name, _ in buckets], bulk=want.bulk)
        return [made[want] for want in wants], rates

    def _queue(self, wants: Sequence[Want], turns: Sequence[Turn]) -> list[float]:
        """Bulk that waits queues up behind what was sent back before, so that rows come back one by one."""
        now = self.clock()
        behind = {
            name: min(max(until - now, 0.0), LONGEST_QUEUE_SECONDS)
            for name, until in self._queued_until.items()
        }
        waits = []
        for want, turn in zip(wants, turns, strict=True):
            wait = turn.after_seconds
            if wait > SOON_SECONDS and want.bulk:
                wait += behind.get(turn.bucket, 0.0)
                self._queued_until[turn.bucket] = now + min(wait, LONGEST_QUEUE_SECONDS)
            waits.append(wait)
        self._queued_until = {name: until for name, until in self._queued_until.items() if until > now}
        return waits
