"""What becomes of a delivery in doubt, channel by channel: evidence first, then one flagged try, then a person."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from channels.base import Accepted, Failed, Idempotency, Outcome, Refusal, Refused, Throttled, Unknown
from notifier.delivery.replay import NOT_TAKEN
from notifier.delivery.settle import BETWEEN_LOOK_UPS, DOUBT_WAIT, Change, Tried, decide, resolve
from notifier.models import DeliveryState, Lane

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
S = DeliveryState
LOST = Unknown(reason="no answer in time")
NONE, KEY, CLIENT_ID, CONTENT = Idempotency.NONE, Idempotency.KEY, Idempotency.CLIENT_ID, Idempotency.CONTENT


def tried(kind: Idempotency = NONE, lane: Lane = Lane.WARD, **more: object) -> Tried:
    facts: dict[str, object] = {
        "id": 7, "number": 1, "lane": lane, "tries": 1, "checks": 0, "maybe_repeat": False,
        "expires_at": NOW + timedelta(hours=6), "idempotency": kind, "contact_point_id": UUID(int=1),
    }  # fmt: skip
    return Tried(**(facts | more))  # type: ignore[arg-type]


def outcome(change: Change) -> tuple[DeliveryState, bool, timedelta | None]:
    return change.state, change.maybe_repeat, change.due_at - NOW if change.due_at else None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (tried(), (S.IN_DOUBT, False, DOUBT_WAIT)),  # mail and texts: wait for a late answer or a receipt
        (tried(CONTENT), (S.IN_DOUBT, False, DOUBT_WAIT)),
        (tried(KEY), (S.PENDING, False, timedelta())),  # a second try is the same one there
        (tried(CLIENT_ID), (S.PENDING, False, timedelta())),
        (tried(lane=Lane.URGENT), (S.PENDING, True, timedelta())),  # a repeat beats silence
        (tried(lane=Lane.URGENT, maybe_repeat=True), (S.IN_DOUBT, True, DOUBT_WAIT)),  # but once
        (tried(KEY, Lane.URGENT), (S.PENDING, False, timedelta())),
    ],
)
def test_a_lost_answer(facts: Tried, expected: tuple[DeliveryState, bool, timedelta | None]) -> None:
    assert outcome(decide(LOST, facts, now=NOW, jitter=0)) == expected


AGAIN, LATER = timedelta(), BETWEEN_LOOK_UPS


@pytest.mark.parametrize(
    ("found", "facts", "expected"),
    [
        # Evidence.
        (Accepted(provider_id="SM1"), tried(checks=1), (S.ACCEPTED, False, None)),
        (Accepted(provider_id="SM1"), tried(maybe_repeat=True), (S.ACCEPTED, True, None)),
        (Failed(reason="not there"), tried(CONTENT, checks=1), (S.PENDING, False, AGAIN)),
        # Nobody can be asked (mail): one more try, flagged; then a person.
        (None, tried(checks=1), (S.PENDING, True, AGAIN)),
        (None, tried(checks=1, maybe_repeat=True), (S.UNKNOWN, True, None)),
        (None, tried(checks=1, expires_at=NOW), (S.UNKNOWN, False, None)),
        # Asked, and nothing known (texts): asked twice, then the same.
        (Unknown(reason="no such text"), tried(checks=1), (S.IN_DOUBT, False, LATER)),
        (Unknown(reason="no such text"), tried(checks=2), (S.PENDING, True, AGAIN)),
        (Unknown(reason="no such text"), tried(checks=2, maybe_repeat=True), (S.UNKNOWN, True, None)),
        (Unknown(reason="no such text"), tried(checks=2, expires_at=NOW), (S.UNKNOWN, False, None)),
        # Nobody there to ask: nothing is decided while the words matter, however often.
        (Throttled(after_seconds=0), tried(checks=9), (S.IN_DOUBT, False, LATER)),
        (Throttled(after_seconds=3600), tried(checks=1), (S.IN_DOUBT, False, timedelta(hours=1))),
        (Throttled(after_seconds=0), tried(checks=9, expires_at=NOW), (S.UNKNOWN, False, None)),
        # Where a second try cannot arrive twice it needs no flag.
        (None, tried(KEY), (S.PENDING, False, AGAIN)),
        (Unknown(reason="?"), tried(CONTENT, checks=2), (S.PENDING, False, AGAIN)),
    ],
)
def test_after_the_wait(
    found: Outcome | None, facts: Tried, expected: tuple[DeliveryState, bool, timedelta | None]
) -> None:
    assert outcome(resolve(found, facts, now=NOW)) == expected


def test_what_the_provider_never_had_is_said_so_and_a_failed_look_up_is_not_counted() -> None:
    never = resolve(Failed(reason="not there"), tried(checks=1), now=NOW)
    assert never.event == NOT_TAKEN
    assert never.spends_try
    assert not resolve(Throttled(after_seconds=0), tried(checks=1), now=NOW).spends_try


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (tried(CONTENT, checks=1), S.ACCEPTED),  # looked for, not found, and there it is
        (tried(CONTENT, Lane.URGENT, maybe_repeat=True), S.ACCEPTED),  # tried again at once
        (tried(CONTENT), S.HELD),  # no doubt before: somebody else's words
        (tried(NONE, checks=1), S.HELD),
    ],
)
def test_a_double_refused_after_a_doubt_means_that_the_first_arrived(
    facts: Tried, state: DeliveryState
) -> None:
    double = Refused(why=Refusal.CONTENT, reason="a recent post", code="duplicate", provider_id="1001")
    change = decide(double, facts, now=NOW, jitter=0)
    assert change.state is state
    assert change.provider_id == ("1001" if state is S.ACCEPTED else "")
