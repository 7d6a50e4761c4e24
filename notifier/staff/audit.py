"""The append-only record of who did what to which object, and why. Never an address or a text in it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from notifier.db import Tx
from notifier.models import AuditEvent


def officer_actor(officer: UUID) -> str:
    """How an officer is named as an actor."""
    return f"officer:{officer}"


async def record(
    tx: Tx,
    actor: str,
    action: str,
    *,
    object_kind: str,
    object_id: str | UUID,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add one event. actor: `officer:…`, `subscriber`, `api:…`, `command` or `anonymous`. details: ids and counts."""
    await tx.execute(
        insert(AuditEvent).values(
            at=tx.now,
            actor=actor,
            action=action,
            object_kind=object_kind,
            object_id=str(object_id),
            reason=reason,
            details=dict(details) if details else None,
        )
    )
