"""No second holds more than the rate and its burst; a throttle halves it, and time wins it back."""

import random
from collections.abc import Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.base import Accepted, Throttled, Where
from notifier.delivery.counters import NOW, Ask, Counters, CountersLost, LocalCounters, Turn
from notifier.delivery.pacing import Pacer, Want, read_rates


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def paced(clock: Clock, *, workers: int = 1, **rates: float) -> Pacer:
    named = {name.replace("__", "/"): rate for name, rate in rates.items()}
    return Pacer(rates=named, clock=clock, local=LocalCounters(clock=clock), workers=workers)


async def passed(pacer: Pacer, clock: Clock, want: Want, seconds: float, tick: float = 0.01) -> float:
    """Parts that start within so many seconds, when there is always more to send."""
    parts = 0.0
    for _ in range(round(seconds / tick)):
        while await pacer.take([want]) == [0.0]:
            parts += want.parts
        clock.now += tick
    return parts


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from([0.5, 1.0, 3.0, 10.0, 80.0]),
    seed=st.integers(0, 10_000),
    parts=st.integers(1, 5),
    has_domain=st.booleans(),
)
async def test_no_second_holds_more_than_the_rate_and_its_burst(
    rate: float, seed: int, parts: int, has_domain: bool
) -> None:
    clock, chance = Clock(), random.Random(seed)  # noqa: S311 - replayable
    pacer = paced(clock, mail=rate, mail__domain=rate)
    started: list[tuple[float, int]] = []
    for _ in range(120):
        clock.now += chance.choice([0.0, 0.01, 0.3, 1.1])
        wants = [
            Want(
                channel="mail",
                parts=chance.randint(1, parts),
                domain="d" if has_domain else "",
                bulk=chance.random() < 0.7,
            )
            for _ in range(chance.randint(0, 6))
        ]
        waits = await pacer.take(wants)
        started += [(clock.now, want.parts) for want, wait in zip(wants, waits, strict=True) if not wait]
    for at, _ in started:
        within = sum(cost for when, cost in started if at <= when < at + 1)
        assert within <= rate + max(rate, 1, parts) + 1e-6


async def test_the_rate_is_used_and_bulk_leaves_a_fifth_of_it() -> None:
    clock = Clock()
    urgent = await passed(paced(clock, mail=50), clock, Want(channel="mail", bulk=False), 10)
    bulk = await passed(paced(clock, mail=50), clock, Want(channel="mail"), 10)
    assert 500 <= urgent <= 551
    assert 400 <= bulk <= 441


async def test_bulk_stands_back_while_anything_urgent_waits() -> None:
    clock = Clock()
    pacer = paced(clock, mail=10)
    assert await pacer.take([Want(channel="mail", bulk=False)] * 12) == pytest.approx([0.0] * 10 + [0.1, 0.2])
    clock.now += 0.15
    assert (await pacer.take([Want(channel="mail")]))[0] > 0
    assert await pacer.take([Want(channel="mail", bulk=False)]) == [0.0]


async def test_a_long_text_counts_its_parts_and_may_be_longer_than_a_second() -> None:
    clock = Clock()
    pacer = paced(clock, sms__sender=1)
    long = Want(channel="sms", parts=3, sender="+44")
    assert await pacer.take([long]) == [0.0]
    assert await pacer.take([Want(channel="sms", sender="+44", bulk=False)]) == pytest.approx([3.0])
    assert await pacer.take([Want(channel="sms", sender="+45", bulk=False)]) == [0.0]


async def test_one_slow_domain_does_not_hold_up_the_others() -> None:
    clock = Clock()
    pacer = paced(clock, mail=100, mail__domain=2)
    wants = [Want(channel="mail", domain=name, bulk=False) for name in "aaaaaabc"]
    waits = await pacer.take(wants)
    assert [wait == 0 for wait in waits] == [True] * 2 + [False] * 4 + [True] * 2
    assert waits[2:6] == pytest.approx([0.5, 1.0, 1.5, 2.0])


async def test_a_throttle_halves_the_rate_at_once_and_retry_after_is_kept() -> None:
    clock = Clock()
    pacer = paced(clock, sms=40)
    want = Want(channel="sms", bulk=False)
    await passed(pacer, clock, want, 2)
    await pacer.heed(want, Throttled(after_seconds=3, code="429"))
    await pacer.heed(want, Throttled(after_seconds=3, code="429"))  # sent before the first answer came
    assert await passed(pacer, clock, want, 2.99) == 0
    assert 190 <= await passed(pacer, clock, want, 9) <= 216  # 20 a second, and 4 more each ten seconds
    clock.now += 60
    await pacer.take([want])
    assert await passed(pacer, clock, want, 2) >= 78


async def test_a_scope_without_a_rate_gets_one_from_what_passed() -> None:
    clock = Clock()
    pacer = paced(clock)
    want = Want(channel="mail", domain="slow.example")
    for _ in range(20):
        assert await pacer.take([want] * 3) == [0.0] * 3
        clock.now += 0.1
    await pacer.heed(want, Throttled(after_seconds=0, code="421", where=Where.DOMAIN))
    assert (
        11 <= await passed(pacer, clock, want, 1) <= 18
    )  # it was 30 a second, of which bulk has four fifths
    assert await pacer.take([Want(channel="mail", domain="other.example")]) == [0.0]


