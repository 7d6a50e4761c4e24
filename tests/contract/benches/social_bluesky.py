"""The bench of `social_bluesky`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Channel, Medium
from channels.social_bluesky import SocialBluesky
from tests.contract.bench import SHORT, Arrived, Bench, Case, World
from tests.contract.web_world import WebWorld
from tests.fakes import bluesky


class BlueskyWorld(WebWorld):
    def __init__(self, channel: Channel, provider: bluesky.FakeBluesky, to: str) -> None:
        super().__init__(channel, provider, to, key="send")
        self._provider = provider

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=self._to, text=post.text) for post in self._provider.accepted]

    def throttle(self, seconds: int) -> None:
        self.next(bluesky.throttled(seconds))

    def write_to_us(self, text: str) -> None:
        self._provider.mention(text)


@asynccontextmanager
async def bluesky_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        bluesky.FakeBluesky() as provider,
        SocialBluesky({to: bluesky.PASSWORD}, api_url=provider.url, timeout_seconds=SHORT) as channel,
    ):
        yield BlueskyWorld(channel, provider, to)


BENCH = Bench(
    name="social_bluesky",
    medium=Medium.SOCIAL,
    to=bluesky.HANDLE,
    odd_spelling=" @Southmere.Example",
    env={"NOTIFIER_BLUESKY_ACCOUNTS": f"{bluesky.HANDLE}={bluesky.PASSWORD}"},
    required=("NOTIFIER_BLUESKY_ACCOUNTS",),
    impossible={
        Case.BAD_ADDRESS: "a post goes to an account whose keys it has",
        Case.OPTED_OUT: "a post has no recipient",
        Case.HOOKS: "it is polled",
    },
    world=bluesky_world,
)
