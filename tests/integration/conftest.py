"""What the tests of this folder share: a browser of a kind on a seeded service, a worker with a fake channel."""

from collections.abc import AsyncIterator

import pytest

from channels.memory import Memory
from channels.registry import Channels
from notifier import config
from notifier.db import Database
from notifier.runtime import Service
from notifier.web.public import sign_up
from notifier.worker import Worker
from tests.integration.pages import Browser, client_for, seed


@pytest.fixture
async def browser(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    """A browser on a seeded service; a form may be sent as fast as the test can."""
    monkeypatch.setattr(sign_up, "FASTEST_PERSON_SECONDS", 0.0)
    await seed(db)
    async with client_for(db) as client:
        yield Browser(client)


@pytest.fixture
async def memory(request: pytest.FixtureRequest) -> AsyncIterator[Memory]:
    async with getattr(request, "param", Memory)() as channel:
        yield channel


@pytest.fixture
def worker(db: Database, memory: Memory) -> Worker:
    environment = config.build({"NOTIFIER_CHANNELS": "memory", "NOTIFIER_TIME_FACTOR": "0.0001"})
    service = Service(environment=environment, db=db, channels=Channels([memory]))
    return Worker(service, db.jobs)
