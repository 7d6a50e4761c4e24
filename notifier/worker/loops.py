"""How the worker's loops behave: they outlive faults, and wait where a bell can wake them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

AFTER_FAULT_SECONDS = 1.0


async def rest(bell: asyncio.Event, seconds: float) -> None:
    """Until the bell rings or so much time has passed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await bell.wait()


async def quietly(work: Awaitable[T], name: str, stopping: asyncio.Event) -> T | None:
    """A loop outlives a fault: the rows keep what was to be done, and the sweep brings it back."""
    try:
        return await work
    except Exception as error:
        log.exception("loop_failed", loop=name, error=type(error).__name__)
        await rest(stopping, AFTER_FAULT_SECONDS)
        return None


async def every(
    seconds: float,
    act: Callable[[], Awaitable[object]],
    stopping: asyncio.Event,
    *,
    factor: float,
    least: float,
) -> None:
    """Again and again until told to stop, `seconds` apart; `factor` shortens that, to `least` at most."""
    while not stopping.is_set():
        await quietly(act(), act.__name__, stopping)
        await rest(stopping, max(seconds * factor, least))
