"""How long callers wait for a connection of a pool: the first sign that a database has more to do than it can.

`db` notes each wait where connections are checked out; the web process sheds bulk by it, and `/metrics` shows it.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WINDOW_SECONDS = 5.0


class Waits:
    """The longest wait of the last few seconds, one that still lasts included.

    A wait counts until `window_seconds` after its end. So a crowd is over that long after the last long wait,
    though nobody asks for a connection meanwhile: whoever comes then shows whether it is.
    """

    def __init__(
        self, *, window_seconds: float = WINDOW_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.window_seconds, self._clock = window_seconds, clock
        self._waiting: dict[object, float] = {}  # since when, the oldest first
        self._over: deque[tuple[float, float]] = deque()  # (end, seconds): each longer than all that follow

    @contextmanager
    def one(self) -> Iterator[None]:
        """The block is one wait, however it ends."""
        mark, began = object(), self._clock()
        self._waiting[mark] = began
        try:
            yield
        finally:
            del self._waiting[mark]
            ended = self._clock()
            self._forget(ended)
            while self._over and self._over[-1][1] <= ended - began:
                self._over.pop()
            self._over.append((ended, ended - began))

    @property
    def longest_seconds(self) -> float:
        """0 where nobody waited."""
        now = self._clock()
        self._forget(now)
        lasting = now - next(iter(self._waiting.values())) if self._waiting else 0.0
        return max(lasting, self._over[0][1] if self._over else 0.0)

    def _forget(self, now: float) -> None:
        while self._over and self._over[0][0] <= now - self.window_seconds:
            self._over.popleft()
