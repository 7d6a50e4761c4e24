"""Who may do what, and when one officer is not enough."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from notifier.models import Lane, Role
from notifier.staff.roles import (
    Act,
    Grant,
    may,
    may_approve_second,
    may_publish,
    may_see_team,
    needs_second_approval,
)
from notifier.staff.sign_in import may_try
from notifier.staff.teams import slug_of

OURS, THEIRS = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("role", "acts"),
    [
        (Role.OFFICER, {Act.SEE, Act.ANSWER, Act.DRAFT}),
        (Role.SERGEANT, {Act.SEE, Act.ANSWER, Act.DRAFT, Act.PUBLISH}),
        (Role.COORDINATOR, {Act.SEE, Act.ANSWER, Act.DRAFT, Act.PUBLISH, Act.OVERRIDE, Act.HOLD}),
        (
            Role.CENTRAL,
            {Act.SEE, Act.ANSWER, Act.DRAFT, Act.PUBLISH, Act.OVERRIDE, Act.HOLD, Act.HOLD_ALL},
        ),
        (Role.ADMINISTRATOR, {Act.ADMINISTER, Act.HOLD, Act.HOLD_ALL}),
        (Role.AUDITOR, {Act.SEE, Act.AUDIT}),
    ],
)
def test_a_role_counts_in_its_own_team_alone(role: Role, acts: set[Act]) -> None:
    in_team, everywhere = [Grant(role=role, team=OURS)], [Grant(role=role, team=None)]
    for act in Act:
        assert may(in_team, act, OURS) is (act in acts)
        assert not may(in_team, act, THEIRS)
        assert not may(in_team, act)
        assert may(everywhere, act, THEIRS) is (act in acts)
        assert may(everywhere, act) is (act in acts)


def test_every_role_has_a_line_and_nobody_without_one_may_do_anything() -> None:
    assert not any(may([], act, OURS) for act in Act)
    assert all(any(may([Grant(role=role, team=OURS)], act, OURS) for act in Act) for role in Role)


def test_an_officer_sees_a_team_but_does_not_publish_for_it() -> None:
    grants = [Grant(role=Role.OFFICER, team=OURS)]
    assert may_see_team(grants, OURS)
    assert not may_publish(grants, OURS)
    assert not may_see_team(grants, THEIRS)


@pytest.mark.parametrize(
    ("lane", "count", "own", "second"),
    [
        (Lane.URGENT, 2_000, True, False),
        (Lane.URGENT, 2_001, True, True),
        (Lane.URGENT, 1, False, True),
        (Lane.WARD, 50_000, True, False),
        (Lane.WARD, 50_000, False, False),
        (Lane.BULLETIN, 2_000, False, False),
        (Lane.BULLETIN, 2_001, True, True),
    ],
)
def test_a_second_officer_is_needed_for_what_is_wide_or_large(
    lane: Lane, count: int, own: bool, second: bool
) -> None:
    assert needs_second_approval(lane=lane, audience_count=count, is_within_own_wards=own) is second


def test_nobody_is_their_own_second_officer() -> None:
    grants = [Grant(role=Role.SERGEANT, team=OURS)]
    first, other = UUID(int=8), UUID(int=9)
    assert not may_approve_second(grants, OURS, officer=first, first_approver=first)
    assert may_approve_second(grants, OURS, officer=other, first_approver=first)
    assert not may_approve_second(grants, THEIRS, officer=other, first_approver=first)


@pytest.mark.parametrize(
    ("failed", "seconds_since", "may_now"),
    [
        (0, 0, True),
        (4, 0, True),
        (5, 0.5, False),
        (5, 1, True),
        (8, 7, False),
        (8, 8, True),
        (40, 59, False),
        (40, 60, True),
    ],
)
def test_guessing_waits_longer_each_time_but_never_over_a_minute(
    failed: int, seconds_since: float, may_now: bool
) -> None:
    newest = NOW - timedelta(seconds=seconds_since)
    assert may_try([newest - timedelta(seconds=i) for i in range(failed)], NOW) is may_now


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Castle & Dock team", "castle-dock-team"), ("  Tŷ Coch ", "ty-coch"), ("A" * 80, "a" * 60)],
)
def test_a_team_s_name_in_addresses_is_plain(name: str, slug: str) -> None:
    assert slug_of(name) == slug
