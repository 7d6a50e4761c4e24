"""Turns: one at a time, in order, whoever gives up meanwhile."""

import asyncio

from notifier.turns import Turns


async def test_who_gives_up_before_or_as_they_are_called_holds_up_nobody() -> None:
    turns, went = Turns(), []

    async def go(name: str, *, ahead: bool = False) -> None:
        await turns.take(ahead=ahead)
        went.append(name)
        turns.pass_on()

    await turns.take()
    tasks = {name: asyncio.create_task(go(name, ahead=name == "ahead")) for name in ("a", "b", "c", "ahead")}
    await asyncio.sleep(0)
    tasks["b"].cancel()  # while it waits
    turns.pass_on()  # calls the one ahead
    tasks["ahead"].cancel()  # as it is called
    done = await asyncio.wait_for(asyncio.gather(*tasks.values(), return_exceptions=True), 5)
    assert [type(each).__name__ for each in done] == [
        "NoneType",
        "CancelledError",
        "NoneType",
        "CancelledError",
    ]
    assert went == ["a", "c"]
    await asyncio.wait_for(turns.take(), 5)  # free again
