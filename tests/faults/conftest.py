"""What the fault tests share: the far ends whose logs are the oracle, and quick processes to kill."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.faults.forker import Forker
from tests.providers import Providers, providers


@pytest.fixture
async def far_ends() -> AsyncIterator[Providers]:
    """The three providers, in this process: whoever is killed, their logs stay."""
    async with providers() as ends:
        yield ends


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    """Starts `notifier` processes without the price of their imports."""
    with Forker() as warm:
        yield warm
