"""A client of the API that takes a lost connection for what it is: no answer, and the same call once more."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp

from notifier.db import Database
from notifier.staff import api_tokens
from notifier.staff.api_tokens import Scope
from notifier.web.api.operation import PREFIX
from tests.providers import until
from tests.world import ward

NO_ANSWER = 0


@dataclass(frozen=True)
class Caller:
    """Calls of one team's token to a process that may not be there."""

    session: aiohttp.ClientSession
    url: str

    async def call(self, method: str, path: str, body: Any = None, *, key: str = "") -> tuple[int, Any]:
        """Status and answer; NO_ANSWER where the connection was lost."""
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with self.session.request(
                method, f"{self.url}{PREFIX}{path}", json=body, headers=headers
            ) as answer:
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, ConnectionError):
            return NO_ANSWER, None

    async def draft(self, title: str, *, key: str, **changes: Any) -> tuple[int, Any]:
        """Write a message."""
        return await self.call("POST", "/messages", {**written(title), **changes}, key=key)

    async def approve(self, message: UUID | str, *, key: str = "") -> tuple[int, Any]:
        return await self.call("POST", f"/messages/{message}/approve", {}, key=key)

    async def is_there(self) -> bool:
        try:
            async with self.session.get(f"{self.url}/health/ready") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, ConnectionError):
            return False


def written(title: str) -> Mapping[str, Any]:
    """A message in order, for the first team's two wards."""
    return {
        "kind": "priority_update",
        "title": title,
        "body": "We will be in the park from 6pm.",
        "areas": [ward(0), ward(1)],
        "media": ["email", "sms"],
    }


@asynccontextmanager
async def caller(db: Database, team: UUID, port: int) -> AsyncIterator[Caller]:
    """A caller with a new token, for a service on a port of this machine."""
    async with db.transaction() as tx:
        token = await api_tokens.make(
            tx, team, frozenset(Scope), actor="command", officer=None, good_for=None
        )
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(force_close=True)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as session:
        yield Caller(session, f"http://127.0.0.1:{port}")


async def is_up(asked: Caller) -> None:
    """Wait until the service answers."""
    await until(asked.is_there, seconds=20, what="the service answers")
