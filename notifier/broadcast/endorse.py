"""An officer's press on "approve": one is enough for most messages, some need a second person.

Called by the desk and the API. The rule is `staff.roles.needs_second_approval`; the first press is kept on
the draft, and a change of the draft takes it back.
"""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import update

from notifier.broadcast import overview, places
from notifier.broadcast.approve import approve, meant
from notifier.broadcast.doubles import require_single
from notifier.broadcast.overview import Written
from notifier.db import Tx
from notifier.errors import Conflict
from notifier.models import Message, MessageState
from notifier.staff.roles import needs_second_approval
from subscribers.reach import Reach

CHANGED = "Somebody has changed this message since you looked at it. Read it again before you approve it."
NEEDS_TWO = "This message needs two officers to approve it. Approve it on the desk."


class Step(StrEnum):
    """How far a press has brought a message."""

    WAITS = "waits"  # for a second officer
    APPROVED = "approved"


async def needs_second(tx: Tx, written: Written, reach: Reach) -> bool:
    """Must two officers approve this message as it stands? reach: its own, now."""
    return needs_second_approval(
        lane=written.lane,
        audience_count=reach.deliveries,
        is_within_own_wards=await places.is_within_own(tx, written.team_id, written.areas),
    )


async def press(
    tx: Tx,
    message: UUID,
    *,
    team: UUID,
    officer: UUID | None,
    fingerprint: str | None = None,
    allow_duplicate: bool = False,
    canary_above: int = 0,
) -> Step:
    """Approve, or keep the first of two approvals. Safe to run twice: pressing again changes nothing.

    fingerprint: of the words the officer saw. Whether the officer may approve at all was asked before.
    Raises NotFound, and Conflict where it was changed or cancelled, would reach nobody, or needs two officers
    and there is none; LikelyDouble where the same words went out lately, unless allow_duplicate.
    """
    written = await overview.get(tx, message, [team], hold=True)
    doubles = known = None
    if written.state is MessageState.DRAFT:
        if fingerprint is not None and fingerprint != written.fingerprint:
            raise Conflict(CHANGED)
        doubles = await require_single(tx, message, team=team, allow=allow_duplicate)
        known = await meant(tx, message)
        is_first = written.approved_by in (None, officer)
        if is_first and await needs_second(tx, written, known.reach):
            return await _keep_first(tx, message, officer)
    await approve(
        tx,
        message,
        team=team,
        officer=officer,
        doubles=doubles,
        canary_above=canary_above,
        known=known,
    )
    return Step.APPROVED


async def _keep_first(tx: Tx, message: UUID, officer: UUID | None) -> Step:
    if officer is None:
        raise Conflict(NEEDS_TWO)
    await tx.execute(
        update(Message)
        .where(Message.id == message, Message.state == MessageState.DRAFT)
        .values(approved_by=officer)
    )
    return Step.WAITS
