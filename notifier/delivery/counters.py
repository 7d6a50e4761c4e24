"""Counters that workers share: token buckets, and how often something happened within an hour.

A port with two stores: Redis, where one script does a whole batch by the server's clock, and this process.
Names of buckets hold no address in clear: see `pacing`. Used by `pacing` and `sign_up_texts`.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from notifier.delivery.bucket import Bucket

PATIENCE_SECONDS = 0.25
KEPT_SECONDS = 900.0  # a bucket that nobody asked for so long starts anew
PREFIX = "notifier:"


class CountersLost(Exception):
    """The shared counters do not answer."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Wanted from several buckets at once: all of them give, or none. cost: messages, or parts of a text."""

    cost: float
    buckets: Sequence[str]
    bulk: bool


@dataclass(frozen=True, kw_only=True)
class Turn:
    """When an ask may go ahead: now (and it was taken), or in so many seconds because of that bucket."""

    after_seconds: float = 0.0
    bucket: str = ""


NOW = Turn()
FREE = Turn()  # now, and none of the buckets that were asked has a limit


class Counters(ABC):
    """Where the counts stand. Each call is one act for whoever else counts; CountersLost where the store is away."""

    @abstractmethod
    async def take(self, asks: Sequence[Ask], rates: Mapping[str, float]) -> Sequence[Turn]:
        """Each ask's turn, in order: all of them FREE, or none. rates: usual rate (a second) of the buckets that have one."""

    @abstractmethod
    async def give_back(self, asks: Sequence[Ask], rates: Mapping[str, float]) -> None:
        """Taken, and not used after all."""

    @abstractmethod
    async def slow(self, bucket: str, rate: float, after_seconds: float, *, factor: float) -> None:
        """The provider asked to slow down. rate: the usual one, 0 where there is none."""

    @abstractmethod
    async def count(self, name: str, most: int, seconds: float, *, begun: int | None) -> int | None:
        """Count one more, up to `most` in so many seconds from the first: the number, or None where it is full.

        begun: where to start if no count stands; without it such a count is left alone, and -1 comes back.
        """

    async def close(self) -> None:
        """Give back connections."""
        return


@dataclass
class LocalCounters(Counters):
    """Counts of this process alone. share: our part of each rate where others count alone too."""

    clock: Callable[[], float] = time.monotonic
    share: float = 1.0
    _buckets: dict[str, Bucket] = field(default_factory=dict)
    _counts: dict[str, tuple[float, int]] = field(default_factory=dict)
    _tidied_at: float = float("-inf")

    async def take(self, asks: Sequence[Ask], rates: Mapping[str, float]) -> Sequence[Turn]:
        now = self.clock()
        self._tidy(now)
        rate_now = self._refilled(asks, rates, now)
        promised = dict.fromkeys(rate_now, 0.0)
        turns = [self._take(ask, rate_now, promised, now) for ask in asks]
        is_free = not any(rate_now.values()) and all(turn is NOW for turn in turns)
        return [FREE] * len(asks) if is_free else turns

    async def give_back(self, asks: Sequence[Ask], rates: Mapping[str, float]) -> None:
        rate_now = self._refilled(asks, rates, self.clock())
        for ask in asks:
            for name in ask.buckets:
                self._buckets[name].spend(-ask.cost, rate_now[name], bulk=ask.bulk)

    async def slow(self, bucket: str, rate: float, after_seconds: float, *, factor: float) -> None:
        now, usual = self.clock(), rate * self.share
        self._buckets.setdefault(bucket, Bucket.full(usual, now)).slow(usual, after_seconds, now, factor)

    async def count(self, name: str, most: int, seconds: float, *, begun: int | None) -> int | None:
        now = self.clock()
        until, number = self._counts.get(name, (now, 0))
        if until <= now:
            if begun is None:
                return -1
            until, number = now + seconds, begun
        is_full = number >= most
        self._counts[name] = (until, number if is_full else number + 1)
        return None if is_full else number + 1

    def _refilled(self, asks: Sequence[Ask], rates: Mapping[str, float], now: float) -> dict[str, float]:
        """What each bucket gives a second now."""
        found: dict[str, float] = {}
        for name in _names(asks):
            usual = rates.get(name, 0.0) * self.share
            bucket = self._buckets.get(name)
            if bucket is None:
                bucket = self._buckets[name] = Bucket.full(usual, now)
            found[name] = bucket.rate(usual, now)
            bucket.refill(found[name], now)
        return found

    def _take(self, ask: Ask, rate: Mapping[str, float], promised: dict[str, float], now: float) -> Turn:
        waits = {
            name: self._buckets[name].wait(ask.cost, rate[name], promised[name], now, bulk=ask.bulk)
            for name in ask.buckets
        }
        slowest = max(waits, key=lambda name: waits[name], default="")
        wait = waits.get(slowest, 0.0)
        for name in ask.buckets:
            if wait == 0:
                self._buckets[name].spend(ask.cost, rate[name], bulk=ask.bulk)
            elif waits[name] > 0:
                promised[name] += ask.cost
                if not ask.bulk:
                    self._buckets[name].urgent_waits(wait, now)
        return Turn(after_seconds=wait, bucket=slowest) if wait else NOW

    def _tidy(self, now: float) -> None:
        if now - self._tidied_at < KEPT_SECONDS / 10:
            return
        self._tidied_at = now
        self._buckets = {
            name: bucket for name, bucket in self._buckets.items() if bucket.at > now - KEPT_SECONDS
        }
        self._counts = {name: count for name, count in self._counts.items() if count[0] > now}


