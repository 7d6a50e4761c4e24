"""The first 25 of a large message: which outcomes count against it, and when they are enough."""

import pytest

from channels.base import Accepted, Failed, Outcome, Refusal, Refused, Throttled, Unknown
from notifier.delivery.canary import FIRST, is_wanted, mark_of, room, verdict
from notifier.models import Canary, Lane


@pytest.mark.parametrize(
    ("outcome", "mark"),
    [
        (Accepted(provider_id="1"), "."),
        (Refused(why=Refusal.BAD_ADDRESS, reason="no such mailbox"), "."),
        (Refused(why=Refusal.OPTED_OUT, reason="stopped"), "."),
        (Refused(why=Refusal.CONTENT, reason="looks like spam"), "x"),
        (Refused(why=Refusal.NOT_ALLOWED, reason="suspended"), ""),  # the breaker holds it
        (Failed(reason="connection refused"), "x"),
        (Unknown(reason="no answer"), "x"),
        (Throttled(after_seconds=3, reason="slow down"), ""),
    ],
)
def test_only_faults_that_are_not_the_recipients_count(outcome: Outcome, mark: str) -> None:
    assert mark_of(outcome) == mark


@pytest.mark.parametrize(
    ("seen", "decided"),
    [
        ("", Canary.WAITING),
        ("." * 24, Canary.WAITING),
        ("." * 25, Canary.PASSED),
        ("x" * 4 + "." * 21, Canary.PASSED),
        ("x" * 4 + "." * 20, Canary.WAITING),
        ("." * 20 + "x" * 5, Canary.FAILED),
        ("xxxxx", Canary.FAILED),
        ("x.x.x.x.x", Canary.FAILED),
    ],
)
def test_a_fifth_of_the_first_25_is_too_much(seen: str, decided: Canary) -> None:
    assert verdict(seen) is decided


def test_there_is_room_for_25_and_no_more() -> None:
    assert [room("", 0), room("", 10), room("....", 10), room("." * FIRST, 0), room("", 40)] == [
        25,
        15,
        11,
        0,
        0,
    ]


def test_only_large_bulk_messages_have_one() -> None:
    assert is_wanted(Lane.BULLETIN, 5001, above=5000)
    assert is_wanted(Lane.WARD, 5001, above=5000)
    assert not is_wanted(Lane.WARD, 5000, above=5000)
    assert not is_wanted(Lane.URGENT, 50_000, above=5000)
    assert not is_wanted(Lane.BULLETIN, 50_000, above=0)
