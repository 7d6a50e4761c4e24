"""Several mails in a row over one connection: each ends as if it had been sent alone, and none goes twice."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator

import pytest

from channels.base import Accepted, Errand, Outcome, Outgoing, Refused, SendsInRuns
from channels.email_smtp import EmailSmtp
from tests.contract.test_email_smtp import opened, outgoing
from tests.fakes.smtp import FakeSmtp, Trouble

PEOPLE = [f"person{number}@resident.example" for number in range(7)]
MOST = EmailSmtp.capabilities.slot_rows
ALL_ACCEPTED = " ".join(["Accepted"] * MOST)


@pytest.fixture(params=["together", "one by one"])
async def mail(request: pytest.FixtureRequest) -> AsyncIterator[FakeSmtp]:
    async with FakeSmtp(pipelining=request.param == "together") as server:
        yield server


class Asked:
    """Errands to these people, taken one by one, and how each ended."""

    def __init__(self, channel: EmailSmtp, people: list[str]) -> None:
        self._channel, self.left = channel, deque(people)
        self.outcomes: list[tuple[str, Outcome]] = []

    def following(self) -> Errand | None:
        return _Errand(outgoing(self._channel, self.left.popleft()), self) if self.left else None

    @property
    def kinds(self) -> str:
        """In the order of the people: all that were taken have ended, each once."""
        found = dict(self.outcomes)
        assert len(found) == len(self.outcomes)
        return " ".join([type(found[person]).__name__ for person in PEOPLE if person in found])


class _Errand:
    def __init__(self, message: Outgoing, asked: Asked) -> None:
        self.message, self._asked = message, asked

    def ended(self, outcome: Outcome) -> None:
        self._asked.outcomes.append((self.message.to, outcome))


async def run(mail: FakeSmtp, people: int = MOST, *, recycle_after: int = 100) -> Asked:
    """One run, on a connection that has carried a mail before."""
    async with opened(mail, recycle_after=recycle_after) as channel:
        assert isinstance(await channel.send(outgoing(channel, "first@resident.example")), Accepted)
        asked = Asked(channel, PEOPLE[:people])
        await channel.run(asked.following)
    return asked


def taken(mail: FakeSmtp) -> Counter[str]:
    return Counter(entry.to for entry in mail.accepted if entry.to in PEOPLE)


def test_it_says_that_it_sends_in_runs() -> None:
    assert issubclass(EmailSmtp, SendsInRuns)


async def test_a_run_goes_on_over_one_connection_while_nobody_waits_for_it(mail: FakeSmtp) -> None:
    asked = await run(mail, 7)
    assert (asked.kinds, list(asked.left)) == (" ".join(["Accepted"] * 7), [])
    assert taken(mail) == Counter(PEOPLE)
    assert mail.connections == 1


async def test_where_another_waits_a_run_takes_no_more_than_a_slot_may_hold(mail: FakeSmtp) -> None:
    async with opened(mail, connections=1) as channel:
        long, waiting = Asked(channel, PEOPLE), Asked(channel, ["other@resident.example"])
        await asyncio.gather(channel.run(long.following), channel.run(waiting.following))
    assert (long.kinds, list(long.left)) == (ALL_ACCEPTED, PEOPLE[MOST:])
    assert [type(outcome) for _, outcome in waiting.outcomes] == [Accepted]
    assert mail.connections == 1


async def test_a_refusal_is_one_person_s_alone(mail: FakeSmtp) -> None:
    mail.script(PEOPLE[1], "550 5.1.1 no such user")
    assert (await run(mail)).kinds == "Accepted Refused Accepted Accepted Accepted"
    assert taken(mail) == Counter([PEOPLE[0], *PEOPLE[2:MOST]])


async def test_a_break_after_the_dot_leaves_one_in_doubt_and_the_others_go(mail: FakeSmtp) -> None:
    mail.script_text(PEOPLE[1], Trouble.CUT_AFTER_DOT)
    assert (await run(mail)).kinds == "Accepted Unknown Accepted Accepted Accepted"
    assert taken(mail) == Counter(PEOPLE[:MOST])


@pytest.mark.parametrize("trouble", [Trouble.CUT_AT_RECIPIENT, Trouble.CUT_AT_TEXT])
async def test_a_break_before_the_text_costs_nobody_a_try(mail: FakeSmtp, trouble: Trouble) -> None:
    (mail.script if trouble is Trouble.CUT_AT_RECIPIENT else mail.script_text)(PEOPLE[2], trouble)
    assert (await run(mail)).kinds == ALL_ACCEPTED
    assert taken(mail) == Counter(PEOPLE[:MOST])
    assert mail.connections == 2


async def test_what_breaks_every_connection_fails_and_the_next_is_not_harmed(mail: FakeSmtp) -> None:
    mail.script_text(PEOPLE[2], Trouble.CUT_AT_TEXT, Trouble.CUT_AT_TEXT)
    assert (await run(mail)).kinds == "Accepted Accepted Failed Accepted Accepted"
    assert taken(mail) == Counter([*PEOPLE[:2], *PEOPLE[3:MOST]])


async def test_a_connection_that_has_carried_enough_is_changed_within_a_run(mail: FakeSmtp) -> None:
    assert (await run(mail, recycle_after=3)).kinds == ALL_ACCEPTED
    assert taken(mail) == Counter(PEOPLE[:MOST])
    assert mail.connections == 2


@pytest.mark.parametrize("people", [[], ["nobody at all"]])
async def test_a_run_without_mail_costs_no_connection(mail: FakeSmtp, people: list[str]) -> None:
    async with opened(mail) as channel:
        for _ in range(3):
            asked = Asked(channel, people)
            await channel.run(asked.following)
            assert [type(outcome) for _, outcome in asked.outcomes] == [Refused] * len(people)
            assert isinstance(await channel.send(outgoing(channel, PEOPLE[0])), Accepted)
    assert mail.connections == 1


async def test_without_a_server_one_fails_and_the_others_are_not_taken(mail: FakeSmtp) -> None:
    async with opened(mail, seconds=2) as channel:
        await mail.stop()
        asked = Asked(channel, PEOPLE)
        await channel.run(asked.following)
    assert (asked.kinds, list(asked.left)) == ("Failed", PEOPLE[1:])
