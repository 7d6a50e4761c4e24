"""The conformance suite, second part: what becomes of what is sent, tried on every installed channel.

What a channel says of itself is in `test_channel_claims`; what comes back, by calls and when asked, in `test_channel_calls`.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from channels.base import (
    Accepted,
    CanLookUp,
    Capabilities,
    Failed,
    FetchesMedia,
    Idempotency,
    Medium,
    Outcome,
    Refusal,
    Refused,
    Throttled,
    Unknown,
)
from tests.contract.bench import NAME, SECRET_WORDS, Bench, Case, World
from tests.contract.benches import BENCHES
from tests.contract.suite import every_channel, expect, where_possible
from tests.fakes.web import FakeWeb

FAR_END_LOGGERS = ("mail.log", "mail.debug", "aiohttp.access", "aiohttp.server")
HANGING = [bench for bench in BENCHES if Case.HANG not in bench.impossible]
ODD_BODIES: tuple[object, ...] = ([], "x", 7, {"error": [], "message": {}, "messages": [None]}, [[]] * 3)
SECOND = {
    Medium.SMS: "+447700900002",
    Medium.EMAIL: "second@resident.example",
}  # another address, where there is one

# --- Sending --------------------------------------------------------------------------------


@every_channel
async def test_what_is_accepted_arrives_as_it_was_prepared(
    bench: Bench, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_waiting(monkeypatch)
    outcome = await world.channel.send(bench.outgoing(world.channel))
    expect(outcome, Accepted, because="nothing was wrong")
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id, (
        "what was accepted has the provider's name for it, or ours where it gives none"
    )
    assert [(copy.to, copy.text) for copy in world.arrived()] == [(bench.to, bench.expected_text)]


@where_possible(Case.THROTTLED)
async def test_too_fast_names_the_time_to_wait_and_takes_nothing(bench: Bench, world: World) -> None:
    world.throttle(60)
    outcome = await world.channel.send(bench.outgoing(world.channel))
    expect(outcome, Throttled, because="the provider named a time to wait")
    assert isinstance(outcome, Throttled)
    assert 55 <= outcome.after_seconds <= 60
    assert world.arrived() == []


@where_possible(Case.UNREACHABLE)
async def test_a_provider_that_cannot_be_reached_has_certainly_not_taken_it(
    bench: Bench, world: World
) -> None:
    await world.unplug()
    outcome = await world.channel.send(bench.outgoing(world.channel))
    expect(outcome, Failed, because="no connection was made, so another try is safe")


@where_possible(Case.CUT)
async def test_an_answer_lost_after_the_last_byte_leaves_it_in_doubt(bench: Bench, world: World) -> None:
    world.cut()
    outcome = await world.channel.send(bench.outgoing(world.channel))
    expect(outcome, Unknown, because="it may have been taken: is the call made again by itself?")
    assert len(world.arrived()) == 1


@where_possible(Case.WEB)
async def test_a_failure_of_the_far_end_leaves_it_in_doubt(bench: Bench, world: World) -> None:
    """A 5xx says nothing of whether it was taken before, and a page for people says nothing at all."""
    for n, befall in enumerate((world.fail, world.mumble), start=1):
        befall()
        message = bench.outgoing(
            world.channel, number=n, delivery=f"delivery{n}.mac", values={"name": f"{n}", "link": ""}
        )
        outcome = await world.channel.send(message)
        expect(outcome, Unknown, Accepted, because="a 5xx may come after it was taken: http.outcome_of knows")
        assert len({copy.text for copy in world.arrived()}) == n


@where_possible(Case.WEB)
async def test_it_follows_nobody_to_another_host(bench: Bench, world: World) -> None:
    """Words, addresses and keys go to the provider alone."""
    async with Elsewhere() as elsewhere:
        world.send_on(f"{elsewhere.url}/x")
        outcome = await world.channel.send(bench.outgoing(world.channel))
        if isinstance(world.channel, FetchesMedia):
            await world.channel.fetch(f"{elsewhere.url}/x")
    assert not elsewhere.calls, "it went to a host that is not the provider's"
    expect(outcome, Failed, Refused, Unknown, because="a redirect is no acceptance")


async def test_no_answer_leaves_it_in_doubt_within_the_deadline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On all channels at once, for each has to be waited for; each has sent before, so that nothing is begun meanwhile."""
    caplog.set_level(logging.DEBUG)

    async def hangs(bench: Bench, world: World) -> None:
        world.hang()
        async with asyncio.timeout(10):
            outcome = await world.channel.send(bench.outgoing(world.channel))
        expect(outcome, Unknown, because=f"{bench.name} had no answer")
        assert_nothing_private(bench, repr(outcome), caplog)
        values = {"name": "Jo", "link": "x"}
        outcome = await world.channel.send(bench.outgoing(world.channel, values=values))
        expect(outcome, Accepted, because=f"{bench.name} is itself again")

    async with AsyncExitStack() as stack:
        worlds = []
        for bench in HANGING:
            folder = tmp_path / bench.name
            folder.mkdir()
            world = await stack.enter_async_context(bench.world(bench.to, folder))
            first = bench.outgoing(world.channel, delivery="firstx.mac", values={"name": "Al", "link": ""})
            expect(await world.channel.send(first), Accepted, because=f"{bench.name} had nothing wrong")
            worlds.append((bench, world))
        async with asyncio.TaskGroup() as group:
            for bench, world in worlds:
                group.create_task(hangs(bench, world))


