"""When a provider refuses the words of a message again and again, an operator is told. Each refused row is held."""

from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

from channels.base import Outcome, Refusal, Refused
from notifier.db import Tx
from notifier.delivery.alarms import AlarmKind, raise_alarm

MANY = 5
KEPT = 256


class Refusals:
    """What one worker has seen, by message. Safe to lose: the rows say by themselves that they are held, and why."""

    def __init__(self) -> None:
        self._seen: OrderedDict[UUID, int] = OrderedDict()

    async def observe(self, tx: Tx, ended: Sequence[tuple[UUID | None, Outcome]]) -> None:
        """Count the copies refused for their words; the fifth of a message raises its alarm."""
        for message, outcome in ended:
            if message is None or not isinstance(outcome, Refused) or outcome.why is not Refusal.CONTENT:
                continue
            self._seen[message] = number = self._seen.pop(message, 0) + 1
            if number == MANY:
                said = " ".join(part for part in (outcome.code, outcome.reason) if part)
                detail = f"{number} copies were refused for their words and are held: {said}"
                await raise_alarm(tx, AlarmKind.MESSAGE, str(message), detail)
        while len(self._seen) > KEPT:
            self._seen.popitem(last=False)
