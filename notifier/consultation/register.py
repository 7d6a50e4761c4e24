"""The register: opens a consultation, closes it, and ends it with its feedback.

A consultation goes open → closed → decided → ended, and `ended` needs all three parts of "We asked,
you said, we did". Called by the demo; lists are in `timetable`.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, update

from notifier.db import Tx
from notifier.errors import Conflict, Invalid
from notifier.models import Consultation, ConsultationState
from subscribers.models import new_id


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked, what it will inform, who decides, what cannot change, and by when people hear back."""

    team: UUID
    area_code: str
    title: str
    purpose: str
    decision_to_inform: str
    decision_maker: str
    cannot_change: str
    opens: datetime
    closes: datetime
    feedback_by: datetime
    decide_by: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """What was asked, what people said, and what was done about it."""

    asked: str
    you_said: str
    we_did: str


def check(plan: Plan) -> None:
    """Refuse dates that make no promise. Pure. Raises Invalid."""
    faults = {}
    if plan.closes <= plan.opens:
        faults["closes"] = "Choose a closing date after the day it opens."
    if plan.feedback_by <= plan.closes:
        faults["feedback_by"] = "Choose a day after closing by which people will hear what was decided."
    for name in ("title", "purpose", "decision_to_inform", "decision_maker"):
        if not getattr(plan, name).strip():
            faults[name] = "Say this before you ask people for their time."
    if faults:
        raise Invalid(faults)


async def announce(tx: Tx, plan: Plan) -> UUID:
    """Enter a consultation; its id. Raises Invalid."""
    check(plan)
    made = new_id()
    await tx.execute(
        insert(Consultation).values(
            id=made,
            team_id=plan.team,
            area_code=plan.area_code,
            title=plan.title,
            purpose=plan.purpose,
            decision_to_inform=plan.decision_to_inform,
            decision_maker=plan.decision_maker,
            cannot_change=plan.cannot_change,
            opens=plan.opens,
            closes=plan.closes,
            decide_by=plan.decide_by,
            feedback_by=plan.feedback_by,
            state=ConsultationState.OPEN,
        )
    )
    return made


async def give_feedback(tx: Tx, consultation: UUID, feedback: Feedback) -> None:
    """Publish what was asked, said and done; with it the consultation ends. Raises Conflict while it is open."""
    if not all(part.strip() for part in (feedback.asked, feedback.you_said, feedback.we_did)):
        raise Invalid({"we_did": "Write all three: what you asked, what people said, what was done."})
    ended = await tx.execute(
        update(Consultation)
        .where(Consultation.id == consultation, Consultation.closes <= tx.now)
        .values(
            state=ConsultationState.ENDED,
            asked=feedback.asked,
            you_said=feedback.you_said,
            we_did=feedback.we_did,
        )
    )
    if not ended.rowcount:
        raise Conflict("This consultation has not closed yet.")