# `-k` finds it by the name of each channel it tries, as it finds the others.
test_no_answer_leaves_it_in_doubt_within_the_deadline.__dict__.update({bench.name: True for bench in HANGING})


@where_possible(Case.GARBLED)
async def test_an_answer_that_cannot_be_read_leaves_it_in_doubt(bench: Bench, world: World) -> None:
    world.garble()
    outcome = await world.channel.send(bench.outgoing(world.channel))
    expect(outcome, Unknown, because="nobody knows what became of it")


@where_possible(Case.WEB)
async def test_no_odd_answer_makes_it_raise_or_is_an_acceptance(bench: Bench, world: World) -> None:
    for status in (200, 400, 404, 502):
        for body in ODD_BODIES:
            world.answer(status, body)
            outcome = await world.channel.send(bench.outgoing(world.channel))
            expected = (Failed, Refused, Unknown) if 400 <= status < 500 else (Unknown,)
            expect(outcome, *expected, because=f"the answer was {status} with {body!r}")
    world.answer(401, {})
    outcome = await world.channel.send(bench.outgoing(world.channel))
    is_ours = not isinstance(outcome, Refused) or outcome.why is Refusal.NOT_ALLOWED
    assert is_ours, f"{outcome!r}: credentials are the operator's matter, not this message's"


@where_possible(Case.BAD_ADDRESS)
async def test_a_bad_address_is_refused_for_good(bench: Bench, world: World) -> None:
    world.refuse_address()
    outcome = await world.channel.send(bench.outgoing(world.channel))
    assert isinstance(outcome, Refused)
    assert outcome.why is Refusal.BAD_ADDRESS
    assert world.arrived() == []


@where_possible(Case.OPTED_OUT)
async def test_one_who_opted_out_at_the_provider_is_refused_as_such(bench: Bench, world: World) -> None:
    world.refuse_opted_out()
    outcome = await world.channel.send(bench.outgoing(world.channel))
    assert isinstance(outcome, Refused)
    assert outcome.why is Refusal.OPTED_OUT


@every_channel
async def test_after_trouble_the_next_one_is_accepted(bench: Bench, world: World) -> None:
    for case, befall in troubles(world).items():
        if case not in bench.impossible:
            befall()
            await world.channel.send(bench.outgoing(world.channel))
    outcome = await world.channel.send(bench.outgoing(world.channel, values={"name": "Jo", "link": "x"}))
    assert isinstance(outcome, Accepted)


@every_channel
@pytest.mark.parametrize(
    "values",
    [{}, {"name": "Sam"}, {"name": "\ud800", "link": ""}],
    ids=["no values", "one missing", "half a character"],
)
async def test_a_copy_that_cannot_be_filled_is_refused_and_not_raised(
    bench: Bench, world: World, values: dict[str, str]
) -> None:
    outcome = await world.channel.send(bench.outgoing(world.channel, values=values))
    assert isinstance(outcome, Refused)
    assert outcome.why is Refusal.CONTENT
    assert world.arrived() == []


@every_channel
@pytest.mark.parametrize(
    "value", ["\r\n.\r\nQUIT", '"}, {"', "\0", "=?utf-8?q?x?=", "x" * 3000, "\ue000name\ue001", "£€ŵ😀"]
)
async def test_no_value_makes_it_raise_or_becomes_a_message_of_its_own(
    bench: Bench, world: World, value: str
) -> None:
    outcome = await world.channel.send(bench.outgoing(world.channel, values={"name": value, "link": value}))
    assert isinstance(outcome, Outcome)
    assert len(world.arrived()) <= 1


@every_channel
async def test_a_send_can_be_cancelled_and_the_channel_goes_on(bench: Bench, world: World) -> None:
    if Case.HANG not in bench.impossible:
        world.hang()
    sending = asyncio.create_task(world.channel.send(bench.outgoing(world.channel)))
    await asyncio.sleep(0.05)
    was_over = sending.done()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert was_over or sending.cancelled(), (
        "CancelledError was caught: `except BaseException`, or a bare `except`"
    )
    assert isinstance(
        await world.channel.send(bench.outgoing(world.channel, values={"name": "Jo", "link": ""})), Accepted
    )


@every_channel
async def test_closing_twice_and_while_sending_is_safe(bench: Bench, world: World) -> None:
    sending = asyncio.create_task(world.channel.send(bench.outgoing(world.channel)))
    await asyncio.sleep(0)
    await world.channel.close()
    await world.channel.close()
    assert isinstance(await sending, Outcome)


