"""A channel that keeps what it sends in the process: the public fake, for tests of whatever uses channels.

Every medium, any outcome by script, replies and receipts by `receive` and `poll`. It never joins two
sends of one delivery, so a test can count repeats.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from channels import addresses, estimates
from channels.base import (
    Accepted,
    Capabilities,
    Channel,
    Content,
    Estimate,
    Event,
    Failed,
    Idempotency,
    Medium,
    Outcome,
    Outgoing,
    Prepared,
    Refused,
    filled,
)
from channels.words import Words, compile_words, read_words


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One message that was taken, and the words its reader would see."""

    message: Outgoing
    words: Words

    @property
    def to(self) -> str:
        return self.message.to


@dataclass(frozen=True, kw_only=True)
class _Scripted:
    outcome: Outcome
    taken: bool


class Memory(Channel):
    """Carries every medium nowhere. `sent` is what it took, in order."""

    name = "memory"
    capabilities = Capabilities(
        media=frozenset(Medium),
        replies=True,
        receipts=True,
        html=True,
        max_text=None,
        idempotency=Idempotency.NONE,
        slot_rows=5,
    )

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.closed = False
        self._scripts: defaultdict[str, deque[_Scripted]] = defaultdict(deque)
        self._events: list[Event] = []

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        return cls()

    def script(self, to: str, *outcomes: Outcome, taken: bool = False) -> None:
        """The next sends to an address come out so, then it accepts again.

        taken: whether a message whose outcome is not Accepted was kept all the same, as when an answer is lost.
        """
        self._scripts[to].extend(_Scripted(outcome=outcome, taken=taken) for outcome in outcomes)

    def receive(self, *events: Event) -> None:
        """Something came back: the next `poll` tells it."""
        self._events.extend(events)

    async def close(self) -> None:
        self.closed = True

    def normalise(self, address: str, medium: Medium) -> str:
        return addresses.normalise(address, medium)

    def estimate(self, content: Content) -> Estimate:
        return estimates.estimate(content)

    def prepare(self, content: Content) -> Prepared:
        estimates.require_room(content)
        return compile_words(content)

    async def send(self, message: Outgoing) -> Outcome:
        script = self._scripts.get(message.to)
        scripted = script.popleft() if script else None
        if scripted is None or scripted.taken or isinstance(scripted.outcome, Accepted):
            copy = filled(message)
            if isinstance(copy, Refused):
                return copy
            self.sent.append(Sent(message=message, words=read_words(copy)))
        return scripted.outcome if scripted else Accepted(provider_id=f"memory-{len(self.sent)}")

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome:
        for number, sent in enumerate(self.sent, start=1):
            if sent.message.delivery == message.delivery:
                return Accepted(provider_id=f"memory-{number}")
        return Failed(reason="it was never taken")

    async def poll(self, cursor: str) -> tuple[Sequence[Event], str]:
        seen = int(cursor) if cursor.isdecimal() else 0
        return self._events[seen:], str(len(self._events))
