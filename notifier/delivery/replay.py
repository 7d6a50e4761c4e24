"""What a delivery's state must be, told by its attempts, events and receipts alone. Pure.

`receipts` raises states by the ranks that stand here; `proof` compares what this says with the rows. Nothing is
put in order by its time: two transactions may share one, or cross. The claim a thing belongs to orders it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from channels.base import Progress
from notifier.models import DeliveryState

# What each of a provider's words makes of a delivery; `sent` raises nothing, but resolves a doubt.
STATE = {
    Progress.SENT: DeliveryState.ACCEPTED,
    Progress.DELIVERED: DeliveryState.DELIVERED,
    Progress.UNDELIVERED: DeliveryState.UNDELIVERED,
    Progress.BOUNCED: DeliveryState.BOUNCED,
    Progress.COMPLAINED: DeliveryState.COMPLAINED,
}

# A state gives way only to words that weigh more, so that their order does not matter. At a tie: a text
# delivered beats one undelivered, a bounce beats a mail taken for delivered. Whatever we concluded ourselves
# gives way to every word of the provider's, for the provider knows what it had.
WEIGHT = {
    DeliveryState.ACCEPTED: 10,
    DeliveryState.UNDELIVERED: 40,
    DeliveryState.DELIVERED: 41,
    DeliveryState.BOUNCED: 42,
    DeliveryState.COMPLAINED: 50,
}

# Kinds of events that say more than the state they name: a lost worker was noticed; the provider says that it
# never had the attempt; the digest it waits in met its fate.
SWEPT = "swept"
NOT_TAKEN = "not_taken"
DIGEST = "digest"
OPEN = frozenset({DeliveryState.PENDING, DeliveryState.LEASED})
_BY_STATE = {state.value: state for state in DeliveryState}
_BY_PROGRESS = {progress.value: state for progress, state in STATE.items()}


class Attempted(NamedTuple):
    """An attempt: its number (the claim's fence), how it ended, and what that made of the delivery."""

    number: int
    outcome: str | None
    became: str | None


class Noted(NamedTuple):
    """An event: the claim it concerns, and what the delivery became by it; None where it stayed."""

    id: int
    number: int | None
    kind: str
    state: str | None


class Said(NamedTuple):
    """A receipt: the attempt it names, None where the provider named the delivery alone."""

    number: int | None
    progress: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """The state that follows. certain: False where the record is of a release that did not write it all down."""

    state: DeliveryState
    certain: bool = True


def outweighs(new: DeliveryState, old: DeliveryState) -> bool:
    """Does a receipt's state replace the present one? Pure."""
    return WEIGHT[new] > WEIGHT.get(old, 0)


def is_superseded(new: DeliveryState, number: int | None, newest: int) -> bool:
    """Is this bad news of an attempt that a later one followed? It says nothing of the later one. Pure.

    newest: the number of the latest attempt on record. A bounce speaks of the address, not of one attempt.
    """
    return new is DeliveryState.UNDELIVERED and number is not None and number < newest


def replay(attempts: Sequence[Attempted], events: Sequence[Noted], receipts: Sequence[Said]) -> Replayed:
    """The state after all of that, in whatever order it is handed over.

    Claim by claim: the attempt starts; a sweep may doubt it; its own end counts where it took effect, and it took
    effect only before anything else was decided; then what was decided, as it was written. Receipts weigh last.
    """
    if len(attempts) == 1 and not events and not receipts and attempts[0].became:
        return Replayed(_BY_STATE[attempts[0].became])
    state, certain = _own_steps(attempts, events)
    newest = max((attempt.number for attempt in attempts), default=0)
    for receipt in receipts:
        said = _BY_PROGRESS[receipt.progress]
        if outweighs(said, state) and not is_superseded(said, receipt.number, newest):
            state, certain = said, True
    return Replayed(state, certain)


def agrees(state: str, replayed: Replayed) -> bool:
    """Is that what the row says? Waiting and leased are one: a lease leaves no trace. Pure."""
    if not replayed.certain:
        return True
    return state == replayed.state or (replayed.state in OPEN and state in OPEN)


def _own_steps(attempts: Sequence[Attempted], events: Sequence[Noted]) -> tuple[DeliveryState, bool]:
    steps: list[tuple[int, int, int, DeliveryState]] = []
    certain = True
    last_effect = 0
    for attempt in attempts:
        steps.append((attempt.number, 0, 0, DeliveryState.STARTED))
        if attempt.became:
            steps.append((attempt.number, 2, 0, _BY_STATE[attempt.became]))
            last_effect = max(last_effect, attempt.number)
    ended = {attempt.number for attempt in attempts if attempt.became}
    for event in events:
        state = _BY_STATE.get(event.state or "")
        if event.number is None:
            certain = certain and event.state is None and event.kind not in _ENDED_BEFORE
        elif state is not None and not (state is DeliveryState.IN_DOUBT and event.number in ended):
            steps.append((event.number, 1 if event.kind == SWEPT else 3, event.id, state))
            last_effect = max(last_effect, event.number)
    # Settled, to no effect, and nothing else came of it: the release before did not say what became of it.
    certain = certain and not any(
        attempt.outcome and not attempt.became and attempt.number > last_effect for attempt in attempts
    )
    return (max(steps)[3] if steps else DeliveryState.PENDING), certain


# Kinds under which the release before wrote changes of state, without their state.
_ENDED_BEFORE = frozenset({"swept", "resolved", "expired", "cancelled", "suppressed", "failed"})
