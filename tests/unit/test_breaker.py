"""When a provider is left alone, and when it is tried again."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Accepted, Failed, Outcome, Refusal, Refused, Throttled, Unknown, Where
from notifier.delivery.breaker import (
    CLEAN,
    GOOD,
    Breaker,
    Verdict,
    Weight,
    after,
    against_domain,
    against_provider,
    may_probe,
    probing,
)
from notifier.models import BreakerState

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FAULT = Verdict(weight=Weight.FAULT, reason="no connection", code="connection")
OPERATOR = Verdict(weight=Weight.OPERATOR, reason="Twilio error 20003", code="20003")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def opened() -> Breaker:
    return after(CLEAN, [FAULT] * 5, now=NOW)


def test_it_opens_at_the_fifth_fault_in_a_row() -> None:
    four = after(CLEAN, [FAULT] * 4, now=NOW)
    assert (four.state, four.recent) == (BreakerState.CLOSED, "." * 16 + "xxxx")
    five = after(four, [FAULT], now=NOW)
    assert (five.state, five.opened_at, five.probe_at) == (BreakerState.OPEN, NOW, later(30))
    assert (five.reason, five.code) == ("no connection", "connection")


def test_it_opens_when_half_of_the_last_twenty_are_faults() -> None:
    nine = after(CLEAN, [FAULT, GOOD] * 9, now=NOW)
    assert nine.is_closed
    assert not after(nine, [FAULT], now=NOW).is_closed


def test_good_results_let_old_faults_be_forgotten() -> None:
    assert after(CLEAN, [FAULT] * 4 + [GOOD] * 19, now=NOW).recent == "x" + "." * 19
    assert after(CLEAN, [FAULT] * 4 + [GOOD] * 20, now=NOW).is_clean


def test_what_was_sent_before_it_opened_neither_closes_it_nor_lengthens_its_wait() -> None:
    assert after(opened(), [GOOD, FAULT, GOOD], now=later(10)) == opened()


def test_its_wait_doubles_to_five_minutes_and_a_good_probe_closes_it() -> None:
    breaker, at = opened(), NOW
    waits = []
    for _ in range(6):
        at = breaker.probe_at or at
        assert may_probe(breaker, at)
        breaker = after(probing(breaker, now=at), [FAULT], now=at)
        waits.append(((breaker.probe_at or at) - at).total_seconds())
    assert waits == [60, 120, 240, 300, 300, 300]
    assert breaker.opened_at == NOW  # in trouble since then, whatever was tried
    assert after(probing(breaker, now=at), [GOOD], now=at) == CLEAN


def test_half_open_lets_one_probe_pass_every_five_seconds() -> None:
    half = probing(opened(), now=later(30))
    assert half.state is BreakerState.HALF_OPEN
    assert not may_probe(half, later(34.9))
    assert may_probe(half, later(35))


def test_a_factor_shortens_every_wait() -> None:
    breaker = after(CLEAN, [FAULT] * 5, now=NOW, factor=0.01)
    assert breaker.probe_at == later(0.3)
    assert probing(breaker, now=NOW, factor=0.01).probe_at == later(0.05)
    assert after(CLEAN, [OPERATOR], now=NOW, factor=0.01).probe_at == later(9)


def test_one_refusal_of_our_credentials_locks_it_until_an_operator_has_acted() -> None:
    locked = after(CLEAN, [OPERATOR], now=NOW)
    assert (locked.state, locked.probe_at) == (BreakerState.OPERATOR, later(900))
    in_flight = after(locked, [GOOD, FAULT], now=later(1))
    assert in_flight == locked
    probed = probing(locked, now=later(900))
    assert (probed.state, probed.probe_at) == (BreakerState.OPERATOR, later(1800))
    assert after(probed, [OPERATOR], now=later(901)).opened_at == NOW
    assert after(probed, [GOOD], now=later(901)) == CLEAN


@pytest.mark.parametrize(
    ("outcome", "provider", "domain"),
    [
        (Accepted(provider_id="1"), Weight.GOOD, Weight.GOOD),
        (Failed(reason="no connection"), Weight.FAULT, None),
        (Unknown(reason="timed out"), Weight.FAULT, None),
        (Failed(reason="451", where=Where.DOMAIN), None, Weight.FAULT),
        (Throttled(after_seconds=60, code="421", where=Where.DOMAIN), None, Weight.FAULT),
        (Throttled(after_seconds=60, code="429"), None, None),
        (Failed(reason="mailbox full", code="452 4.2.2", where=Where.RECIPIENT), None, None),
        (Refused(why=Refusal.BAD_ADDRESS, reason="550 5.1.1"), None, None),
        (Refused(why=Refusal.OPTED_OUT, reason="21610"), None, None),
        (Refused(why=Refusal.CONTENT, reason="554"), None, None),
        (Refused(why=Refusal.NOT_ALLOWED, reason="20003"), Weight.OPERATOR, None),
        (Refused(why=Refusal.NOT_ALLOWED, reason="an account", where=Where.RECIPIENT), None, None),
    ],
    ids=str,
)
def test_what_counts_against_whom(outcome: Outcome, provider: Weight | None, domain: Weight | None) -> None:
    seen = [against_provider(outcome), against_domain(outcome)]
    assert [verdict.weight if verdict else None for verdict in seen] == [provider, domain]


@given(st.lists(st.tuples(st.sampled_from([GOOD, FAULT, OPERATOR]), st.floats(0, 400), st.booleans())))
def test_whatever_happens_probes_keep_their_distance_and_a_breaker_can_close(
    events: list[tuple[Verdict, float, bool]],
) -> None:
    breaker, at, probes = CLEAN, NOW, []
    for verdict, seconds, asks in events:
        at += timedelta(seconds=seconds)
        if asks and may_probe(breaker, at):
            breaker = probing(breaker, now=at)
            probes.append(at)
        breaker = after(breaker, [verdict], now=at)
        assert len(breaker.recent) == 20
        assert breaker.is_closed or (breaker.opened_at and breaker.probe_at)
        if verdict is GOOD and breaker.is_closed:
            probes.clear()
        assert all(b - a >= timedelta(seconds=5) for a, b in pairwise(probes))
    at += timedelta(days=1)
    if not breaker.is_closed:
        assert after(probing(breaker, now=at), [GOOD], now=at) == CLEAN
