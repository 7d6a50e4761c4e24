"""When a provider, or one mail domain behind it, is left alone for a while. Pure.

Opens after five faults in a row or ten among the last twenty, waits 30 s, doubling to five minutes, and then lets
one probe pass every five seconds; the first that is accepted closes it. Where an operator must act, a probe goes
every fifteen minutes. `gate` keeps the rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from channels.base import Accepted, Failed, Outcome, Refusal, Refused, Throttled, Unknown, Where
from notifier.models import BreakerState

KEPT = 20
CONSECUTIVE = 5
MOST_FAULTS = KEPT // 2
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 30.0, 300.0
OPERATOR_WAIT_SECONDS = 900.0
PROBE_SECONDS = 5.0
GOOD_MARK, FAULT_MARK = ".", "x"


class Weight(StrEnum):
    """How a result counts."""

    GOOD = "good"
    FAULT = "fault"
    OPERATOR = "operator"  # credentials, credit or suspension


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A result as one breaker sees it."""

    weight: Weight
    reason: str = ""
    code: str = ""


GOOD = Verdict(weight=Weight.GOOD)


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """Where it stands; see `BreakerRow`. One without a row is clean: its last twenty results were good."""

    state: BreakerState = BreakerState.CLOSED
    recent: str = GOOD_MARK * KEPT
    wait_seconds: float = 0.0
    opened_at: datetime | None = None
    probe_at: datetime | None = None
    reason: str = ""
    code: str = ""

    @property
    def is_clean(self) -> bool:
        """Nothing to remember."""
        return self.state is BreakerState.CLOSED and FAULT_MARK not in self.recent

    @property
    def is_closed(self) -> bool:
        return self.state is BreakerState.CLOSED


CLEAN = Breaker()


def against_provider(outcome: Outcome) -> Verdict | None:
    """What an outcome says of the provider: nothing, where the trouble was the recipient's or its domain's.

    A provider that asks us to slow down is heeded by `pacing`; that is no fault.
    """
    match outcome:
        case Accepted():
            return GOOD
        case Failed(where=Where.PROVIDER, reason=reason, code=code):
            return Verdict(weight=Weight.FAULT, reason=reason, code=code)
        case Unknown(reason=reason):
            return Verdict(weight=Weight.FAULT, reason=reason)
        case Refused(why=Refusal.NOT_ALLOWED, where=Where.PROVIDER, reason=reason, code=code):
            return Verdict(weight=Weight.OPERATOR, reason=reason, code=code)
        case Failed() | Throttled() | Refused():
            return None
    assert_never(outcome)


def against_domain(outcome: Outcome) -> Verdict | None:
    """What an outcome says of the recipient's mail domain. There a 421 is a fault: its server takes nothing."""
    match outcome:
        case Accepted():
            return GOOD
        case Failed(where=Where.DOMAIN, reason=reason, code=code):
            return Verdict(weight=Weight.FAULT, reason=reason, code=code)
        case Throttled(where=Where.DOMAIN, reason=reason, code=code):
            return Verdict(weight=Weight.FAULT, reason=reason, code=code)
        case Failed() | Throttled() | Unknown() | Refused():
            return None
    assert_never(outcome)


def after(breaker: Breaker, verdicts: Iterable[Verdict], *, now: datetime, factor: float = 1.0) -> Breaker:
    """The breaker after these results, in order. factor shortens its waits."""
    for verdict in verdicts:
        breaker = _step(breaker, verdict, now, factor)
    return breaker


def probing(breaker: Breaker, *, now: datetime, factor: float = 1.0) -> Breaker:
    """The breaker once a probe has been let through: the next one not before a while."""
    if breaker.state is BreakerState.OPERATOR:
        return replace(breaker, probe_at=now + timedelta(seconds=OPERATOR_WAIT_SECONDS * factor))
    later = now + timedelta(seconds=PROBE_SECONDS * factor)
    return replace(breaker, state=BreakerState.HALF_OPEN, probe_at=later)


def mended(breaker: Breaker, *, now: datetime, factor: float = 1.0) -> Breaker:
    """The breaker once somebody has seen that the way is clear: a probe may go at once, and the first good one closes it."""
    wait_seconds = min(breaker.wait_seconds, FIRST_WAIT_SECONDS * factor)
    return replace(breaker, state=BreakerState.HALF_OPEN, wait_seconds=wait_seconds, probe_at=now)


def may_probe(breaker: Breaker, now: datetime) -> bool:
    """Is it time for a probe?"""
    return not breaker.is_closed and (breaker.probe_at is None or breaker.probe_at <= now)


def _step(breaker: Breaker, verdict: Verdict, now: datetime, factor: float) -> Breaker:
    if verdict.weight is Weight.OPERATOR:
        return _operator(breaker, verdict, now, factor)
    is_good = verdict.weight is Weight.GOOD
    match breaker.state:
        case BreakerState.CLOSED:
            return _count(breaker, verdict, now, factor)
        case BreakerState.OPEN:
            return breaker  # begun before it opened: neither proves anything
        case BreakerState.HALF_OPEN:
            if is_good:
                return CLEAN
            longer = min(breaker.wait_seconds * 2, LONGEST_WAIT_SECONDS * factor)
            return _opened(breaker, verdict, now, longer)
        case BreakerState.OPERATOR:
            return CLEAN if is_good and _was_probed(breaker, now) else breaker
    assert_never(breaker.state)


def _count(breaker: Breaker, verdict: Verdict, now: datetime, factor: float) -> Breaker:
    mark = GOOD_MARK if verdict.weight is Weight.GOOD else FAULT_MARK
    recent = (breaker.recent + mark)[-KEPT:]
    counted = replace(breaker, recent=recent)
    if mark == GOOD_MARK:
        return counted
    if recent.endswith(FAULT_MARK * CONSECUTIVE) or recent.count(FAULT_MARK) >= MOST_FAULTS:
        return _opened(replace(counted, opened_at=now), verdict, now, FIRST_WAIT_SECONDS * factor)
    return replace(counted, reason=verdict.reason[:200], code=verdict.code[:40])


def _opened(breaker: Breaker, verdict: Verdict, now: datetime, wait_seconds: float) -> Breaker:
    return replace(
        breaker,
        state=BreakerState.OPEN,
        wait_seconds=wait_seconds,
        opened_at=breaker.opened_at or now,
        probe_at=now + timedelta(seconds=wait_seconds),
        reason=verdict.reason[:200],
        code=verdict.code[:40],
    )


def _operator(breaker: Breaker, verdict: Verdict, now: datetime, factor: float) -> Breaker:
    wait_seconds = OPERATOR_WAIT_SECONDS * factor
    known = breaker.state is BreakerState.OPERATOR
    return replace(
        breaker,
        state=BreakerState.OPERATOR,
        wait_seconds=wait_seconds,
        opened_at=breaker.opened_at if known else now,
        probe_at=now + timedelta(seconds=wait_seconds),
        reason=verdict.reason[:200],
        code=verdict.code[:40],
    )


def _was_probed(breaker: Breaker, now: datetime) -> bool:
    """Before the first wait is over, what arrives was sent before the refusal."""
    return breaker.opened_at is None or now >= breaker.opened_at + timedelta(seconds=breaker.wait_seconds)
