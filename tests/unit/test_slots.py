"""Slots share started rows: all of them where the far end is slow, a few with long runs where we are."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from channels.base import Channel, Content, Errand, Medium, Outcome, Outgoing, Unknown
from channels.memory import Memory
from notifier.delivery.content import Contents
from notifier.models import Lane
from notifier.worker import slots as slots_of_a_lane
from notifier.worker.seams import Held
from notifier.worker.slots import RUNS, Mark, Slots

NUMBER, ROWS = 8, 20


class Slow(Memory):
    """Sends in runs; each run takes one errand and then stands still until `going`."""

    def __init__(self) -> None:
        super().__init__()
        self.going, self.all_run, self.runs = asyncio.Event(), asyncio.Event(), 0

    async def run(self, following: Callable[[], Errand | None], *, urgent: bool = False) -> None:
        self.runs += 1
        if self.runs == NUMBER:
            self.all_run.set()
        while (errand := following()) is not None:
            await self.going.wait()
            errand.ended(await self.send(errand.message))


class Row:
    """As much of a claimed row as slots look at."""

    channel = Memory.name

    def __init__(self, number: int) -> None:
        self.id = number


class Written:
    """Words that are ready."""

    prepared = Memory().prepare(Content(medium=Medium.SMS, language="en", text="Patrols tonight"))

    def outgoing(self, row: Row, _ready: object, _personal: object) -> Outgoing:
        return Outgoing(
            attempt=f"a{row.id}", delivery=f"d{row.id}", to="+447700900001", prepared=self.prepared, values={}
        )


class Load:
    def __init__(self, *, is_high: bool) -> None:
        self.is_high = is_high


@pytest.mark.parametrize(
    ("is_high", "at_once"), [(False, NUMBER), (True, ROWS // (RUNS * Memory.capabilities.slot_rows))]
)
async def test_as_many_slots_begin_as_what_is_slow_calls_for(
    is_high: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_of_a_lane, "LOOK_SECONDS", 1.0)
    channel = Slow()
    ended: list[int] = []
    slots = Slots(
        cast("dict[str, Channel]", {channel.name: channel}),
        cast(Contents, Written()),
        Lane.WARD,
        number=NUMBER,
        ended=lambda row, _outcome: ended.append(row.id),
    )
    slots._load = cast(Any, Load(is_high=is_high))
    serving = asyncio.create_task(slots.run())
    await asyncio.sleep(0.01)  # until all of them rest
    rows = [Held(cast(Any, Row(number)), cast(Any, None), cast(Any, None)) for number in range(ROWS)]
    slots.put(rows, {channel.name: Mark(60)})
    for _ in range(3):
        await asyncio.sleep(0)
    assert channel.runs == at_once
    await asyncio.wait_for(channel.all_run.wait(), 20)  # what waits still has met a far end that stands still
    channel.going.set()
    slots.end()
    await asyncio.wait_for(serving, 5)
    assert sorted(ended) == list(range(ROWS))


class Misbehaving(Memory):
    """Does what no channel may."""

    capabilities = replace(Memory.capabilities, timeout_seconds=0.01)

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    async def send(self, message: Outgoing) -> Outcome:
        match self.how:
            case "raises":
                raise RuntimeError("+447700900001")
            case "is cancelled within":
                raise asyncio.CancelledError
            case "never answers":
                await asyncio.sleep(3600)
        return cast(Outcome, None)


class Forgetful(Memory):
    """Sends in runs, and ends none of its errands."""

    async def run(self, following: Callable[[], Errand | None], *, urgent: bool = False) -> None:
        following()


@pytest.mark.parametrize(
    "channel",
    [*map(Misbehaving, ("raises", "is cancelled within", "never answers", "says nothing")), Forgetful()],
    ids=lambda channel: getattr(channel, "how", "forgets its errands"),
)
async def test_a_slot_outlives_a_channel_that_keeps_no_promise_and_repeats_nothing(
    channel: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None would mean that it never left, and it would be sent again at once, for ever."""
    monkeypatch.setattr(slots_of_a_lane, "AFTER_TIMEOUT_SECONDS", 0.01)
    ended: list[Outcome | None] = []
    slots = Slots(
        {Memory.name: channel},
        cast(Contents, Written()),
        Lane.WARD,
        number=1,
        ended=lambda _row, outcome: ended.append(outcome),
    )
    rows = [Held(cast(Any, Row(number)), cast(Any, None), cast(Any, None)) for number in (1, 2)]
    slots.put(rows, {Memory.name: Mark(60)})
    slots.end()
    await asyncio.wait_for(slots.run(), 5)
    assert [type(outcome) for outcome in ended] == [Unknown, Unknown]
    assert "7700" not in repr(ended)
