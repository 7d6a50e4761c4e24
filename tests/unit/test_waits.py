"""The longest wait for a connection, told by a clock of the test's own; and what the web process makes of it."""

from contextlib import ExitStack

import pytest

from notifier.waits import Waits
from notifier.web.shedding import PATIENCE_SECONDS, is_busy, is_crowded


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waits(clock: Clock) -> Waits:
    return Waits(window_seconds=5, clock=clock)


def wait(waits: Waits, clock: Clock, seconds: float) -> None:
    with waits.one():
        clock.now += seconds


def test_nobody_waited() -> None:
    assert Waits().longest_seconds == 0


def test_a_wait_that_still_lasts_counts_already(waits: Waits, clock: Clock) -> None:
    with waits.one():
        clock.now += 1
        with waits.one():
            clock.now += 2
            assert waits.longest_seconds == 3  # the older one


def test_the_longest_of_the_last_seconds_counts_and_then_the_next_longest(waits: Waits, clock: Clock) -> None:
    for seconds in (3, 0.5, 1, 0.25):
        wait(waits, clock, seconds)
    assert waits.longest_seconds == 3
    clock.now += 3.3  # it ended five seconds ago and more
    assert waits.longest_seconds == 1
    clock.now += 1.5
    assert waits.longest_seconds == 0.25
    clock.now += 5
    assert waits.longest_seconds == 0


def test_a_wait_that_ends_with_an_error_was_a_wait(waits: Waits, clock: Clock) -> None:
    failing = ExitStack()
    failing.enter_context(waits.one())
    clock.now += 30
    failing.__exit__(TimeoutError, TimeoutError(), None)
    assert waits.longest_seconds == 30


def test_what_is_remembered_stays_small(waits: Waits, clock: Clock) -> None:
    for _ in range(10_000):
        wait(waits, clock, 0.001)
    assert len(waits._over) < 100


def test_bulk_is_shed_after_two_seconds_and_no_longer_once_waits_are_short(
    waits: Waits, clock: Clock
) -> None:
    wait(waits, clock, PATIENCE_SECONDS)
    assert not is_crowded(waits)
    assert is_busy(waits)
    wait(waits, clock, PATIENCE_SECONDS + 0.001)
    assert is_crowded(waits)
    for _ in range(60):
        wait(waits, clock, 0.1)
    assert not is_busy(waits)
    assert not is_crowded(waits)


def test_shedding_ends_by_itself_where_nobody_came_meanwhile(waits: Waits, clock: Clock) -> None:
    wait(waits, clock, 60)
    assert is_crowded(waits)
    clock.now += 5
    assert not is_crowded(waits)
