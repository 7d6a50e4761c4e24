"""What the tests of desk, API and outbox share: the application over a small world, and officers at it."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from html import unescape
from typing import Any
from uuid import UUID, uuid4

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher
from sqlalchemy import select

from channels.base import Incoming, Medium
from channels.memory import Memory
from channels.registry import Channels
from notifier import config
from notifier.db import Database
from notifier.inbox import receive
from notifier.jobs import InProcessJobs
from notifier.models import Conversation, Role
from notifier.runtime import Service
from notifier.staff import officers
from notifier.web.app import make_app
from notifier.worker import Worker
from tests.world import World, make_people, make_places

PASSWORD = "correct horse battery"
Client = TestClient[Any, Any]


@cache
def password_hash() -> str:
    """One hash for all: each would cost a tenth of a second."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


@dataclass
class Desk:
    """The application, its database, its channel and the world in it."""

    service: Service
    db: Database
    memory: Memory
    world: World
    worker: Worker

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[Client]:
        """A browser of its own, with its own cookies."""
        server = TestServer(make_app(self.service))
        async with TestClient(server) as client:
            yield client

    async def officer(self, email: str, role: Role, team: UUID | None, *, name: str = "Sam Officer") -> UUID:
        """One more officer, with the password of all."""
        async with self.db.transaction() as tx:
            return await officers.add(
                tx,
                email=email,
                name=name,
                password_hash=password_hash(),
                role=role,
                team=team,
                actor="command",
            )

    @asynccontextmanager
    async def signed_in(self, email: str) -> AsyncIterator[Client]:
        """A browser in which that officer has signed in."""
        async with self.browser() as client:
            response = await submit(client, "/desk/sign-in", {"email": email, "password": PASSWORD})
            assert response.status == 200, await response.text()
            yield client

    async def settle(self) -> None:
        """Everything that is due is done: plans, deliveries, what came in."""
        for _ in range(4):
            await run_jobs(self)
            await self.worker.drain()


@asynccontextmanager
async def open_desk(db: Database, *, people: int = 12, **settings: str) -> AsyncIterator[Desk]:
    """A desk over a world of six wards, three teams and some people."""
    environment = config.build({"NOTIFIER_CHANNELS": "memory", "NOTIFIER_TIME_FACTOR": "0.0001", **settings})
    async with Memory() as memory, db.transaction() as tx:
        world = await make_places(tx)
        await make_people(tx, world, people)
    service = Service(environment=environment, db=db, channels=Channels([memory]))
    yield Desk(
        service=service,
        db=db,
        memory=memory,
        world=world,
        worker=Worker(service, db.jobs),
    )


async def run_jobs(desk: Desk) -> None:
    """What the doorbell rang for, in the order it rang."""
    jobs = desk.db.jobs
    assert isinstance(jobs, InProcessJobs)
    while found := jobs.take():
        job, given = found
        await desk.worker.handlers[job](*given)


def token_in(page: str) -> str:
    """The proof in the first form of a page."""
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found, page[:2000]
    return found[1]


def hidden_in(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"no field {name}"
    return unescape(found[1])


async def submit(
    client: Client, path: str, values: Mapping[str, Any] | list[tuple[str, Any]], *, page: str = ""
) -> ClientResponse:
    """Open a page, fill in its form and send it to `path` as a browser does."""
    opened = await client.get(page or path)
    text = await opened.text()
    pairs = list(values.items()) if isinstance(values, Mapping) else list(values)
    return await client.post(path, data=[("form_token", token_in(text)), *pairs])


MESSAGE: Mapping[str, Any] = {
    "kind": "priority_update",
    "title": "Patrols in the park",
    "body": "We will be in the park **every evening** from 6pm.",
    "media": "email",
    "when": "now",
}


async def text_in(desk: Desk, text: str = "The lights are out", *, person: int = 0, team: int = 0) -> UUID:
    """A resident texts a team; the conversation their words are in."""
    sender = desk.world.addresses[desk.world.points[desk.world.subscribers[person], "sms"]]
    async with desk.db.transaction() as tx:
        event = Incoming(
            event_id=str(uuid4()),
            medium=Medium.SMS,
            sender=sender,
            recipient=desk.world.numbers[team],
            text=text,
            at=None,
            raw=b"",
        )
        await receive.store(tx, "memory", event)
    await desk.settle()
    async with desk.db.transaction(read_only=True) as tx:
        found: UUID = await tx.scalar(
            select(Conversation.id)
            .where(Conversation.team_id == desk.world.teams[team])
            .order_by(Conversation.last_entry_at.desc(), Conversation.id.desc())
        )
    return found
