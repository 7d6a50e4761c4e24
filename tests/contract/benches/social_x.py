"""The bench of `social_x`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Channel, Medium
from channels.social_x import EVERYBODY, SocialX
from tests.contract.bench import SHORT, Arrived, Bench, Case, World
from tests.contract.web_world import WebWorld
from tests.fakes import x


class XWorld(WebWorld):
    def __init__(self, channel: Channel, provider: x.FakeX, to: str) -> None:
        super().__init__(channel, provider, to, key="")
        self._x = provider

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=self._to, text=post.text) for post in self._x.accepted]

    def throttle(self, seconds: int) -> None:
        self.next(x.throttled(seconds))

    def write_to_us(self, text: str) -> None:
        self._x.mention(text)


@asynccontextmanager
async def x_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        x.FakeX() as provider,
        SocialX("a", "b", {EVERYBODY: "c:d"}, api_url=provider.url, timeout_seconds=SHORT) as channel,
    ):
        yield XWorld(channel, provider, to)


X_KEYS = (
    "NOTIFIER_X_CONSUMER_KEY",
    "NOTIFIER_X_CONSUMER_SECRET",
    "NOTIFIER_X_ACCESS_TOKEN",
    "NOTIFIER_X_ACCESS_TOKEN_SECRET",
)


BENCH = Bench(
    name="social_x",
    medium=Medium.SOCIAL,
    to="@southmeresnt",
    odd_spelling=" SouthmereSNT",
    env=dict.fromkeys(X_KEYS, "key"),
    required=X_KEYS,
    impossible={
        Case.BAD_ADDRESS: "a post goes to the account whose keys it has",
        Case.OPTED_OUT: "a post has no recipient",
        Case.HOOKS: "it is polled",
    },
    world=x_world,
)