@every_channel
async def test_two_sends_of_one_delivery_arrive_as_often_as_it_claims(bench: Bench, world: World) -> None:
    claims: Capabilities = world.channel.capabilities
    for number in (1, 2):
        await world.channel.send(bench.outgoing(world.channel, number=number))
    expected = 2 if claims.idempotency is Idempotency.NONE else 1
    assert len(world.arrived()) == expected, (
        f"it claims {claims.idempotency!r}: made of `delivery`, the same on every try"
    )


@every_channel
async def test_two_on_their_way_at_once_are_not_mixed_up(bench: Bench, world: World) -> None:
    second = SECOND.get(bench.medium, bench.to)
    copies = [
        bench.outgoing(
            world.channel, number=n, delivery=f"delivery{n}.mac", to=to, values={"name": name, "link": "x"}
        )
        for n, to, name in ((1, bench.to, "Ann"), (2, second, "Bob"))
    ]
    for outcome in await asyncio.gather(*(world.channel.send(copy) for copy in copies)):
        expect(outcome, Accepted, because="nothing was wrong")
    found = {(copy.to, copy.text) for copy in world.arrived()}
    assert len(found) == len(copies)
    for to, name in ((bench.to, "Ann"), (second, "Bob")):
        assert any(each == to and name in text for each, text in found), (
            "one copy has the other's address or words"
        )


# --- In doubt -------------------------------------------------------------------------------


@where_possible(Case.LOOK_UP)
async def test_what_was_taken_is_found_and_what_was_not_is_not(bench: Bench, world: World) -> None:
    channel = world.channel
    assert isinstance(channel, CanLookUp)
    message = bench.outgoing(channel)
    await channel.send(
        bench.outgoing(channel, delivery="anotherx.mac", number=2, values={"name": "Jo", "link": ""})
    )
    expect(await channel.look_up(message), Failed, Unknown, because="what is there is another's")
    assert len(world.arrived()) == 1, "to look up is not to send"
    if Case.CUT not in bench.impossible:
        world.cut()
    await channel.send(message)
    expect(await channel.look_up(message), Accepted, because="it was taken")


@where_possible(Case.LOOK_UP, Case.UNREACHABLE)
async def test_a_provider_that_cannot_be_asked_gives_no_evidence(bench: Bench, world: World) -> None:
    channel = world.channel
    assert isinstance(channel, CanLookUp)
    message = bench.outgoing(channel)
    for how in (503, 200) if Case.WEB not in bench.impossible else ():
        world.break_down(how=how)
        found = await channel.look_up(message)
        expect(found, Throttled, Unknown, because="an error page is no evidence: Failed would send it again")
    await world.unplug()
    found = await channel.look_up(message)
    expect(
        found, Throttled, Unknown, because="who could not be asked said nothing: Failed would send it again"
    )


# --- What it must not tell ------------------------------------------------------------------


@every_channel
async def test_no_address_and_no_words_reach_a_log_or_an_outcome(
    bench: Bench, world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    said = ""
    for case, befall in troubles(world).items():
        if case not in bench.impossible:
            befall()
        said += repr(await world.channel.send(bench.outgoing(world.channel)))
    assert_nothing_private(bench, said + "".join(capfd.readouterr()), caplog)


# --- Helpers --------------------------------------------------------------------------------


def assert_nothing_private(bench: Bench, said: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in what it returned nor in what it logged, of whatever level, nor printed."""
    ours = [record for record in caplog.records if not record.name.startswith(FAR_END_LOGGERS)]
    said += "\n".join(record.getMessage() for record in ours)
    for private in (bench.to, bench.to.removeprefix("+44"), SECRET_WORDS, NAME):
        assert private not in said, "outcomes are stored and logs are read: ids and codes alone belong there"


def troubles(world: World) -> dict[Case, Callable[[], None]]:
    """All but the one that has to be waited for."""
    return {
        Case.THROTTLED: lambda: world.throttle(60),
        Case.CUT: world.cut,
        Case.GARBLED: world.garble,
        Case.WEB: world.fail,
        Case.BAD_ADDRESS: world.refuse_address,
        Case.OPTED_OUT: world.refuse_opted_out,
    }


class Elsewhere(FakeWeb):
    """Another host, which notes who comes."""

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self._note)]

    async def _note(self, request: web.Request) -> web.Response:
        self.scripted(request.path)
        return web.json_response({})


def forbid_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would hold up the whole process raises: to sleep, and a connection that is waited for."""

    def sleep(seconds: float) -> None:
        raise AssertionError("time.sleep holds up every send of the process: await asyncio.sleep")

    def connect(self: socket.socket, address: Any) -> None:
        if self.gettimeout() != 0:
            raise AssertionError(
                "a connection that blocks the loop: use aiohttp (channels/http.py), or a thread"
            )
        plain(self, address)

    plain = socket.socket.connect
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(socket.socket, "connect", connect)
