"""The bench of `social_facebook`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Channel, Medium
from channels.social_facebook import SocialFacebook
from tests.contract.bench import SHORT, Arrived, Bench, Case, World
from tests.contract.web_world import WebWorld
from tests.fakes import facebook


class FacebookWorld(WebWorld):
    def __init__(self, channel: Channel, provider: facebook.FakeFacebook, to: str) -> None:
        super().__init__(channel, provider, to, key="send")
        self._provider = provider

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=self._to, text=post.text) for post in self._provider.accepted]

    def throttle(self, seconds: int) -> None:
        self.next(facebook.throttled(seconds // 60))


@asynccontextmanager
async def facebook_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        facebook.FakeFacebook() as provider,
        SocialFacebook(
            {to: facebook.TOKEN}, facebook.APP_SECRET, api_url=provider.graph_url, timeout_seconds=SHORT
        ) as channel,
    ):
        yield FacebookWorld(channel, provider, to)


BENCH = Bench(
    name="social_facebook",
    medium=Medium.SOCIAL,
    to=facebook.PAGE,
    odd_spelling=f" {facebook.PAGE}\u200b",
    env={"NOTIFIER_FACEBOOK_PAGES": f"{facebook.PAGE}=token", "NOTIFIER_FACEBOOK_APP_SECRET": "secret"},
    required=("NOTIFIER_FACEBOOK_PAGES", "NOTIFIER_FACEBOOK_APP_SECRET"),
    impossible={
        Case.BAD_ADDRESS: "a post goes to an account whose keys it has",
        Case.OPTED_OUT: "a post has no recipient",
        Case.HOOKS: "what people write under a post is not read",
    },
    world=facebook_world,
)
