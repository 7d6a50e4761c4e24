"""What the tests in a browser share: one Chromium for each pytest process."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from tests.browser import CHROMIUM, FLAGS


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium; each test opens a context of its own, which shares nothing with others."""
    async with async_playwright() as tools:
        opened = await tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()