class RedisCounters(Counters):
    """Counts in Redis, for every process that uses the same one.

    clock: instead of Redis's own, for tests. patience_seconds: an answer later than this is none.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._clock = clock
        self._patience = patience_seconds
        self._redis: Any = Redis.from_url(
            url, socket_timeout=patience_seconds, socket_connect_timeout=patience_seconds
        )
        self._script = self._redis.register_script(
            files("notifier.delivery").joinpath("bucket.lua").read_text()
        )

    async def take(self, asks: Sequence[Ask], rates: Mapping[str, float]) -> Sequence[Turn]:
        names = _names(asks)
        found = await self._ask("take", asks, rates)
        if len(found) < 2:
            return [NOW if found else FREE] * len(asks)
        return [
            Turn(after_seconds=float(wait), bucket=names[int(place) - 1]) if int(place) else NOW
            for wait, place in zip(found[::2], found[1::2], strict=True)
        ]

    async def give_back(self, asks: Sequence[Ask], rates: Mapping[str, float]) -> None:
        await self._ask("back", asks, rates)

    async def slow(self, bucket: str, rate: float, after_seconds: float, *, factor: float) -> None:
        await self._run("slow", [bucket], [rate, after_seconds, factor])

    async def count(self, name: str, most: int, seconds: float, *, begun: int | None) -> int | None:
        found = int(await self._run("count", [name], [most, seconds, "" if begun is None else begun]))
        return None if found == -2 else found

    async def close(self) -> None:
        await self._redis.aclose()

    async def _ask(self, act: str, asks: Sequence[Ask], rates: Mapping[str, float]) -> Any:
        place = {name: number for number, name in enumerate(_names(asks), start=1)}
        words = [repr(float(rates.get(name, 0.0))) for name in place]
        said = {}
        for ask in _distinct(asks):
            of = " ".join([str(place[name]) for name in ask.buckets])
            said[id(ask)] = f"{float(ask.cost)!r} {ask.bulk:d} {len(ask.buckets)} {of}"
        words += [said[id(ask)] for ask in asks]
        return await self._run(act, list(place), [" ".join(words)])

    async def _run(self, act: str, names: Sequence[str], words: Sequence[Any]) -> Any:
        clock = repr(self._clock()) if self._clock else ""
        try:
            async with asyncio.timeout(self._patience):
                return await self._script(keys=[PREFIX + name for name in names], args=[act, clock, *words])
        except (RedisError, OSError, TimeoutError) as error:
            raise CountersLost from error


def _names(asks: Sequence[Ask]) -> list[str]:
    """Each bucket once, in the order in which they are first named."""
    return list(dict.fromkeys(name for ask in _distinct(asks) for name in ask.buckets))


def _distinct(asks: Sequence[Ask]) -> Iterable[Ask]:
    """Each object once: a batch asks the same thing over and over."""
    return {id(ask): ask for ask in asks}.values()
