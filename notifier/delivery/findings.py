"""What can be wrong with a delivery or a message of the ledger, and how it is seen. Pure; `proof` reads the rows."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.delivery.replay import DIGEST, NOT_TAKEN, Attempted, Noted, Replayed, Said, agrees, replay
from notifier.models import DeliveryState, MessageState

MOST_KEPT = 1000
NEEDS_EVIDENCE = frozenset(
    {
        DeliveryState.ACCEPTED,
        DeliveryState.DELIVERED,
        DeliveryState.UNDELIVERED,
        DeliveryState.BOUNCED,
        DeliveryState.COMPLAINED,
    }
)
OPEN = frozenset(state for state in DeliveryState if not state.is_terminal)
_KNOWN = frozenset(state.value for state in DeliveryState)


class Kind(StrEnum):
    """What can be wrong with a ledger."""

    AUDIENCE = "audience"  # a message has more or fewer deliveries than its frozen audience
    STATE = "state"  # a delivery's state does not follow from its attempts, events and receipts
    DOUBLE = "double"  # two deliveries of one message for one address
    EVIDENCE = "evidence"  # taken by the provider, says the row, and nothing else says so
    FENCE = "fence"  # an attempt newer than its delivery's latest claim
    OPEN = "open"  # a message that is done has a delivery that is not
    REPEAT = "repeat"  # may have arrived twice, and is not flagged
    STRAY = "stray"  # belongs to a delivery that is not there


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong, in words, with the ids to look it up by."""

    kind: Kind
    detail: str
    delivery: int | None = None
    message: UUID | None = None

    @property
    def in_words(self) -> str:
        where = [f"message {self.message}"] if self.message else []
        where += [f"delivery {self.delivery}"] if self.delivery is not None else []
        return f"{', '.join(where)}: {self.detail}"


@dataclass(kw_only=True)
class History:
    """Everything on record of some deliveries, by their ids. digests: see `Digest`."""

    attempts: Mapping[int, Sequence[Attempted]]
    events: Mapping[int, Sequence[Noted]]
    receipts: Mapping[int, Sequence[Said]]
    digests: Mapping[int, "Digest"]


@dataclass(frozen=True, slots=True)
class Digest:
    """Of a delivery that waits in a digest: the state of the digest's own delivery, and is it for the same address?

    state: None where the digest has no delivery.
    """

    state: str | None
    is_same_address: bool


@dataclass
class Counted:
    """How many deliveries a message has, and how many of them are open."""

    all: int = 0
    open: int = 0

    def add(self, state: str, number: int) -> None:
        self.all += number
        self.open += number if state in OPEN else 0


@dataclass(kw_only=True)
class Proved:
    """What was read and what is wrong. findings: the first thousand; by_kind: how many there are of each."""

    deliveries: int = 0
    messages: int = 0
    findings: list[Finding] = field(default_factory=list)
    by_kind: dict[Kind, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def found(self) -> int:
        return sum(self.by_kind.values())

    def add(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self.by_kind[finding.kind] += 1
        self.findings += findings[: max(MOST_KEPT - len(self.findings), 0)]


_NO_DIGEST = Digest(None, is_same_address=True)


def wrong_with(row: Row[Any], history: History, refuse_repeats: Collection[str]) -> list[Finding]:
    """What is wrong with one delivery. row: its columns as `proof` reads them."""
    if row.state not in _KNOWN:
        return [Finding(kind=Kind.STATE, delivery=row.id, detail=f"{row.state!r} is no state")]
    attempts = history.attempts.get(row.id, ())
    events = history.events.get(row.id, ())
    receipts = history.receipts.get(row.id, ())
    said = replay(attempts, events, receipts)
    if row.digest_notice_id is not None:
        by_itself = replay(attempts, [each for each in events if each.kind != DIGEST], receipts)
        wrong = _wrong_in_digest(row.state, said, by_itself, history.digests.get(row.id, _NO_DIGEST))
    else:
        wrong = _wrong_by_itself(row, said, attempts, events, receipts)
        if not row.maybe_repeat and row.channel not in refuse_repeats and len(attempts) > 1:
            arrived = may_have_arrived(attempts, events)
            if len(arrived) > 1:
                wrong.append((Kind.REPEAT, f"attempts {', '.join(map(str, arrived))} may all have arrived"))
    return [
        Finding(kind=kind, delivery=row.id, message=row.message_id, detail=detail) for kind, detail in wrong
    ]


def wrong_with_message(row: Row[Any], counted: Counted) -> list[Finding]:
    """What is wrong with one message. row: its id, state and audience_count."""
    findings = []
    if row.audience_count is not None and counted.all != row.audience_count:
        detail = f"{counted.all} deliveries for a frozen audience of {row.audience_count}"
        findings.append(Finding(kind=Kind.AUDIENCE, message=row.id, detail=detail))
    if row.state == MessageState.DONE and counted.open:
        detail = f"it is done, and {counted.open} of its deliveries are open"
        findings.append(Finding(kind=Kind.OPEN, message=row.id, detail=detail))
    return findings


def may_have_arrived(attempts: Sequence[Attempted], events: Sequence[Noted]) -> list[int]:
    """Numbers of the attempts whose message may be with its reader; not those the provider says it never had."""
    never = {event.number for event in events if event.kind == NOT_TAKEN}
    return sorted(
        each.number
        for each in attempts
        if each.outcome in (None, "accepted", "unknown") and each.number not in never
    )


def _wrong_by_itself(
    row: Row[Any],
    said: Replayed,
    attempts: Sequence[Attempted],
    events: Sequence[Noted],
    receipts: Sequence[Said],
) -> list[tuple[Kind, str]]:
    wrong = []
    if not agrees(row.state, said):
        wrong.append((Kind.STATE, f"it says {row.state}, its record makes it {said.state}"))
    if row.state in NEEDS_EVIDENCE and not _is_evident(attempts, events, receipts):
        wrong.append((Kind.EVIDENCE, f"{row.state}, and no attempt or receipt says so"))
    newest = max((attempt.number for attempt in attempts), default=0)
    if newest > row.fence:
        wrong.append((Kind.FENCE, f"attempt {newest} is newer than its latest claim, {row.fence}"))
    return wrong


def _wrong_in_digest(
    state: str, said: Replayed, by_itself: Replayed, digest: Digest
) -> list[tuple[Kind, str]]:
    """It shares the fate of the digest's own delivery, or was ended by itself before.

    A digest that is sent again, after it was held for instance, leaves its parts as they are until its next end.
    """
    if digest.state is None:
        return [(Kind.STRAY, "the digest it waits in has no delivery")]
    wrong = []
    if not digest.is_same_address:
        wrong.append((Kind.DOUBLE, "the digest it waits in goes to another address"))
    if digest.state in OPEN:
        follows = state in OPEN or agrees(state, said)
    else:
        follows = state == digest.state or (by_itself.state not in OPEN and state == by_itself.state)
    if not follows:
        wrong.append((Kind.STATE, f"it says {state}, the digest it waits in says {digest.state}"))
    return wrong


def _is_evident(attempts: Sequence[Attempted], events: Sequence[Noted], receipts: Sequence[Said]) -> bool:
    """Does anything but the row itself say that the provider has it?"""
    return (
        bool(receipts)
        or any(DeliveryState.ACCEPTED in (each.outcome, each.became) for each in attempts)
        or any(each.state == DeliveryState.ACCEPTED for each in events)
    )
