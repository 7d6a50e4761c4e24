"""Looks every other second whether a channel is out of order, and moves what waits for it to one that works.

The rule is in `notifier.delivery.failover`. Alerts move at once, everything else once the trouble has lasted.
"""

import asyncio
import time
from datetime import timedelta
from functools import partial

import structlog

from notifier.delivery.failover import MEDIA, Detour, Group, detours, groups, move_page
from notifier.runtime import Service

log = structlog.get_logger()

DETOUR_SECONDS, LEAST_DETOUR_SECONDS = 2.0, 0.1
RESTS = 50  # times as long as it took to look through what is open


class Detours:
    """Of one worker. Two at once are harmless."""

    def __init__(self, service: Service, stopping: asyncio.Event) -> None:
        self._db, self._stopping = service.db, stopping
        settings = service.settings
        self._after = timedelta(seconds=settings.failover_after * settings.time_factor)
        self._not_before = {False: 0.0, True: 0.0}  # by whether bulk is looked through

    @property
    def is_wanted(self) -> bool:
        """Does one of the media that can be handed over have more than one channel here?"""
        carriers = self._db.carriers
        return any(len(carriers.all_of(medium)) > 1 for medium in MEDIA)

    async def look(self) -> int:
        """Move what may be moved now; how many deliveries."""
        async with self._db.transaction(read_only=True) as tx:
            found = await detours(tx)
        moved = 0
        for bulk in (False, True):
            began = time.monotonic()
            if found and began >= self._not_before[bulk]:
                moved += await self._move(found, bulk=bulk)
                self._not_before[bulk] = began + RESTS * (time.monotonic() - began)
        return moved

    async def _move(self, found: list[Detour], *, bulk: bool) -> int:
        async with self._db.transaction(read_only=True) as tx:
            due = await groups(tx, found, bulk=bulk, after=self._after)
        moved = 0
        for group in due:
            number = await self._move_group(group)
            moved += number
            if number:
                way = {"from_channel": group.detour.channel, "to_channel": group.to}
                log.warning("moved", **way, lane=group.lane.name.lower(), deliveries=number)
        return moved

    async def _move_group(self, group: Group) -> int:
        """Page by page, until there is no more, or the worker stops."""
        page = await self._db.attempt(partial(move_page, group=group))
        moved = page.number
        while page.cursor is not None and not self._stopping.is_set():
            page = await self._db.attempt(partial(move_page, group=group, after=page.cursor))
            moved += page.number
        return moved
