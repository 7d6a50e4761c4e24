"""What the tests of this folder share: a browser of a kind on a seeded service."""

from collections.abc import AsyncIterator

import pytest

from notifier.db import Database
from notifier.web.public import sign_up
from tests.integration.pages import Browser, client_for, seed


@pytest.fixture
async def browser(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    """A browser on a seeded service; a form may be sent as fast as the test can."""
    monkeypatch.setattr(sign_up, "FASTEST_PERSON_SECONDS", 0.0)
    await seed(db)
    async with client_for(db) as client:
        yield Browser(client)
