"""Turns at what only one may hold at a time, such as SQLite's write lock. Called by `notifier.db`."""

import asyncio
from collections import deque


class Turns:
    """One at a time, in the order they came; who goes ahead, before all others."""

    def __init__(self) -> None:
        self._is_taken = False
        self._ahead: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()

    async def take(self, *, ahead: bool = False) -> None:
        """Wait for one's turn. Who is cancelled meanwhile holds up nobody."""
        if not self._is_taken:
            self._is_taken = True
            return
        queue = self._ahead if ahead else self._others
        called = asyncio.get_running_loop().create_future()
        queue.append(called)
        try:
            await called
        except asyncio.CancelledError:
            if not called.cancelled():  # called and cancelled at once
                self.pass_on()
            raise

    def pass_on(self) -> None:
        """The turn is over: the next who still waits is called."""
        for queue in (self._ahead, self._others):
            while queue:
                called = queue.popleft()
                if not called.done():
                    called.set_result(None)
                    return
        self._is_taken = False
