"""Asks the channels that must be asked what came: each in a loop of its own, so that none waits for another."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import structlog

from channels.base import CanBePolled
from channels.errors import CannotPoll
from notifier.inbox import polls
from notifier.inbox.polls import Taken
from notifier.runtime import Service

log = structlog.get_logger()

LOOK_SECONDS, LEAST_LOOK_SECONDS = 5.0, 0.2  # whether it is time to ask
LONGEST_POLL_SECONDS = 60.0


class Poller:
    """Of one worker. Which process asks is settled by the row of `polls`."""

    def __init__(self, service: Service) -> None:
        self._db, self._factor = service.db, service.settings.time_factor
        self._channels: Mapping[str, CanBePolled] = {
            name: channel for name, channel in service.channels.items() if isinstance(channel, CanBePolled)
        }

    @property
    def looks(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        """By channel, what its loop does."""

        def look_at(name: str) -> Callable[[], Awaitable[bool]]:
            async def poll() -> bool:
                return await self.look(name)

            return poll

        return {name: look_at(name) for name in self._channels}

    async def look(self, name: str) -> bool:
        """Ask that channel, where it is time and nobody else does; whether something came.

        What it raises beside CannotPoll is its fault, not the loop's: it is asked again later, as if it could not be.
        """
        taken = await self._db.attempt(partial(polls.take, channel=name))
        if taken is None:
            return False
        try:
            async with asyncio.timeout(LONGEST_POLL_SECONDS):
                events, cursor = await self._channels[name].poll(taken.cursor)
        except CannotPoll as error:
            await self._fail(taken, str(error), error.after_seconds)
            return False
        except Exception as error:
            log.exception("poll_failed", channel=name, error=type(error).__name__)
            await self._fail(taken, f"asking failed: {type(error).__name__}")
            return False
        await self._db.attempt(
            lambda tx: polls.keep(tx, taken, events, cursor, factor=self._factor),
            point="C7" if events else "",
        )
        if events:
            log.info("polled", channel=name, events=len(events))
        return bool(events)

    async def _fail(self, taken: Taken, reason: str, after_seconds: float = 0.0) -> None:
        log.warning("not_polled", channel=taken.channel, reason=reason, after_seconds=after_seconds)
        await self._db.attempt(
            lambda tx: polls.failed(tx, taken, reason, after_seconds=after_seconds, factor=self._factor)
        )
