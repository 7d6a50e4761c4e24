"""What an outcome makes of a delivery, as a table: pure, so every row is a fact of the guarantee."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Accepted, Failed, Idempotency, Outcome, Refusal, Refused, Throttled, Unknown
from notifier.delivery.settle import LOOK_UPS, Standing, Tried, decide, resolve
from notifier.models import DeliveryState, Lane

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OUTCOMES: list[Outcome] = [
    Accepted(provider_id="p"),
    Throttled(after_seconds=30),
    Failed(reason="refused"),
    *(Refused(why=why, reason="no") for why in Refusal),
    Unknown(reason="timeout"),
]


def tried(
    *,
    lane: Lane = Lane.WARD,
    tries: int = 1,
    checks: int = 0,
    maybe_repeat: bool = False,
    hours_left: float = 24,
    idempotency: Idempotency = Idempotency.NONE,
) -> Tried:
    return Tried(
        id=1,
        number=tries,
        lane=lane,
        tries=tries,
        checks=checks,
        maybe_repeat=maybe_repeat,
        expires_at=NOW + timedelta(hours=hours_left),
        idempotency=idempotency,
        contact_point_id=UUID(int=1),
    )


@pytest.mark.parametrize(
    ("outcome", "facts", "state", "waits"),
    [
        (Accepted(provider_id="p"), tried(), "accepted", None),
        (Failed(reason="refused"), tried(), "pending", timedelta(seconds=15)),
        (Failed(reason="refused"), tried(tries=5), "pending", timedelta(minutes=30)),
        (Failed(reason="refused"), tried(tries=6, hours_left=0.5), "failed", None),
        (Throttled(after_seconds=90), tried(), "pending", timedelta(seconds=90)),
        (Refused(why=Refusal.BAD_ADDRESS, reason=""), tried(), "failed", None),
        (Refused(why=Refusal.OPTED_OUT, reason=""), tried(), "suppressed", None),
        (Refused(why=Refusal.CONTENT, reason=""), tried(), "held", None),
        (Refused(why=Refusal.NOT_ALLOWED, reason=""), tried(), "pending", timedelta(minutes=15)),
        (Unknown(reason=""), tried(), "in_doubt", timedelta(minutes=10)),
        (Unknown(reason=""), tried(lane=Lane.URGENT), "pending", timedelta(0)),
        (Unknown(reason=""), tried(lane=Lane.URGENT, maybe_repeat=True), "in_doubt", timedelta(minutes=10)),
        (Unknown(reason=""), tried(idempotency=Idempotency.KEY), "pending", timedelta(0)),
        (
            Refused(why=Refusal.CONTENT, reason="", code="duplicate"),
            tried(checks=1, idempotency=Idempotency.CONTENT),
            "accepted",
            None,
        ),
        (
            Refused(why=Refusal.CONTENT, reason="", code="duplicate"),
            tried(idempotency=Idempotency.CONTENT),
            "held",
            None,
        ),
    ],
)
def test_an_outcome_decides(outcome: Outcome, facts: Tried, state: str, waits: timedelta | None) -> None:
    change = decide(outcome, facts, now=NOW, jitter=0.5)
    assert change.state == state
    assert (change.due_at - NOW if change.due_at else None) == waits


@pytest.mark.parametrize(
    ("found", "facts", "state"),
    [
        (Accepted(provider_id="p"), tried(checks=1), "accepted"),
        (Failed(reason="never had it"), tried(checks=1), "pending"),
        (Unknown(reason="no trace"), tried(checks=1), "in_doubt"),
        (Unknown(reason="no trace"), tried(checks=LOOK_UPS), "pending"),
        (Unknown(reason="no trace"), tried(checks=LOOK_UPS, maybe_repeat=True), "unknown"),
        (None, tried(checks=1), "pending"),
        (None, tried(checks=1, maybe_repeat=True), "unknown"),
        (None, tried(checks=1, hours_left=-1), "unknown"),
        (None, tried(checks=1, maybe_repeat=True, idempotency=Idempotency.CONTENT), "pending"),
    ],
)
def test_evidence_resolves_a_doubt(found: Outcome | None, facts: Tried, state: str) -> None:
    assert resolve(found, facts, now=NOW).state == state


@pytest.mark.parametrize("facts", [tried(), tried(lane=Lane.URGENT)])
def test_another_try_after_a_doubt_is_flagged_as_a_possible_repeat(facts: Tried) -> None:
    change = decide(Unknown(reason=""), facts, now=NOW, jitter=0)
    if change.state is DeliveryState.IN_DOUBT:
        change = resolve(None, facts, now=NOW)
    assert change.state is DeliveryState.PENDING
    assert change.maybe_repeat


def test_throttling_and_an_operator_s_fault_spend_no_try() -> None:
    assert not decide(Throttled(after_seconds=1), tried(), now=NOW, jitter=0).spends_try
    assert not decide(Refused(why=Refusal.NOT_ALLOWED, reason=""), tried(), now=NOW, jitter=0).spends_try


def test_what_the_provider_says_of_an_address_stands() -> None:
    bad = decide(Refused(why=Refusal.BAD_ADDRESS, reason=""), tried(), now=NOW, jitter=0)
    gone = decide(Refused(why=Refusal.OPTED_OUT, reason=""), tried(), now=NOW, jitter=0)
    assert (bad.standing, gone.standing) == (Standing.BOUNCED, Standing.STOPPED)


@given(
    outcome=st.sampled_from(OUTCOMES),
    lane=st.sampled_from(Lane),
    tries=st.integers(1, 30),
    repeat=st.booleans(),
    idempotency=st.sampled_from(Idempotency),
    jitter=st.floats(0, 1, exclude_max=True),
    hours_left=st.floats(-1, 72),
)
def test_a_flag_once_raised_stays_and_only_evidence_accepts(
    outcome: Outcome,
    lane: Lane,
    tries: int,
    repeat: bool,
    idempotency: Idempotency,
    jitter: float,
    hours_left: float,
) -> None:
    facts = tried(lane=lane, tries=tries, maybe_repeat=repeat, idempotency=idempotency, hours_left=hours_left)
    change = decide(outcome, facts, now=NOW, jitter=jitter)
    assert change.maybe_repeat >= repeat
    assert (change.state is DeliveryState.ACCEPTED) == isinstance(outcome, Accepted)
    assert change.due_at is None or change.due_at >= NOW or isinstance(outcome, Throttled)
