"""Which consultations are open, and which promises of feedback are due. Called by the desk and the API."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, true

from notifier.db import Tx
from notifier.models import Consultation, ConsultationState, Team
from subscribers.models import Area

Teams = Collection[UUID] | None  # whose consultations one may see; None: every team's


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A consultation on a list. is_overdue: the day of its promised feedback has passed, and nobody was told."""

    id: UUID
    team_id: UUID
    team_name: str
    area_code: str
    area_name: str
    title: str
    purpose: str
    state: ConsultationState
    opens: datetime
    closes: datetime
    decide_by: datetime | None
    feedback_by: datetime
    is_open: bool
    is_overdue: bool


async def current(tx: Tx, teams: Teams) -> list[Listed]:
    """Not ended yet: overdue promises first, then by the day of the next promise."""
    rows = await tx.execute(
        _lines(teams).where(Consultation.state != ConsultationState.ENDED).order_by(Consultation.feedback_by)
    )
    return sorted((_listed(row, tx.now) for row in rows), key=lambda each: not each.is_overdue)


async def page(tx: Tx, teams: Teams, *, after: UUID | None, limit: int) -> list[Listed]:
    """All of them, newest first, a page at a time; `after`: the last one of the page before."""
    lines = _lines(teams).order_by(Consultation.id.desc()).limit(limit)
    rows = await tx.execute(lines.where(Consultation.id < after) if after else lines)
    return [_listed(row, tx.now) for row in rows]


async def open_for(tx: Tx, team: UUID) -> list[Listed]:
    """Those a team may write about now."""
    return [each for each in await current(tx, [team]) if each.opens <= tx.now]


def _lines(teams: Teams) -> Select[*tuple[Any, ...]]:
    return (
        select(Consultation.__table__, Team.name.label("team_name"), Area.name.label("area_name"))
        .join(Team, Team.id == Consultation.team_id)
        .join(Area, Area.code == Consultation.area_code)
        .where(true() if teams is None else Consultation.team_id.in_(list(teams)))
    )


def _listed(row: Any, now: datetime) -> Listed:
    state = ConsultationState(row.state)
    return Listed(
        id=row.id,
        team_id=row.team_id,
        team_name=row.team_name,
        area_code=row.area_code,
        area_name=row.area_name,
        title=row.title,
        purpose=row.purpose,
        state=state,
        opens=row.opens,
        closes=row.closes,
        decide_by=row.decide_by,
        feedback_by=row.feedback_by,
        is_open=state is ConsultationState.OPEN and row.opens <= now < row.closes,
        is_overdue=state is not ConsultationState.ENDED and row.feedback_by <= now,
    )


__all__ = ["Listed", "current", "open_for", "page"]
