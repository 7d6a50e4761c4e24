"""The conformance suite, first part: what a channel says of itself, of addresses and of words, before anything is sent."""

import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from channels.base import Accepted, CanBePolled, CanLookUp, HasSenders, Medium, TakesHooks
from channels.errors import BadAddress, CannotExpress, NotConfigured
from channels.registry import find, installed
from notifier.config import Settings
from tests.contract.bench import Bench, Case, World
from tests.contract.benches import BENCHES
from tests.contract.suite import every_channel, expect

SECRET = re.compile("TOKEN|SECRET|PASSWORD|PRIVATE|CREDENTIAL|SMTP_URL")
AWAITED = ("send", "run", "close", "verify", "poll", "look_up", "fetch")
SIZES = {"x" * 160: 1, "x" * 161: 2, "ŵ" * 70: 1, "ŵ" * 71: 2, "x" * 20_000: 131}  # words of a text → parts

# --- The suite itself -----------------------------------------------------------------------


def test_every_installed_channel_has_a_bench() -> None:
    have, need = {bench.name for bench in BENCHES}, set(installed())
    assert have == need, f"no bench, or no channel installed, of: {', '.join(sorted(have ^ need))}"


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


class Asked(dict[str, str]):
    """Settings that remember which of them were asked for."""

    def __init__(self, env: Mapping[str, str]) -> None:
        super().__init__(env)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


@every_channel
async def test_every_setting_it_reads_is_declared(bench: Bench) -> None:
    """The service takes a variable that nobody declares for a misspelt one, and does not start."""
    kind, asked = find(bench.name), Asked(bench.env)
    async with kind.from_env(asked):
        declared = {variable.name for variable in kind.variables}
        strange = asked.names - declared - {f"NOTIFIER_{name.upper()}" for name in Settings.model_fields}
        assert not strange, f"it reads what is not among its `variables`: {', '.join(sorted(strange))}"


@every_channel
def test_a_missing_setting_is_named(bench: Bench) -> None:
    required = {variable.name for variable in find(bench.name).variables if variable.required}
    assert required <= set(bench.required), "name in the bench what the channel says is required"
    for name in bench.required:
        with pytest.raises(NotConfigured, match=name) as raised:
            find(bench.name).from_env({key: value for key, value in bench.env.items() if key != name})
        assert_no_secret(bench, bench.env, str(raised.value))


@every_channel
@pytest.mark.parametrize("odd", ["☃ ; ,=", "\0", "x" * 5000])
async def test_a_setting_that_makes_no_sense_is_taken_or_named(bench: Bench, odd: str) -> None:
    for name in bench.env:
        env = {**bench.env, name: odd}
        try:
            async with find(bench.name).from_env(env):
                pass
        except NotConfigured as error:
            assert_no_secret(bench, env, str(error))


def assert_no_secret(bench: Bench, env: Mapping[str, str], said: str) -> None:
    secret = (v.name for v in find(bench.name).variables if v.secret)
    shown = [name for name in secret if len(env.get(name, "")) > 2 and env[name] in said]
    assert not shown, f"its error shows the value of {', '.join(shown)}"


@every_channel
def test_secrets_are_declared_as_such(bench: Bench) -> None:
    variables = find(bench.name).variables
    assert all(v.meaning for v in variables)
    shown = [v.name for v in variables if not v.secret and SECRET.search(v.name)]
    assert not shown, f"declare as secret, or `notifier config` shows it: {', '.join(shown)}"


@every_channel
async def test_what_it_claims_it_can_do_it_has_a_way_to_do(bench: Bench, world: World) -> None:
    channel, claims = world.channel, world.channel.capabilities
    hears = isinstance(channel, TakesHooks | CanBePolled)
    assert hears or not claims.receipts, "receipts come by hooks (TakesHooks) or are asked for (CanBePolled)"
    is_mail = Medium.EMAIL in claims.media  # which is answered to the listener
    assert hears or is_mail or not claims.replies, "replies come by hooks or are asked for"
    for case, protocol in ((Case.HOOKS, TakesHooks), (Case.LOOK_UP, CanLookUp)):
        can, says = isinstance(channel, protocol), case not in bench.impossible
        assert can is says, (
            f"all methods of {protocol.__name__}, or Case.{case.name} impossible with its reason"
        )
    for name in AWAITED:
        method = getattr(channel, name, None)
        assert method is None or inspect.iscoroutinefunction(method), f"`{name}` is awaited: `async def`"
    assert is_mail or not claims.html, "HTML is mail's alone"
    assert is_mail or claims.max_text is not None, "`max_text`: a longest text, which what is no mail has"
    if isinstance(channel, HasSenders):
        assert channel.senders, "the first of `senders` is used where a message names none"


@every_channel
async def test_its_longest_text_is_as_long_as_it_claims(bench: Bench, world: World) -> None:
    channel, most = world.channel, world.channel.capabilities.max_text
    if most is not None:
        longest = replace(bench.outgoing(channel), prepared=channel.prepare(bench.content("x" * most)))
        expect(await channel.send(longest), Accepted, because="a text as long as claimed can be sent")
        too_long = bench.content("x" * (most + 1))
        with pytest.raises(CannotExpress):
            channel.prepare(too_long)
        found = channel.estimate(too_long)  # a preview shows it to who writes it
        assert found.limit is None or found.length > found.limit, (
            "`estimate` calls short what `prepare` refuses"
        )


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
    assert not inspect.iscoroutinefunction(world.channel.prepare)


@every_channel
async def test_an_estimate_is_of_every_part_and_never_raises(bench: Bench, world: World) -> None:
    """160 letters of the GSM alphabet make one text, 161 two; of others 70 and 71 (3GPP TS 23.038 and 23.040)."""
    found = [world.channel.estimate(bench.content(words)) for words in SIZES]
    for each in found:
        assert each.parts >= 1
        assert math.isfinite(each.cost_pence)
        assert each.cost_pence >= 0
    if bench.medium is Medium.SMS:
        assert [each.parts for each in found] == list(SIZES.values())
        assert [each.cost_pence for each in found] == [found[0].cost_pence * n for n in SIZES.values()]


@every_channel
async def test_no_words_cannot_be_prepared(bench: Bench, world: World) -> None:
    with pytest.raises(CannotExpress):
        world.channel.prepare(bench.content(" \n"))


@every_channel
async def test_half_a_character_cannot_be_prepared(bench: Bench, world: World) -> None:
    with pytest.raises(CannotExpress):
        world.channel.prepare(bench.content("hello \ud800"))
