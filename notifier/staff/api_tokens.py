"""Bearer tokens of the API: each of one team, for reading, for writing, or both."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import insert, or_, select

from notifier.db import Tx
from notifier.models import ApiToken
from notifier.staff import audit
from subscribers.signing import hash_secret, random_token


class Scope(StrEnum):
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, kw_only=True)
class ApiCaller:
    """Who calls: a team, and the officer the token was made for, if one."""

    team: UUID
    officer: UUID | None
    scopes: frozenset[Scope]


async def make(
    tx: Tx,
    team: UUID,
    scopes: frozenset[Scope],
    *,
    actor: str,
    officer: UUID | None = None,
    good_for: timedelta | None = None,
) -> str:
    """A new token, shown this once: only its hash is kept."""
    token = random_token()
    await tx.execute(
        insert(ApiToken).values(
            token_hash=hash_secret(token),
            team_id=team,
            officer_id=officer,
            scopes=" ".join(sorted(scopes)),
            created_at=tx.now,
            expires_at=tx.now + good_for if good_for else None,
        )
    )
    await audit.record(
        tx,
        actor,
        "api_token_made",
        object_kind="team",
        object_id=team,
        details={"scopes": sorted(scopes)},
    )
    return token


async def read(tx: Tx, token: str) -> ApiCaller | None:
    """Whose token that is, or None: unknown, changed or expired."""
    row = (
        await tx.execute(
            select(ApiToken.__table__)
            .where(ApiToken.token_hash == hash_secret(token))
            .where(or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > tx.now))
        )
    ).one_or_none()
    if row is None:
        return None
    scopes = frozenset(Scope(scope) for scope in row.scopes.split())
    return ApiCaller(team=row.team_id, officer=row.officer_id, scopes=scopes)
