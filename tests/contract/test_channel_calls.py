"""The conformance suite, second half: what providers call with, and what must be asked for."""

import contextlib

import pytest

from channels.base import CanBePolled, Channel, HookRequest, Incoming, Medium, Receipt, TakesHooks
from channels.errors import BadHook
from tests.contract.bench import Bench, Case, World
from tests.contract.suite import pollable, where_possible

# --- Hooks ----------------------------------------------------------------------------------


@where_possible(Case.HOOKS)
async def test_genuine_calls_are_verified_and_read_the_same_twice(bench: Bench, world: World) -> None:
    channel = taking_hooks(world.channel)
    for call in world.hooks():
        assert await channel.verify(call)
        events = channel.parse(call)
        assert events
        assert events == channel.parse(call)
        assert all(event.raw and event.event_id for event in events)
    seen = [event.event_id for call in world.hooks() for event in channel.parse(call)]
    assert len(seen) == len(set(seen))
    assert 200 <= channel.answer().status < 300


@where_possible(Case.HOOKS)
async def test_its_calls_bring_what_it_claims(bench: Bench, world: World) -> None:
    channel, claims = taking_hooks(world.channel), world.channel.capabilities
    events = [event for call in world.hooks() for event in channel.parse(call)]
    assert any(isinstance(event, Receipt) for event in events) or not claims.receipts
    is_asked = isinstance(channel, CanBePolled) or Medium.EMAIL in claims.media
    assert any(isinstance(event, Incoming) for event in events) or is_asked or not claims.replies


@where_possible(Case.HOOKS)
@pytest.mark.parametrize("body", [b"", b"\0", b"[]", b'{"a": 1}', b"a=b", b"\xff" * 50, b"{" * 5000])
async def test_a_call_that_makes_no_sense_is_refused_or_said_to_be_unreadable(
    bench: Bench, world: World, body: bytes
) -> None:
    channel = taking_hooks(world.channel)
    for call in world.hooks():
        odd = HookRequest(url=call.url, headers=call.headers, body=body)
        assert not await channel.verify(odd) or Case.CHANGED in bench.impossible
        with contextlib.suppress(BadHook):
            assert channel.parse(odd) == () or not await channel.verify(odd)


@where_possible(Case.HOOKS)
async def test_a_call_with_one_byte_changed_is_refused(bench: Bench, world: World) -> None:
    channel = taking_hooks(world.channel)
    for call in world.hooks():
        for changed in world.changed(call):
            assert not await channel.verify(changed)


@where_possible(Case.HOOKS)
async def test_a_call_without_its_signature_is_refused(bench: Bench, world: World) -> None:
    channel = taking_hooks(world.channel)
    for call in world.hooks():
        assert not await channel.verify(world.unsigned(call))


@where_possible(Case.HOOKS)
async def test_a_changed_address_is_refused_or_changes_nothing(bench: Bench, world: World) -> None:
    channel = taking_hooks(world.channel)
    for call in world.hooks():
        joint = "&" if "?" in call.url else "?"
        moved = HookRequest(url=f"{call.url}{joint}x=1", headers=call.headers, body=call.body)
        assert not await channel.verify(moved) or channel.parse(moved) == channel.parse(call)


# --- What must be asked for -----------------------------------------------------------------


@pollable
async def test_what_came_is_told_when_asked_and_once_more_to_who_lost_it(bench: Bench, world: World) -> None:
    channel = world.channel
    assert isinstance(channel, CanBePolled)
    _, begun = await channel.poll("")
    world.write_to_us("Lamp is out")
    world.write_to_us("Diolch 😀")
    events, cursor = await channel.poll(begun)
    told = {event.event_id: event.text for event in events if isinstance(event, Incoming)}
    assert list(told.values()) == ["Lamp is out", "Diolch 😀"]
    again, _ = await channel.poll(begun)
    assert {event.event_id for event in again} >= set(told)
    after, _ = await channel.poll(cursor)
    assert {event.event_id for event in after} <= set(told)


def taking_hooks(channel: Channel) -> TakesHooks:
    assert isinstance(channel, TakesHooks)
    return channel
