"""The conformance suite, third part: what providers call with, and what must be asked for."""

import contextlib
import logging
from collections.abc import Sequence

import pytest

from channels.base import CanBePolled, Channel, Event, HookRequest, Incoming, Medium, Receipt, TakesHooks
from channels.errors import BadHook, CannotPoll
from tests.contract.bench import Bench, Case, World, spoilt
from tests.contract.suite import pollable, where_possible

# --- Hooks ----------------------------------------------------------------------------------


@where_possible(Case.HOOKS)
async def test_genuine_calls_are_verified_and_read_the_same_twice(bench: Bench, world: World) -> None:
    channel = taking_hooks(world.channel)
    for call in world.hooks():
        assert await channel.verify(call) is True
        events = channel.parse(call)
        assert events, "a call of the bench that says nothing"
        assert events == channel.parse(call), (
            "read again, a call says the same: no time and no id of the moment"
        )
        assert_well_made(world.channel, events)
    seen = [event.event_id for call in world.hooks() for event in channel.parse(call)]
    assert len(seen) == len(set(seen)), "one id for two events: the second would be dropped as a repeat"
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
async def test_no_spoilt_call_makes_it_raise_or_tell(
    bench: Bench, world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """What cannot be read is BadHook, whose words are stored and logged, so that it is kept and answered."""
    caplog.set_level(logging.DEBUG)
    channel, said = taking_hooks(world.channel), ""
    told = [event for call in world.hooks() for event in channel.parse(call)]
    for call in world.hooks():
        for odd in spoilt(call):
            assert await channel.verify(odd) in (True, False)
            try:
                channel.parse(odd)
            except BadHook as error:
                said += f"{error}\n"
    assert_untold(told, said + caplog.text + "".join(capfd.readouterr()))


@where_possible(Case.HOOKS)
async def test_a_call_with_one_byte_changed_is_refused(bench: Bench, world: World) -> None:
    channel = taking_hooks(world.channel)
    for call in world.hooks():
        for changed in world.changed(call):
            assert not await channel.verify(changed), f"changed on its way, and taken: {changed}"


@where_possible(Case.HOOKS)
async def test_a_call_without_its_signature_is_refused(bench: Bench, world: World) -> None:
    channel = taking_hooks(world.channel)
    for call in world.hooks():
        bare = world.unsigned(call)
        assert not await channel.verify(bare), (
            "taken without its signature; where that stands in the body or the address, give the bench's world "
            f"`unsigned` to take it out there: {bare}"
        )


@where_possible(Case.HOOKS)
async def test_a_changed_address_is_refused_or_changes_nothing(bench: Bench, world: World) -> None:
    channel = taking_hooks(world.channel)
    for call in world.hooks():
        joint = "&" if "?" in call.url else "?"
        moved = HookRequest(url=f"{call.url}{joint}x=1", headers=call.headers, body=call.body)
        assert not await channel.verify(moved) or channel.parse(moved) == channel.parse(call)


# --- What must be asked for -----------------------------------------------------------------


@pollable
async def test_what_came_is_told_when_asked_and_once_more_to_who_lost_it(
    bench: Bench, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = polled(world)
    _, begun = await channel.poll("")
    await world.channel.send(bench.outgoing(world.channel))  # which nobody said to us
    world.write_to_us("Lamp is out")
    world.write_to_us("Diolch 😀")
    first, cursor = await channel.poll(begun)
    again, _ = await channel.poll(begun)
    same = {event.event_id for event in again} >= {event.event_id for event in first}
    assert same, "the same cursor tells the same, by the same ids"
    rest, cursor = await channel.poll(cursor)  # one call may tell only some of what waits
    events = [*first, *rest]
    assert_well_made(world.channel, events)
    told = {event.event_id: event.text for event in events if isinstance(event, Incoming)}
    assert list(told.values()) == ["Lamp is out", "Diolch 😀"], "all that came and nothing else, oldest first"
    after, cursor = await channel.poll(cursor)
    assert {event.event_id for event in after} <= set(told)
    world.write_to_us("Still out")
    next_one, cursor = await channel.poll(cursor)
    texts = [
        event.text for event in (*next_one, *(await channel.poll(cursor))[0]) if isinstance(event, Incoming)
    ]
    assert "Still out" in texts, "the cursor has passed over what came after it"
    assert_untold(events, caplog.text)


@pollable
async def test_who_cannot_be_asked_is_asked_again_later(bench: Bench, world: World) -> None:
    """CannotPoll keeps the cursor where it is: nothing is passed over. A cursor of an older version is as good as none."""
    channel = polled(world)
    _, begun = await channel.poll("")
    with contextlib.suppress(CannotPoll):
        await channel.poll("{of another version")
    for how in (503, 200) if Case.WEB not in bench.impossible else ():
        world.break_down(how=how)
        with pytest.raises(CannotPoll):
            await channel.poll(begun)
    if Case.UNREACHABLE not in bench.impossible:
        await world.unplug()
        with pytest.raises(CannotPoll):
            await channel.poll(begun)


def assert_well_made(channel: Channel, events: Sequence[Event]) -> None:
    """As the inbox and the ledger need them."""
    for event in events:
        assert event.raw, "what came, as it came, is kept"
        assert event.event_id
        assert event.at is None or event.at.tzinfo, "a time without its zone"
        if isinstance(event, Receipt):
            assert event.attempt or event.provider_id, "a receipt that says of nothing what it is about"
        else:
            assert event.medium in channel.capabilities.media


def assert_untold(events: Sequence[Event], said: str) -> None:
    """None of who wrote and of what was written."""
    for event in events:
        if isinstance(event, Incoming):
            words = {
                event.sender,
                event.sender.removeprefix("+44"),
                event.text.strip(),
                event.raw.decode("utf-8", "replace"),
            }
            assert not any(len(each) > 5 and each in said for each in words), (
                "who wrote, or what, was logged or stored"
            )


def polled(world: World) -> CanBePolled:
    assert isinstance(world.channel, CanBePolled)
    return world.channel


def taking_hooks(channel: Channel) -> TakesHooks:
    assert isinstance(channel, TakesHooks)
    return channel
