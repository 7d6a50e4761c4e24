"""The conformance suite: every promise of the channel contract, tried on every installed channel.

What comes back, by calls and when asked, is in `test_channel_calls`.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from channels.base import (
    Accepted,
    CanBePolled,
    CanLookUp,
    Capabilities,
    Failed,
    Idempotency,
    Medium,
    Outcome,
    Refusal,
    Refused,
    TakesHooks,
    Throttled,
    Unknown,
)
from channels.errors import BadAddress, CannotExpress, NotConfigured
from channels.registry import find, installed
from tests.contract.bench import NAME, SECRET_WORDS, Bench, Case, World
from tests.contract.benches import BENCHES
from tests.contract.suite import every_channel, where_possible

FAR_END_LOGGERS = ("mail.log", "mail.debug", "aiohttp.access", "aiohttp.server")


# --- The suite itself -----------------------------------------------------------------------


def test_every_installed_channel_has_a_bench() -> None:
    assert {bench.name for bench in BENCHES} == set(installed())


@pytest.mark.parametrize("case", Case)
def test_every_case_is_tried_on_some_channel(case: Case) -> None:
    assert any(case not in bench.impossible for bench in BENCHES)


@every_channel
def test_what_cannot_happen_is_declared_with_its_reason(bench: Bench) -> None:
    assert all(len(reason) > 8 for reason in bench.impossible.values())


# --- What it says of itself -----------------------------------------------------------------


@every_channel
def test_it_is_found_under_its_own_name(bench: Bench) -> None:
    kind = find(bench.name)
    assert kind.name == bench.name
    assert bench.medium in kind.capabilities.media
    if len(kind.capabilities.media) == 1:
        assert kind.name.startswith(f"{bench.medium}_")


@every_channel
async def test_it_is_built_from_its_settings(bench: Bench) -> None:
    async with find(bench.name).from_env(bench.env) as channel:
        assert channel.capabilities.slot_rows >= 1


@every_channel
def test_a_missing_setting_is_named(bench: Bench) -> None:
    for name in bench.required:
        with pytest.raises(NotConfigured, match=name):
            find(bench.name).from_env({key: value for key, value in bench.env.items() if key != name})


@every_channel
def test_secrets_are_declared_as_such(bench: Bench) -> None:
    variables = find(bench.name).variables
    assert all(v.meaning for v in variables)
    assert all(v.secret for v in variables if "TOKEN" in v.name or "SECRET" in v.name or "SMTP_URL" in v.name)


@every_channel
async def test_what_it_claims_it_can_do_it_has_a_way_to_do(bench: Bench, world: World) -> None:
    channel, claims = world.channel, world.channel.capabilities
    hears = isinstance(channel, TakesHooks | CanBePolled)
    assert hears or not claims.receipts
    assert hears or not claims.replies or Medium.EMAIL in claims.media  # mail is answered to the listener
    assert isinstance(channel, TakesHooks) is (Case.HOOKS not in bench.impossible)
    assert isinstance(channel, CanLookUp) is (Case.LOOK_UP not in bench.impossible)
    if claims.max_text is not None:
        with pytest.raises(CannotExpress):
            channel.prepare(bench.content("x" * (claims.max_text + 1)))


# --- Addresses and words --------------------------------------------------------------------


@every_channel
async def test_an_address_has_one_spelling(bench: Bench, world: World) -> None:
    assert world.channel.normalise(bench.odd_spelling, bench.medium) == bench.to
    assert world.channel.normalise(bench.to, bench.medium) == bench.to


@every_channel
@pytest.mark.parametrize("address", ["", " ", "no", "a\r\nBcc: b@c.example", "\0", "x" * 5000, "☃"])
async def test_what_is_no_address_is_refused_with_a_sentence(
    bench: Bench, world: World, address: str
) -> None:
    medium = Medium.SMS if bench.medium is Medium.SOCIAL and address == "no" else bench.medium
    with pytest.raises(BadAddress, match=r"^\w.+"):
        world.channel.normalise(address, medium)


@every_channel
async def test_a_medium_it_does_not_carry_is_refused(bench: Bench, world: World) -> None:
    for medium in set(Medium) - world.channel.capabilities.media:
        with pytest.raises(BadAddress):
            world.channel.normalise(bench.to, medium)


@every_channel
async def test_preparing_and_estimating_twice_gives_the_same(bench: Bench, world: World) -> None:
    content = bench.content()
    assert world.channel.prepare(content) == world.channel.prepare(content)
    assert world.channel.estimate(content) == world.channel.estimate(content)
    assert world.channel.estimate(content).parts >= 1
    assert not inspect.iscoroutinefunction(world.channel.prepare)


@every_channel
async def test_no_words_cannot_be_prepared(bench: Bench, world: World) -> None:
    with pytest.raises(CannotExpress):
        world.channel.prepare(bench.content(" \n"))


@every_channel
async def test_half_a_character_cannot_be_prepared(bench: Bench, world: World) -> None:
    with pytest.raises(CannotExpress):
        world.channel.prepare(bench.content("hello \ud800"))


# --- Sending --------------------------------------------------------------------------------


@every_channel
async def test_what_is_accepted_arrives_as_it_was_prepared(bench: Bench, world: World) -> None:
    outcome = await world.channel.send(bench.outgoing(world.channel))
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id
    assert [(copy.to, copy.text) for copy in world.arrived()] == [(bench.to, bench.expected_text)]


@where_possible(Case.THROTTLED)
async def test_too_fast_names_the_time_to_wait_and_takes_nothing(bench: Bench, world: World) -> None:
    world.throttle(60)
    outcome = await world.channel.send(bench.outgoing(world.channel))
    assert isinstance(outcome, Throttled)
    assert 55 <= outcome.after_seconds <= 60
    assert world.arrived() == []


@where_possible(Case.UNREACHABLE)
async def test_a_provider_that_cannot_be_reached_has_certainly_not_taken_it(
    bench: Bench, world: World
) -> None:
    await world.unplug()
    assert isinstance(await world.channel.send(bench.outgoing(world.channel)), Failed)


@where_possible(Case.CUT)
async def test_an_answer_lost_after_the_last_byte_leaves_it_in_doubt(bench: Bench, world: World) -> None:
    world.cut()
    assert isinstance(await world.channel.send(bench.outgoing(world.channel)), Unknown)
    assert len(world.arrived()) == 1


async def test_no_answer_leaves_it_in_doubt_within_the_deadline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On all channels at once, for each has to be waited for."""
    caplog.set_level(logging.DEBUG)

    async def hangs(bench: Bench) -> None:
        folder = tmp_path / bench.name
        folder.mkdir()
        async with bench.world(bench.to, folder) as world:
            world.hang()
            async with asyncio.timeout(10):
                outcome = await world.channel.send(bench.outgoing(world.channel))
            assert isinstance(outcome, Unknown), bench.name
            assert_nothing_private(bench, repr(outcome), caplog)
            values = {"name": "Jo", "link": "x"}
            outcome = await world.channel.send(bench.outgoing(world.channel, values=values))
            assert isinstance(outcome, Accepted), bench.name

    async with asyncio.TaskGroup() as group:
        for bench in BENCHES:
            if Case.HANG not in bench.impossible:
                group.create_task(hangs(bench))


