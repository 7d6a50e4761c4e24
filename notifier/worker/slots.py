"""The slots of a lane: each is one concurrent send, and takes started rows in the order of their marks.

A channel that sends in runs takes row after row by itself; any other is handed one at a time. Nothing is
composed before its turn, so a message is in memory only while it is on its way.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import structlog

from channels.base import Channel, Outcome, Outgoing, SendsInRuns, Unknown
from notifier import failpoints
from notifier.delivery.claim import Claimed
from notifier.delivery.content import Contents
from notifier.delivery.send import written
from notifier.models import Lane
from notifier.worker.seams import Held

log = structlog.get_logger()

LOOK_SECONDS, HIGH = 0.02, 0.4  # the rest of a busy machine's time is the database's and the far end's
# A channel keeps its own deadline; one that does not is cut off before its lease ends.
AFTER_TIMEOUT_SECONDS = 15.0
RUNS = 2  # so many times what a slot may hold make a run that is long enough

OUTCOMES = frozenset(get_args(Outcome))
SAID_NOTHING = Unknown(reason="the channel did not say what became of it")

Ended = Callable[[Claimed, Outcome | None], None]


class Mark:
    """Until when marks made together are good, by either clock: who stood still for long has lost them to others."""

    def __init__(self, seconds: float) -> None:
        self._until, self._until_wall = time.monotonic() + seconds, time.time() + seconds

    @property
    def is_good(self) -> bool:
        return time.monotonic() < self._until and time.time() < self._until_wall


class Load:
    """Whether this process has lately been at work, and not waiting, for much of the time."""

    def __init__(self) -> None:
        self._since, self._spent = time.monotonic(), time.process_time()
        self._is_high = False

    @property
    def is_high(self) -> bool:
        """Over the last look's time or this one's, whichever ended last."""
        now = time.monotonic()
        if now - self._since >= LOOK_SECONDS:
            spent = time.process_time()
            self._is_high = spent - self._spent > HIGH * (now - self._since)
            self._since, self._spent = now, spent
        return self._is_high


class Turn:
    """A message on its way (an errand): of a started row."""

    __slots__ = ("_ended", "is_over", "message", "row")

    def __init__(self, row: Claimed, message: Outgoing, ended: Ended) -> None:
        self.row, self.message, self._ended = row, message, ended
        self.is_over = False

    def ended(self, outcome: Outcome) -> None:
        """The provider's word on it, or what stands for it. What is no outcome leaves it in doubt: it may have left."""
        if not self.is_over:
            self.is_over = True
            failpoints.reach("C5.after")
            self._ended(self.row, outcome if type(outcome) in OUTCOMES else SAID_NOTHING)


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
        self._deadlines = {
            name: c.capabilities.timeout_seconds + AFTER_TIMEOUT_SECONDS for name, c in channels.items()
        }
        self._run = {name: RUNS * rows_of(lane, c.capabilities.slot_rows) for name, c in channels.items()}
        self._resting: list[asyncio.Future[None]] = []  # of the slots that have nothing to do
        self._load = Load()
        self._later: asyncio.TimerHandle | None = None
        self._taken = 0  # rows, since the last look
        self._is_ending = False

    @property
    def waiting(self) -> int:
        """Rows whose turn has not come."""
        return len(self._rows)

    def put(self, rows: Sequence[Held], marks: Mapping[str, Mark]) -> None:
        """Started rows; those of one channel go together. marks: by channel."""
        for held in sorted(rows, key=_channel) if len(marks) > 1 else rows:
            self._rows.append((held, marks[held.row.channel]))
        self._wake()

    async def run(self) -> None:
        """Serve until `end`, and then until all that was put is sent."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._number):
                tasks.create_task(self._serve())

    def end(self) -> None:
        """No more will be put."""
        self._is_ending = True
        self._wake_all()

    def _wake(self) -> None:
        """Enough slots for what waits.

        Where the far end takes its time that is all of them. Where this process is what is slow, so many as
        have a whole run each: the same mails in fewer, longer runs cost less.
        """
        if not self._load.is_high:
            self._wake_all()
            return
        wanted = -(-len(self._rows) // self._run[_channel(self._rows[0][0])]) if self._rows else 0
        for _ in range(min(wanted, len(self._resting))):
            _go(self._resting.pop())
        if self._resting and self._later is None:
            self._look_later()

    def _look_later(self) -> None:
        self._taken = 0
        self._later = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Whether what waits still has met a far end that became slow: then the rest are called."""
        self._later = None
        if not self._rows:
            return
        if self._load.is_high and self._taken >= self._number - len(self._resting):
            self._look_later()
        else:
            self._wake_all()

    def _wake_all(self) -> None:
        resting, self._resting = self._resting, []
        for each in resting:
            _go(each)

    async def _serve(self) -> None:
        while True:
            if self._rows:
                await self._send(_channel(self._rows[0][0]))
            elif self._is_ending:
                return
            else:
                woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._resting.append(woken)
                await woken

    async def _send(self, name: str) -> None:
        """What is next is of that channel. A slot outlives whatever a channel does that it promised not to do."""
        taken: list[Turn] = []
        left = SAID_NOTHING
        try:
            if name in self._in_runs:
                await self._in_runs[name].run(lambda: self._next(name, taken), urgent=self._is_urgent)
            elif (turn := self._next(name, taken)) is not None:
                async with asyncio.timeout(self._deadlines[name]):
                    turn.ended(await self._channels[name].send(turn.message))
        # A channel never raises; one that does may have sent.
        except (Exception, asyncio.CancelledError) as error:
            if _is_cancelled(error):
                raise
            log.exception("channel_raised", channel=name, error=type(error).__name__)
            left = Unknown(reason=f"the channel failed: {type(error).__name__}")
        for turn in taken:
            turn.ended(left)

    def _next(self, name: str, taken: list[Turn]) -> Turn | None:
        """The next turn, its message composed, while it is of that channel."""
        while self._rows and _channel(self._rows[0][0]) == name:
            held, mark = self._rows.popleft()
            self._taken += 1
            message = written(self._contents, *held) if mark.is_good else None
            if isinstance(message, Outgoing):
                taken.append(turn := Turn(held.row, message, self._ended))
                failpoints.reach("C5.before")
                return turn
            self._ended(held.row, message)
        return None


def rows_of(lane: Lane, slot_rows: int) -> int:
    """Most started, unsettled rows of one slot (M): one in the urgent lane. Pure."""
    return 1 if lane is Lane.URGENT else slot_rows


def _is_cancelled(error: BaseException) -> bool:
    """Is it this slot that was cancelled, and not something within a channel?"""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and bool(task and task.cancelling())


def _go(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


def _channel(held: Held) -> str:
    return held.row.channel
