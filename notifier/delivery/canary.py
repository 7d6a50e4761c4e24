"""The first 25 of a large bulk message go ahead alone; where they fail, the message pauses itself and says why.

A message is given its canary at approval (`is_wanted`); `claim` lets it have no more than `room` rows
beyond those that ended. `Canaries.observe` stands in the transaction that settles. A fault is one that is not
the recipient's: what the provider refuses of the words, what fails, what nobody answers.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from sqlalchemy import func, select, update

from channels.base import Accepted, Failed, Outcome, Refusal, Refused, Throttled, Unknown
from notifier.db import Tx
from notifier.delivery.alarms import AlarmKind, raise_alarm
from notifier.models import Canary, Lane, Message, MessageState

FIRST = 25
IN_A_ROW = 10
FAULTY = 5  # of the first 25: 20 %
KEPT = 1024  # messages a process remembers
BULK = (Lane.WARD, Lane.BULLETIN)
GOOD, FAULT = ".", "x"


def is_wanted(lane: Lane, audience: int, *, above: int) -> bool:
    """Does a message to so many go to a few first? above: 0 for never. Alerts never wait. Pure."""
    return lane in BULK and 0 < above < audience


def mark_of(outcome: Outcome) -> str:
    """`.` where the words went out or it was the recipient's fault, `x` for a fault, nothing where it waits. Pure."""
    match outcome:
        case Accepted():
            return GOOD
        case Throttled():
            return ""
        case Refused(why=Refusal.NOT_ALLOWED):  # we are locked out: the breaker's business, not the message's
            return ""
        case Refused(why=Refusal.CONTENT) | Failed() | Unknown():
            return FAULT
        case _:
            return GOOD


def verdict(seen: str) -> Canary:
    """What the first outcomes say, oldest first. Pure.

    Ten faults in a row or a fifth of the 25 are a failure, and need not be waited for.
    """
    if FAULT * IN_A_ROW in seen or seen[:FIRST].count(FAULT) >= FAULTY:
        return Canary.FAILED
    return Canary.PASSED if len(seen) >= FIRST else Canary.WAITING


def room(seen: str, in_flight: int) -> int:
    """How many more rows of a waiting message may be leased, with so many leased or started. Pure."""
    return max(FIRST - len(seen) - in_flight, 0)


class Canaries:
    """What one worker knows of canaries: which messages have none, and faults in a row of those that had.

    Safe to lose: the outcomes that decide stand in the message's row. A message that has none, or whose
    canary has passed, is never asked for again; so settling costs a statement only where one waits.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[UUID, bool] = OrderedDict()  # canary decided → is it a large message?
        self._in_a_row: dict[UUID, int] = {}

    def are_over(self, messages: Collection[UUID | None]) -> bool:
        """Whether mails that were taken say nothing of these: the canary of each is decided, or it has none."""
        own = [message for message in messages if message is not None]
        return all(message in self._known and not self._in_a_row.get(message) for message in own)

    async def observe(self, tx: Tx, ended: Iterable[tuple[UUID | None, Outcome]]) -> list[UUID]:
        """Take in how attempts of messages ended, in order; the messages that were paused for it."""
        by_message: dict[UUID, list[Outcome]] = {}
        for message, outcome in ended:
            if message is not None and mark_of(outcome):
                by_message.setdefault(message, []).append(outcome)
        await self._ask(tx, [id_ for id_ in by_message if id_ not in self._known])
        paused = []
        for message in sorted(by_message):  # in one order, so that two workers never wait for each other
            outcomes = by_message[message]
            if message not in self._known:
                stopped = await _first_ones(tx, message, outcomes)
            else:
                stopped = self._known[message] and await self._later_ones(tx, message, outcomes)
            if stopped:
                paused.append(message)
        return paused

    async def _ask(self, tx: Tx, messages: Sequence[UUID]) -> None:
        """Remember those whose canary is decided: it never waits again."""
        if not messages:
            return
        rows = await tx.execute(select(Message.id, Message.canary).where(Message.id.in_(list(messages))))
        for row in rows:
            if row.canary != Canary.WAITING:
                self._known[row.id] = row.canary is not None
        while len(self._known) > KEPT:
            gone, _ = self._known.popitem(last=False)
            self._in_a_row.pop(gone, None)

    async def _later_ones(self, tx: Tx, message: UUID, outcomes: Sequence[Outcome]) -> bool:
        """Ten faults in a row, as this worker saw them, stop a large message at any time."""
        faults = self._in_a_row.get(message, 0)
        for outcome in outcomes:
            faults = faults + 1 if mark_of(outcome) == FAULT else 0
            if faults >= IN_A_ROW:
                self._in_a_row[message] = 0
                return await _pause(tx, message, f"The last {faults} could not be sent", outcome)
        self._in_a_row[message] = faults
        return False


async def _first_ones(tx: Tx, message: UUID, outcomes: Sequence[Outcome]) -> bool:
    """Write down how the first ones ended, and decide once that can be done. Is the message paused by it?"""
    more = "".join(mark_of(outcome) for outcome in outcomes)
    seen = await tx.scalar(
        update(Message)
        .where(Message.id == message, Message.canary == Canary.WAITING)
        .values(canary_seen=func.substr(Message.canary_seen + more, 1, FIRST))
        .returning(Message.canary_seen)
    )
    if seen is None:
        return False  # another worker has just decided
    decided = verdict(seen)
    if decided is Canary.FAILED:
        worst = next((o for o in reversed(outcomes) if mark_of(o) == FAULT), outcomes[-1])
        return await _pause(
            tx, message, f"{seen.count(FAULT)} of the first {len(seen)} could not be sent", worst
        )
    if decided is Canary.PASSED:
        await tx.execute(update(Message).where(Message.id == message).values(canary=Canary.PASSED))
        tx.on_commit("wake")
    return False


async def _pause(tx: Tx, message: UUID, what: str, outcome: Outcome) -> bool:
    said = str(getattr(outcome, "reason", "")).strip(" .")
    reason = f"{what}: {said}." if said else f"{what}."
    paused = await tx.execute(
        update(Message)
        .where(Message.id == message, Message.state.in_([MessageState.SENDING, MessageState.SCHEDULED]))
        .values(state=MessageState.PAUSED, canary=Canary.FAILED, paused_reason=reason[:500])
    )
    if paused.rowcount:
        await raise_alarm(tx, AlarmKind.MESSAGE, str(message), reason)
    return bool(paused.rowcount)
