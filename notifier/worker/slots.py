"""The slots of a lane: each is one concurrent send, and takes started rows in the order of their marks.

A channel that sends in runs takes row after row by itself; any other is handed one at a time. Nothing is
composed before its turn, so a message is in memory only while it is on its way.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import structlog

from channels.base import Channel, Outcome, Outgoing, SendsInRuns, Unknown
from notifier import failpoints
from notifier.delivery.claim import Claimed
from notifier.delivery.content import Contents
from notifier.delivery.send import written
from notifier.models import Lane
from notifier.worker.seams import Held

log = structlog.get_logger()

Ended = Callable[[Claimed, Outcome | None], None]


class Mark:
    """Until when marks made together are good, by either clock: who stood still for long has lost them to others."""

    def __init__(self, seconds: float) -> None:
        self._until, self._until_wall = time.monotonic() + seconds, time.time() + seconds

    @property
    def is_good(self) -> bool:
        return time.monotonic() < self._until and time.time() < self._until_wall


class Turn:
    """A message on its way (an errand): of a started row."""

    __slots__ = ("_ended", "is_over", "message", "row")

    def __init__(self, row: Claimed, message: Outgoing, ended: Ended) -> None:
        self.row, self.message, self._ended = row, message, ended
        self.is_over = False

    def ended(self, outcome: Outcome) -> None:
        """The provider's word on it, or what stands for it."""
        if not self.is_over:
            self.is_over = True
            failpoints.reach("C5.after")
            self._ended(self.row, outcome)


class Slots:
    """ended: told of every row how it ended; None where it did not leave, for its turn came too late."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        contents: Contents,
        lane: Lane,
        *,
        number: int,
        ended: Ended,
    ) -> None:
        self._channels, self._contents, self._ended, self._number = channels, contents, ended, number
        self._is_urgent = lane is Lane.URGENT
        self._in_runs = {
            name: channel for name, channel in channels.items() if isinstance(channel, SendsInRuns)
        }
        self._rows: deque[tuple[Held, Mark]] = deque()
        self._some = asyncio.Event()
        self._is_ending = False

    @property
    def waiting(self) -> int:
        """Rows whose turn has not come."""
        return len(self._rows)

    def put(self, rows: Sequence[Held], marks: Mapping[str, Mark]) -> None:
        """Started rows; those of one channel go together. marks: by channel."""
        for held in sorted(rows, key=_channel) if len(marks) > 1 else rows:
            self._rows.append((held, marks[held.row.channel]))
        self._some.set()

    async def run(self) -> None:
        """Serve until `end`, and then until all that was put is sent."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._number):
                tasks.create_task(self._serve())

    def end(self) -> None:
        """No more will be put."""
        self._is_ending = True
        self._some.set()

    async def _serve(self) -> None:
        while True:
            if self._rows:
                await self._send(_channel(self._rows[0][0]))
            elif self._is_ending:
                return
            else:
                self._some.clear()
                await self._some.wait()

    async def _send(self, name: str) -> None:
        """What is next is of that channel."""
        taken: list[Turn] = []
        try:
            if name in self._in_runs:
                await self._in_runs[name].run(lambda: self._next(name, taken), urgent=self._is_urgent)
            elif (turn := self._next(name, taken)) is not None:
                turn.ended(await self._channels[name].send(turn.message))
        except Exception as error:  # a channel never raises; one that does may have sent
            log.exception("channel_raised", channel=name, error=type(error).__name__)
            for turn in taken:
                turn.ended(Unknown(reason=f"the channel failed: {type(error).__name__}"))

    def _next(self, name: str, taken: list[Turn]) -> Turn | None:
        """The next turn, its message composed, while it is of that channel."""
        while self._rows and _channel(self._rows[0][0]) == name:
            held, mark = self._rows.popleft()
            message = written(self._contents, *held) if mark.is_good else None
            if isinstance(message, Outgoing):
                taken.append(turn := Turn(held.row, message, self._ended))
                failpoints.reach("C5.before")
                return turn
            self._ended(held.row, message)
        return None


def _channel(held: Held) -> str:
    return held.row.channel
