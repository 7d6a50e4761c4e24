"""What the tests of the API share: tokens, calls and a draft that is in order."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from notifier.staff import api_tokens
from notifier.staff.api_tokens import Scope
from notifier.web.api.operation import PREFIX
from tests.integration.desk import Client, Desk
from tests.world import ward

BOTH = frozenset(Scope)
DRAFT: Mapping[str, Any] = {
    "kind": "priority_update",
    "title": "Patrols in the park",
    "body": "We will be there every evening.",
    "areas": [ward(0), ward(1)],
    "media": ["email", "sms"],
}


async def token(
    desk: Desk,
    team: int = 0,
    scopes: frozenset[Scope] = BOTH,
    *,
    officer: UUID | None = None,
    good_for: timedelta | None = None,
) -> dict[str, str]:
    """The header of a team's new token."""
    async with desk.db.transaction() as tx:
        made = await api_tokens.make(
            tx, desk.world.teams[team], scopes, actor="command", officer=officer, good_for=good_for
        )
    return {"Authorization": f"Bearer {made}"}


async def call(
    client: Client, method: str, path: str, headers: Mapping[str, str], body: Any = None, **more: str
) -> tuple[int, Any]:
    async with client.request(method, PREFIX + path, headers={**headers, **more}, json=body) as response:
        return response.status, json.loads(await response.text())


async def drafted(client: Client, headers: Mapping[str, str], **changes: Any) -> str:
    status, made = await call(client, "POST", "/messages", headers, {**DRAFT, **changes})
    assert status == 201, made
    return str(made["id"])
