"""Where others take part in the pipeline: pacing, breaker and spending. Here none of them does anything.

Whoever paces or observes makes a subclass, and the worker hands it to its pipelines. The order for one row: `without` at the
claim, `pace` between prefetch and mark, `admit` inside the mark's transaction, `settled` inside the settle's,
`heed` after it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from channels.base import Outcome
from notifier.db import Tx
from notifier.delivery.claim import Claimed
from notifier.delivery.content import Personal, Ready
from notifier.delivery.settle import Change
from notifier.models import Lane


class Held(NamedTuple):
    """A claimed row, its compiled words, which know what a copy costs, and what is its own: from claim to settle."""

    row: Claimed
    ready: Ready
    personal: Personal


class Later(NamedTuple):
    """A row whose turn comes in so many seconds, and why in words. No try is spent."""

    id: int
    after_seconds: float
    reason: str


class Waiting(NamedTuple):
    """A row that may not start now, when it may be looked at again, and why in words."""

    id: int
    due_at: datetime
    reason: str


class Done(NamedTuple):
    """A send that ended, and what that makes of the delivery. outcome: None where it never began."""

    row: Claimed
    outcome: Outcome | None
    change: Change


class Seams:
    """Every hook, doing nothing."""

    def without(self, lane: Lane) -> Collection[str]:
        """Channels for which nothing is to be claimed in a lane just now."""
        return ()

    async def pace(self, rows: Sequence[Held]) -> Collection[Later]:
        """Outside any transaction; may wait a moment, since other rows are sent meanwhile. Who must wait longer."""
        return ()

    async def admit(self, tx: Tx, rows: Sequence[Held]) -> Collection[Waiting]:
        """In the mark's transaction, after the permit: who may not start after all."""
        return ()

    async def settled(self, tx: Tx, done: Sequence[Done], moved: Collection[int]) -> None:
        """In the settle's transaction. moved: the deliveries on which the changes took effect."""
        return

    def is_settled(self) -> bool:
        """Whether `settled` and `heed` have nothing to do just now for sends that were all taken."""
        return True

    async def heed(self, done: Sequence[Done]) -> None:
        """After the settle's commit, outside any transaction."""
        return
