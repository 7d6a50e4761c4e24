"""What the conformance suite asks for: the world of the bench a test is tried on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.bench import Bench, World


@pytest.fixture
async def world(bench: Bench, tmp_path: Path) -> AsyncIterator[World]:
    async with bench.world(bench.to, tmp_path) as opened:
        yield opened
