"""What a role may do, and when a second officer must agree. Pure; deny by default.

Called by desk and API before anything is shown or done. A role held in a team counts in that team
alone; held without a team it counts everywhere.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from notifier.models import Lane, Role

MOST_FOR_ONE_OFFICER = 2_000


@dataclass(frozen=True, kw_only=True)
class Grant:
    """A role in one team, or everywhere."""

    role: Role
    team: UUID | None


class Act(StrEnum):
    """What somebody wants to do."""

    SEE = "see"  # a team's queue, messages and progress
    ANSWER = "answer"
    DRAFT = "draft"
    PUBLISH = "publish"
    OVERRIDE = "override"  # send in quiet hours and beyond people's limits, with a reason
    HOLD = "hold"  # stop and start what a team sends; held everywhere: all sending
    HOLD_ALL = "hold_all"  # stop and start channels and the whole service, wherever the role is held
    ADMINISTER = "administer"  # officers, teams, settings: no residents' words
    AUDIT = "audit"


ALLOWED: Mapping[Role, frozenset[Act]] = {
    Role.OFFICER: frozenset({Act.SEE, Act.ANSWER, Act.DRAFT}),
    Role.SERGEANT: frozenset({Act.SEE, Act.ANSWER, Act.DRAFT, Act.PUBLISH}),
    Role.COORDINATOR: frozenset({Act.SEE, Act.ANSWER, Act.DRAFT, Act.PUBLISH, Act.OVERRIDE, Act.HOLD}),
    Role.CENTRAL: frozenset(
        {Act.SEE, Act.ANSWER, Act.DRAFT, Act.PUBLISH, Act.OVERRIDE, Act.HOLD, Act.HOLD_ALL}
    ),
    Role.ADMINISTRATOR: frozenset({Act.ADMINISTER, Act.HOLD, Act.HOLD_ALL}),
    Role.AUDITOR: frozenset({Act.SEE, Act.AUDIT}),
}


def may(grants: Collection[Grant], act: Act, team: UUID | None = None) -> bool:
    """May whoever holds these roles do this in that team (or, without one, everywhere)?"""
    return any(act in ALLOWED[grant.role] and grant.team in (None, team) for grant in grants)


def teams_where(grants: Collection[Grant], act: Act) -> Collection[UUID] | None:
    """The teams in which they may do this, for the statement that reads; None: every team."""
    held = [grant.team for grant in grants if act in ALLOWED[grant.role]]
    if None in held:
        return None
    return tuple(dict.fromkeys(team for team in held if team is not None))


def may_see_team(grants: Collection[Grant], team: UUID) -> bool:
    """May they see that team's queue and messages? If not, answer as if it were not there."""
    return may(grants, Act.SEE, team)


def may_publish(grants: Collection[Grant], team: UUID) -> bool:
    """May they approve a message of that team?"""
    return may(grants, Act.PUBLISH, team)


def needs_second_approval(*, lane: Lane, audience_count: int, is_within_own_wards: bool) -> bool:
    """Must a second officer approve? Yes for alerts beyond the team's wards or 2,000, bulletins over 2,000.

    audience_count: deliveries, as counted at the preview. A correction comes in the lane of what it corrects.
    """
    is_large = audience_count > MOST_FOR_ONE_OFFICER
    match lane:
        case Lane.URGENT:
            return is_large or not is_within_own_wards
        case Lane.BULLETIN:
            return is_large
        case Lane.WARD | Lane.TRANSACTIONAL:
            return False


def may_approve_second(grants: Collection[Grant], team: UUID, *, officer: UUID, first_approver: UUID) -> bool:
    """May this officer be the second to approve a message of that team? Never the same person twice."""
    return officer != first_approver and may_publish(grants, team)
