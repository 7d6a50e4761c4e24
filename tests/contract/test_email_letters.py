"""Email to addresses in other letters than ASCII (RFC 6531): as they are where the server takes them, else refused."""

import asyncio

import pytest

from channels.base import Accepted, Refusal, Refused
from tests.contract.test_email_smtp import TO, opened, outgoing, send
from tests.contract.test_mail_runs import Asked
from tests.fakes.smtp import FakeSmtp

SION = "siôn@resident.example"


@pytest.mark.parametrize("pipelining", [True, False])
async def test_an_address_in_other_letters_is_written_to_as_it_is(pipelining: bool) -> None:
    async with FakeSmtp(pipelining=pipelining) as mail, opened(mail) as channel:
        assert isinstance(await send(channel, SION), Accepted)
        assert isinstance(await send(channel, TO), Accepted)
    in_letters, in_ascii = mail.accepted
    assert (in_letters.to, in_letters.options) == (SION, ("SMTPUTF8",))
    assert f"\r\nTo: {SION}\r\n".encode() in in_letters.raw
    assert in_letters.text() == "Dear Sam\n.\n..dots\n"
    assert (in_ascii.to, in_ascii.options) == (TO, ())
    assert in_ascii.raw.isascii()


async def test_a_server_that_knows_no_other_letters_is_not_asked() -> None:
    async with FakeSmtp(utf8=False) as mail, opened(mail) as channel:
        refused = await send(channel, SION)
        assert isinstance(await send(channel, TO), Accepted)
    assert isinstance(refused, Refused)
    assert refused.why is Refusal.BAD_ADDRESS
    assert "SMTPUTF8" in refused.reason
    assert SION not in refused.reason
    assert [each.to for each in mail.accepted] == [TO]


async def test_in_a_run_it_alone_is_refused_and_the_others_go() -> None:
    people = ["a@resident.example", SION, "b@resident.example", SION, SION]
    async with FakeSmtp(utf8=False) as mail, opened(mail) as channel:
        asked = Asked(channel, people)
        async with asyncio.timeout(5):
            await channel.run(asked.following)
    assert [each.to for each in mail.accepted] == ["a@resident.example", "b@resident.example"]
    ended = [(to, type(outcome).__name__) for to, outcome in asked.outcomes]
    assert sorted(ended) == [
        ("a@resident.example", "Accepted"),
        ("b@resident.example", "Accepted"),
        *[(SION, "Refused")] * 3,
    ]


@pytest.mark.parametrize("to", ["siôn\r\nBcc: x@y.example@resident.example", "siôn\x85x@resident.example", "siôn>@resident.example"])  # fmt: skip
async def test_other_letters_bring_no_line_break_with_them(to: str) -> None:
    async with FakeSmtp() as mail, opened(mail) as channel:
        refused = await channel.send(outgoing(channel, to))
    assert isinstance(refused, Refused)
    assert refused.why is Refusal.BAD_ADDRESS
    assert mail.connections == 0
