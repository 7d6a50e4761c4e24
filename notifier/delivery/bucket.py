"""One token bucket: the rules by which a rate is kept, halved and won back. Pure; `bucket.lua` says the same for Redis.

It holds one second's worth, at least one message. Bulk passes at four fifths of the rate, and not while anything
urgent waits. A bucket without a limit gets one by its first throttle: half of what passed just before.
"""

from dataclasses import dataclass

BULK_SHARE = 0.8
STEP_SHARE, STEP_SECONDS = (
    0.1,
    10.0,
)  # won back after a throttle: so much of the usual rate each so many seconds
LEAST_RATE = 0.2
ONE_HALVING_SECONDS = 1.0  # answers to what was under way already are one warning
URGENT_FIRST_SECONDS = 1.0


@dataclass
class Bucket:
    """Tokens in messages or text parts; times on the store's clock, in seconds.

    limit: the rate right after the last throttle, 0 where there was none; usual: what it is won back by.
    hits, before, second: what passed in this second and in the one before.
    """

    at: float
    tokens: float
    bulk_tokens: float
    limit: float = 0.0
    usual: float = 0.0
    slowed_at: float = 0.0
    shut_until: float = 0.0
    urgent_until: float = 0.0
    step_seconds: float = STEP_SECONDS
    second: float = 0.0
    hits: float = 0.0
    before: float = 0.0

    @classmethod
    def full(cls, usual: float, now: float) -> "Bucket":
        return cls(at=now, tokens=max(usual, 1.0), bulk_tokens=max(usual * BULK_SHARE, 1.0))

    def rate(self, usual: float, now: float) -> float:
        """What it gives a second now; 0: no limit."""
        if not self.limit:
            return usual
        grown = self.limit + STEP_SHARE * self.usual * max(now - self.slowed_at, 0.0) / self.step_seconds
        return min(grown, usual) if usual else grown

    def refill(self, rate: float, now: float) -> None:
        passed = max(now - self.at, 0.0)
        if rate:
            self.tokens = min(self.tokens + passed * rate, max(rate, 1.0))
            slower = rate * BULK_SHARE
            self.bulk_tokens = min(self.bulk_tokens + passed * slower, max(slower, 1.0))
        self.at = max(now, self.at)
        whole = float(int(now))
        if whole != self.second:
            self.before = self.hits if whole == self.second + 1 else 0.0
            self.hits, self.second = 0.0, whole

    def wait(self, cost: float, rate: float, promised: float, now: float, *, bulk: bool) -> float:
        """Seconds until it can give that, after what is promised to others; 0: now."""
        shut = max(self.shut_until - now, 0.0)
        if bulk:
            shut = max(shut, self.urgent_until - now)
        if not rate:
            return shut
        filling = _lack(self.tokens, cost, promised, rate) / rate
        if bulk:
            slower = rate * BULK_SHARE
            filling = max(filling, _lack(self.bulk_tokens, cost, promised, slower) / slower)
        return shut + filling

    def spend(self, cost: float, rate: float, *, bulk: bool) -> None:
        if rate:
            self.tokens -= cost
            if bulk:
                self.bulk_tokens -= cost
        self.hits = max(self.hits + cost, 0.0)

    def urgent_waits(self, wait: float, now: float) -> None:
        """Bulk stands back until then."""
        self.urgent_until = max(self.urgent_until, now + min(wait, URGENT_FIRST_SECONDS))

    def slow(self, usual: float, after_seconds: float, now: float, factor: float) -> None:
        """A throttle: give nothing for after_seconds, then half of what it gave."""
        rate = self.rate(usual, now)
        self.refill(rate, now)
        self.shut_until = max(self.shut_until, now + after_seconds)
        if self.limit and now - self.slowed_at < ONE_HALVING_SECONDS * factor:
            return
        measured = max((self.hits + self.before) / (1 + now - self.second), 1.0)
        self.usual = usual or self.usual or measured
        self.limit = max((rate or measured) / 2, min(LEAST_RATE, self.usual))
        self.step_seconds = STEP_SECONDS * factor
        self.slowed_at = self.at = max(now, self.shut_until)
        self.tokens = self.bulk_tokens = 0.0


def _lack(tokens: float, cost: float, promised: float, rate: float) -> float:
    """What is missing. One that costs more than a whole bucket passes when it is full, and leaves a debt."""
    missing = min(cost, max(rate, 1.0)) + promised - tokens
    return missing if missing > 1e-9 else 0.0
