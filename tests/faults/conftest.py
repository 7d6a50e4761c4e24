"""What the fault tests share: the far ends whose logs are the oracle."""

from collections.abc import AsyncIterator

import pytest

from tests.providers import Providers, providers


@pytest.fixture
async def far_ends() -> AsyncIterator[Providers]:
    """The three providers, in this process: whoever is killed, their logs stay."""
    async with providers() as ends:
        yield ends