async def test_other_outcomes_and_one_recipient_s_troubles_change_nothing() -> None:
    clock = Clock()
    pacer = paced(clock, mail=10)
    want = Want(channel="mail", domain="d")
    await pacer.heed(want, Accepted(provider_id="1"))
    await pacer.heed(want, Throttled(after_seconds=9, where=Where.RECIPIENT))
    assert await pacer.take([want] * 8) == [0.0] * 8


async def test_what_was_not_used_is_given_back() -> None:
    clock = Clock()
    pacer = paced(clock, mail=4)
    urgent = Want(channel="mail", bulk=False)
    assert await pacer.take([urgent] * 4) == [0.0] * 4
    await pacer.give_back([urgent] * 3)
    assert [wait == 0 for wait in await pacer.take([urgent] * 4)] == [True] * 3 + [False]


async def test_rows_that_wait_get_turns_one_after_the_other() -> None:
    clock = Clock()
    pacer = paced(clock, sms=1)
    first = await pacer.take([Want(channel="sms")] * 20)
    second = await pacer.take([Want(channel="sms")] * 20)
    turns = [wait for wait in first + second if wait > 1]
    assert all(1.2 <= b - a <= 1.3 for a, b in pairwise(turns[: len(first) - 1]))
    assert max(first) < min(wait for wait in second if wait > 1.3)


class Lost(Counters):
    """Shared counters that do not answer."""

    async def take(self, asks: object, rates: object) -> list[Turn]:
        raise CountersLost

    async def give_back(self, asks: object, rates: object) -> None:
        raise CountersLost

    async def slow(self, *_: object, **__: object) -> None:
        raise CountersLost

    async def count(self, *_: object, **__: object) -> int | None:
        raise CountersLost


async def test_without_the_shared_counters_a_worker_keeps_to_its_share() -> None:
    clock = Clock()
    pacer = paced(clock, mail=40, workers=4)
    pacer.shared = Lost()
    assert 100 <= await passed(pacer, clock, Want(channel="mail", bulk=False), 10) <= 111
    assert pacer.is_lost
    pacer.shared = LocalCounters(clock=clock)
    clock.now += 1
    assert 400 <= await passed(pacer, clock, Want(channel="mail", bulk=False), 10) <= 441
    assert not pacer.is_lost


async def test_a_count_is_full_at_its_most_until_its_time_is_over() -> None:
    clock = Clock()
    counters = LocalCounters(clock=clock)
    assert await counters.count("texts", 3, 3600, begun=None) == -1
    found = [await counters.count("texts", 3, 3600, begun=1) for _ in range(3)]
    assert found == [2, 3, None]
    clock.now += 3600
    assert await counters.count("texts", 3, 3600, begun=None) == -1


class Watched(LocalCounters):
    """Knows how often it was asked."""

    asked = 0

    async def take(self, asks: Sequence[Ask], rates: Mapping[str, float]) -> Sequence[Turn]:
        self.asked += 1
        return await super().take(asks, rates)


async def test_what_has_no_limit_is_asked_about_now_and_then_and_all_of_it_is_counted() -> None:
    clock = Clock()
    counters = Watched(clock=clock)
    pacer = Pacer(rates={"sms": 5.0}, shared=counters, clock=clock)
    want = Want(channel="mail", domain="d")
    for _ in range(200):
        assert await pacer.take([want] * 3) == [0.0] * 3
        clock.now += 0.01
    assert 15 <= counters.asked <= 25
    await pacer.heed(want, Throttled(after_seconds=0))  # halves what passed just before: 300 a second
    assert counters._buckets["mail"].limit == pytest.approx(150, rel=0.1)
    asked = counters.asked
    waits = [await pacer.take([want] * 3) for _ in range(100)]
    assert (counters.asked, any(waits[-1])) == (asked + 100, True)


async def test_a_limit_that_another_worker_met_is_heeded_within_a_tenth_of_a_second() -> None:
    clock = Clock()
    counters = LocalCounters(clock=clock)
    one, other = [Pacer(rates={}, shared=counters, clock=clock) for _ in range(2)]
    want = Want(channel="mail")
    assert await one.take([want]) == [0.0]
    await other.heed(want, Throttled(after_seconds=5))
    clock.now += 0.1
    assert (await one.take([want]))[0] > 4


async def test_what_has_a_limit_is_asked_about_each_time() -> None:
    clock = Clock()
    counters = Watched(clock=clock)
    pacer = Pacer(rates={"sms": 5.0}, shared=counters, clock=clock)
    for _ in range(10):
        await pacer.take([Want(channel="sms")])
    assert counters.asked == 10


def test_rates_are_read_off_the_setting() -> None:
    assert read_rates(["email_smtp=50", "sms_twilio/sender=0.5"]) == {
        "email_smtp": 50.0,
        "sms_twilio/sender": 0.5,
    }


async def test_an_ask_without_buckets_passes() -> None:
    assert await LocalCounters().take([Ask(cost=1, buckets=[], bulk=True)], {}) == [NOW]
