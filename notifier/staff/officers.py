"""Rows of officers and their roles. Called by sign-in, `staff add` and the demo."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import insert, or_, select, update

from notifier.db import Tx
from notifier.errors import Conflict
from notifier.models import Officer, OfficerRole, Role
from notifier.staff import audit
from notifier.staff.roles import Grant
from subscribers.models import new_id

EMAIL = "officers.email"


@dataclass(frozen=True, kw_only=True)
class Known:
    """An officer, as a list shows them."""

    id: UUID
    name: str
    email: str
    is_disabled: bool
    grants: tuple[Grant, ...]


def email_hash(tx: Tx, email: str) -> bytes:
    """How an officer is found by email; apart from residents' hashes, so that one tells nothing of the other."""
    return tx.keys.address_hash("staff", email)


async def add(
    tx: Tx, *, email: str, name: str, password_hash: str, role: Role, team: UUID | None, actor: str
) -> UUID:
    """A new officer with one role. email in its normal spelling. Raises Conflict where there is one already."""
    hashed = email_hash(tx, email)
    if await tx.scalar(select(Officer.id).where(Officer.email_hash == hashed)):
        raise Conflict("There is an officer with that email address already.")
    made = new_id()
    await tx.execute(
        insert(Officer).values(
            id=made,
            email_sealed=tx.keys.seal(EMAIL, made, email),
            email_hash=hashed,
            name=name,
            password_hash=password_hash,
            created_at=tx.now,
        )
    )
    await audit.record(tx, actor, "officer_added", object_kind="officer", object_id=made)
    await grant(tx, made, role=role, team=team, actor=actor)
    return made


async def grant(tx: Tx, officer: UUID, *, role: Role, team: UUID | None, actor: str) -> None:
    """Give an officer a role in a team, or everywhere. Safe to run twice."""
    if Grant(role=role, team=team) in await grants_of(tx, officer):
        return
    await tx.execute(insert(OfficerRole).values(officer_id=officer, role=role, team_id=team))
    await audit.record(
        tx,
        actor,
        "role_given",
        object_kind="officer",
        object_id=officer,
        details={"role": role.value, "team": str(team) if team else None},
    )


async def grants_of(tx: Tx, officer: UUID) -> tuple[Grant, ...]:
    """The roles an officer holds now."""
    rows = await tx.execute(
        select(OfficerRole.role, OfficerRole.team_id)
        .where(OfficerRole.officer_id == officer)
        .where(or_(OfficerRole.until.is_(None), OfficerRole.until > tx.now))
        .order_by(OfficerRole.id)
    )
    return tuple(Grant(role=Role(row.role), team=row.team_id) for row in rows)


async def disable(tx: Tx, officer: UUID, *, actor: str) -> None:
    """Nobody signs in as this officer any more; end their sessions with `sessions.end_all`."""
    await tx.execute(
        update(Officer).where(Officer.id == officer, Officer.disabled_at.is_(None)).values(disabled_at=tx.now)
    )
    await audit.record(tx, actor, "officer_disabled", object_kind="officer", object_id=officer)


async def find(tx: Tx, email: str) -> Known | None:
    """The officer with that email, in its normal spelling."""
    statement = select(Officer.__table__).where(Officer.email_hash == email_hash(tx, email))
    row = (await tx.execute(statement)).one_or_none()
    if row is None:
        return None
    return Known(
        id=row.id,
        name=row.name,
        email=tx.keys.open_text(EMAIL, row.id, row.email_sealed),
        is_disabled=row.disabled_at is not None,
        grants=await grants_of(tx, row.id),
    )
