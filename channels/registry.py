"""Finds installed channels by entry point, and opens the ones a deployment names."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from importlib.metadata import entry_points

from channels.base import Channel, Medium
from channels.errors import UnknownChannel

GROUP = "notifier.channels"


@cache
def installed() -> Mapping[str, str]:
    """Names of all installed channels, with where each lives."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


@cache
def find(name: str) -> type[Channel]:
    """The class of one channel. UnknownChannel lists the names there are."""
    for point in entry_points(group=GROUP):
        if point.name == name:
            loaded: type[Channel] = point.load()
            return loaded
    raise UnknownChannel(f"no channel is called {name!r}; installed: {', '.join(sorted(installed()))}")


class Channels(Mapping[str, Channel]):
    """The open channels of a deployment, in the order it names them."""

    def __init__(self, channels: Iterable[Channel]) -> None:
        self._by_name = {channel.name: channel for channel in channels}

    def __getitem__(self, name: str) -> Channel:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def carrying(self, medium: Medium) -> Channel | None:
        """The first open channel that carries a medium, or none."""
        return next((c for c in self.values() if medium in c.capabilities.media), None)


@asynccontextmanager
async def opened(names: Iterable[str], env: Mapping[str, str]) -> AsyncIterator[Channels]:
    """The named channels, built from the settings and open until the block ends."""
    async with AsyncExitStack() as stack:
        built = [find(name).from_env(env) for name in names]
        yield Channels([await stack.enter_async_context(channel) for channel in built])
