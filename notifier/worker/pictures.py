"""Fetches the pictures that came with texts, each by the channel it came by; no transaction is open meanwhile."""

import asyncio
from functools import partial

import structlog

from channels.base import FetchesMedia, Media, MediaRefused
from notifier.inbox import media
from notifier.inbox.media import Wanted
from notifier.runtime import Service

log = structlog.get_logger()

LOOK_SECONDS, LEAST_LOOK_SECONDS = 5.0, 0.2
LONGEST_FETCH_SECONDS = 60.0


class Pictures:
    """Of one worker. Each picture is taken by one of them at a time."""

    def __init__(self, service: Service) -> None:
        self._db, self._factor = service.db, service.settings.time_factor
        self._channels = {
            name: channel for name, channel in service.channels.items() if isinstance(channel, FetchesMedia)
        }

    @property
    def is_wanted(self) -> bool:
        """Does any channel fetch?"""
        return bool(self._channels)

    async def look(self) -> int:
        """Fetch what is wanted now; how many pictures were asked for. What fails is tried again later."""
        wanted = await self._db.attempt(media.take)
        for each in wanted:
            found = await self._fetch(each)
            state = await self._db.attempt(
                partial(media.settle, wanted=each, found=found, factor=self._factor)
            )
            log.info("picture", incoming=str(each.incoming), number=each.number, state=state)
        return len(wanted)

    async def _fetch(self, wanted: Wanted) -> Media | MediaRefused:
        channel = self._channels.get(wanted.channel)
        if channel is None or not wanted.url:
            return MediaRefused(reason=media.GONE, again=bool(wanted.url))
        try:
            async with asyncio.timeout(LONGEST_FETCH_SECONDS):
                return await channel.fetch(wanted.url)
        except TimeoutError:
            return MediaRefused(reason="it took too long", again=True)
        except Exception as error:
            log.exception("fetch_failed", channel=wanted.channel, error=type(error).__name__)
            return MediaRefused(reason=f"fetching it failed: {type(error).__name__}", again=True)
