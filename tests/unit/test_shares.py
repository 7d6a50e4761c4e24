"""Fair shares of one claim: teams are equal, nobody is left out for long, and small teams waste nobody's room."""

from uuid import UUID, uuid4

import pytest

from notifier.delivery.shares import Live, shares


def teams(number: int, *, messages: int = 1) -> list[Live]:
    return [
        Live(message=uuid4(), team=team) for team in (uuid4() for _ in range(number)) for _ in range(messages)
    ]


def by_team(found: list[Live], parts: list[tuple[UUID | None, int]]) -> dict[UUID | None, int]:
    team = {each.message: each.team for each in found}
    counted: dict[UUID | None, int] = {}
    for message, most in parts:
        counted[team[message]] = counted.get(team[message], 0) + most
    return counted


def test_teams_share_a_claim_equally_however_many_messages_they_have() -> None:
    found = [*teams(3), *teams(1, messages=4)]
    counted = by_team(found, shares(found, 400, turn=0))
    assert sorted(counted.values()) == [100, 100, 100, 100]


def test_a_claim_never_exceeds_its_limit_and_uses_all_of_it() -> None:
    for number in (1, 3, 7, 20, 130):
        found = teams(number)
        assert sum(most for _, most in shares(found, 160, turn=number)) == 160


@pytest.mark.parametrize("number", [7, 20, 100, 450])
def test_after_any_number_of_claims_no_team_is_more_than_a_row_ahead(number: int) -> None:
    found = teams(number)
    served = dict.fromkeys((each.message for each in found), 0)
    for turn in range(30):
        for message, most in shares(found, 160, turn=turn):
            served[message] += most
        assert max(served.values()) - min(served.values()) <= 1


def test_a_message_whose_first_rows_are_watched_gets_no_more_than_it_may() -> None:
    watched = Live(message=uuid4(), team=uuid4(), most=7)
    found = [watched, *teams(1)]
    assert dict(shares(found, 100, turn=0))[watched.message] == 7


def test_notices_take_their_turn_like_a_team() -> None:
    found = [Live(message=None), *teams(1)]
    assert dict(shares(found, 100, turn=0))[None] == 50
