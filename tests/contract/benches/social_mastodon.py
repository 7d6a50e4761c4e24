"""The bench of `social_mastodon`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Channel, Medium
from channels.social_mastodon import SocialMastodon
from tests.contract.bench import SHORT, Arrived, Bench, Case, World
from tests.contract.web_world import WebWorld
from tests.fakes import mastodon


class MastodonWorld(WebWorld):
    def __init__(self, channel: Channel, provider: mastodon.FakeMastodon, to: str) -> None:
        super().__init__(channel, provider, to, key="send")
        self._provider = provider

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=self._to, text=post.text) for post in self._provider.accepted]

    def throttle(self, seconds: int) -> None:
        self.next(mastodon.throttled(seconds))

    def write_to_us(self, text: str) -> None:
        self._provider.mention(text)


@asynccontextmanager
async def mastodon_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with (
        mastodon.FakeMastodon() as provider,
        SocialMastodon({to: mastodon.TOKEN}, api_url=provider.url, timeout_seconds=SHORT) as channel,
    ):
        yield MastodonWorld(channel, provider, to)


BENCH = Bench(
    name="social_mastodon",
    medium=Medium.SOCIAL,
    to=mastodon.ACCOUNT,
    odd_spelling=" Southmere@Police.EXAMPLE ",
    env={"NOTIFIER_MASTODON_ACCOUNTS": f"{mastodon.ACCOUNT}=token"},
    required=("NOTIFIER_MASTODON_ACCOUNTS",),
    impossible={
        Case.BAD_ADDRESS: "a post goes to an account whose keys it has",
        Case.OPTED_OUT: "a post has no recipient",
        Case.HOOKS: "it is polled",
    },
    world=mastodon_world,
)
