"""A delivery's state, told again by its record alone."""

import itertools

import pytest

from channels.base import Progress
from notifier.delivery.findings import may_have_arrived
from notifier.delivery.replay import NOT_TAKEN, Attempted, Noted, Replayed, Said, agrees, outweighs, replay
from notifier.models import DeliveryState

S = DeliveryState


@pytest.mark.parametrize(
    ("attempts", "events", "receipts", "state"),
    [
        ([], [], [], S.PENDING),
        ([(1, None, None)], [], [], S.STARTED),
        ([(1, "accepted", "accepted")], [], [], S.ACCEPTED),
        # A lost worker, doubt, its late answer before anything was decided: the answer counts.
        ([(1, "accepted", "accepted")], [(1, 1, "swept", "in_doubt")], [], S.ACCEPTED),
        # The look-up that found nothing left it in doubt; then the answer came.
        (
            [(1, "accepted", "accepted")],
            [(1, 1, "swept", "in_doubt"), (2, 1, "resolved", "in_doubt")],
            [],
            S.ACCEPTED,
        ),
        # Doubt by the answer itself, decided afterwards.
        ([(1, "unknown", "in_doubt")], [(1, 1, "resolved", "pending")], [], S.PENDING),
        ([(1, "unknown", "in_doubt")], [(2, 1, "resolved", "unknown")], [], S.UNKNOWN),
        # An alert of a lost worker is due again; the answer that comes later changes nothing.
        ([(1, "accepted", None)], [(1, 1, "swept", "pending")], [], S.PENDING),
        # Then somebody else tries it. What is of the first claim comes first, whatever its id.
        (
            [(1, "accepted", None), (2, "failed", "pending")],
            [(9, 1, "swept", "pending")],
            [],
            S.PENDING,
        ),
        (
            [(2, "failed", "failed"), (1, "unknown", "in_doubt")],
            [(1, 1, "resolved", "pending")],
            [],
            S.FAILED,
        ),
        # Ends without an attempt, and after one.
        ([], [(1, 1, "expired", "expired")], [], S.EXPIRED),
        ([(1, "throttled", "pending")], [(1, 2, "suppressed", "suppressed")], [], S.SUPPRESSED),
        ([(1, "refused", "held")], [(1, 1, "released", "pending")], [], S.PENDING),
        # What is only told changes nothing.
        ([(1, "accepted", "accepted")], [(1, 1, "shown", None)], [], S.ACCEPTED),
        # Receipts weigh more than anything we concluded, before our settle too.
        ([(1, None, None)], [], [(1, "sent")], S.ACCEPTED),
        ([(1, "accepted", None)], [], [(1, "delivered")], S.DELIVERED),
        ([(1, "unknown", "in_doubt")], [(1, 1, "resolved", "unknown")], [(1, "delivered")], S.DELIVERED),
        ([(1, "failed", "failed")], [], [(1, "sent")], S.ACCEPTED),
        ([(1, "accepted", "accepted")], [], [(None, "bounced"), (None, "sent")], S.BOUNCED),
        # Bad news of an attempt that a later one followed.
        ([(1, "unknown", "pending"), (2, "accepted", "accepted")], [], [(1, "undelivered")], S.ACCEPTED),
        ([(1, "unknown", "pending"), (2, "accepted", "accepted")], [], [(2, "undelivered")], S.UNDELIVERED),
        ([(1, "unknown", "pending"), (2, "failed", "failed")], [], [(1, "delivered")], S.DELIVERED),
    ],
)
def test_the_state_follows_from_the_record(
    attempts: list[tuple[int, str | None, str | None]],
    events: list[tuple[int, int, str, str | None]],
    receipts: list[tuple[int | None, str]],
    state: DeliveryState,
) -> None:
    for tried in itertools.permutations(Attempted(*each) for each in attempts):
        for noted in itertools.permutations(Noted(*each) for each in events):
            for said in itertools.permutations(Said(*each) for each in receipts):
                assert replay(tried, noted, said) == Replayed(state)


@pytest.mark.parametrize(
    ("attempts", "events"),
    [
        ([Attempted(1, "accepted", None)], []),
        ([], [Noted(1, None, "expired", None)]),
        ([Attempted(1, None, None)], [Noted(1, None, "swept", None)]),
    ],
)
def test_what_an_earlier_release_wrote_proves_nothing_and_accuses_nobody(
    attempts: list[Attempted], events: list[Noted]
) -> None:
    found = replay(attempts, events, [])
    assert not found.certain
    assert agrees("accepted", found)
    assert replay(attempts, events, [Said(1, "delivered")]) == Replayed(S.DELIVERED)


def test_waiting_and_leased_are_one_and_nothing_else_is() -> None:
    assert agrees("leased", Replayed(S.PENDING))
    assert agrees("pending", Replayed(S.PENDING))
    assert not agrees("started", Replayed(S.PENDING))
    assert not agrees("pending", Replayed(S.ACCEPTED))


def test_receipts_have_one_order_of_rank() -> None:
    ranked = [S.ACCEPTED, S.UNDELIVERED, S.DELIVERED, S.BOUNCED, S.COMPLAINED]
    for lower, higher in itertools.combinations(ranked, 2):
        assert outweighs(higher, lower)
        assert not outweighs(lower, higher)
    for ours in set(S) - set(ranked):
        assert all(outweighs(theirs, ours) for theirs in ranked)
    assert len(ranked) == len(Progress)


def test_only_what_nobody_can_rule_out_may_have_arrived() -> None:
    attempts = [
        Attempted(1, "unknown", "in_doubt"),
        Attempted(2, "failed", "pending"),
        Attempted(3, None, None),
        Attempted(4, "accepted", "accepted"),
    ]
    assert may_have_arrived(attempts, []) == [1, 3, 4]
    assert may_have_arrived(attempts, [Noted(1, 1, NOT_TAKEN, "pending")]) == [3, 4]
