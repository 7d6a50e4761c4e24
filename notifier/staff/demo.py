"""The sign-ins of the demonstration, as its sign-in page lists them. Nothing reads this outside a demo."""

from dataclasses import dataclass

from sqlalchemy import select

from notifier.db import Tx
from notifier.models import Officer, OfficerRole, Role, Team
from notifier.staff.officers import EMAIL

PASSWORD = "lamp and bubble"  # noqa: S105 - of officers who do not exist


@dataclass(frozen=True, kw_only=True)
class DemoSignIn:
    """One officer of the demonstration. team_names: none where a role counts everywhere."""

    name: str
    email: str
    role: Role
    team_names: tuple[str, ...]


async def sign_ins(tx: Tx) -> list[DemoSignIn]:
    """Every officer there is, in the order they were made."""
    rows = await tx.execute(
        select(Officer.id, Officer.name, Officer.email_sealed, OfficerRole.role, Team.name.label("team_name"))
        .join(OfficerRole, OfficerRole.officer_id == Officer.id)
        .outerjoin(Team, Team.id == OfficerRole.team_id)
        .where(Officer.disabled_at.is_(None))
        .order_by(Officer.id, OfficerRole.id)
    )
    found: dict[object, DemoSignIn] = {}
    for row in rows:
        known = found.get(row.id)
        teams = (*(known.team_names if known else ()), *((row.team_name,) if row.team_name else ()))
        found[row.id] = DemoSignIn(
            name=row.name,
            email=tx.keys.open_text(EMAIL, row.id, row.email_sealed),
            role=known.role if known else Role(row.role),
            team_names=teams,
        )
    return list(found.values())