@where_possible(Case.GARBLED)
async def test_an_answer_that_cannot_be_read_leaves_it_in_doubt(bench: Bench, world: World) -> None:
    world.garble()
    assert isinstance(await world.channel.send(bench.outgoing(world.channel)), Unknown)


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
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
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
    assert len(world.arrived()) == (2 if claims.idempotency is Idempotency.NONE else 1)


# --- In doubt -------------------------------------------------------------------------------


@where_possible(Case.LOOK_UP)
async def test_what_was_taken_is_found_and_what_was_not_is_not(bench: Bench, world: World) -> None:
    channel = world.channel
    assert isinstance(channel, CanLookUp)
    message = bench.outgoing(channel)
    assert isinstance(await channel.look_up(message), Failed | Unknown)
    if Case.CUT not in bench.impossible:
        world.cut()
    await channel.send(message)
    assert isinstance(await channel.look_up(message), Accepted)


@where_possible(Case.LOOK_UP, Case.UNREACHABLE)
async def test_a_provider_that_cannot_be_asked_gives_no_evidence(bench: Bench, world: World) -> None:
    channel = world.channel
    assert isinstance(channel, CanLookUp)
    message = bench.outgoing(channel)
    await world.unplug()
    assert isinstance(await channel.look_up(message), Throttled | Unknown)


# --- What it must not tell ------------------------------------------------------------------


@every_channel
async def test_no_address_and_no_words_reach_a_log_or_an_outcome(
    bench: Bench, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = ""
    for case, befall in troubles(world).items():
        if case not in bench.impossible:
            befall()
        said += repr(await world.channel.send(bench.outgoing(world.channel)))
    assert_nothing_private(bench, said, caplog)


# --- Helpers --------------------------------------------------------------------------------


def assert_nothing_private(bench: Bench, said: str, caplog: pytest.LogCaptureFixture) -> None:
    ours = [record for record in caplog.records if not record.name.startswith(FAR_END_LOGGERS)]
    said += "\n".join(record.getMessage() for record in ours)
    for private in (bench.to, bench.to.removeprefix("+44"), SECRET_WORDS, NAME):
        assert private not in said


def troubles(world: World) -> dict[Case, Callable[[], None]]:
    """All but the one that has to be waited for."""
    return {
        Case.THROTTLED: lambda: world.throttle(60),
        Case.CUT: world.cut,
        Case.GARBLED: world.garble,
        Case.BAD_ADDRESS: world.refuse_address,
        Case.OPTED_OUT: world.refuse_opted_out,
    }
