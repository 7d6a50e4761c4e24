"""What the stand-ins for web interfaces share: a listener on a free port, and scripted answers."""

import asyncio
import random
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.processes import kept_port


class Trouble(StrEnum):
    """What can go wrong other than by an answer."""

    HANG = "hang"  # takes nothing, says nothing
    TAKE_AND_HANG = "take_and_hang"
    TAKE_AND_CUT = "take_and_cut"
    TAKE_AND_FAIL = "take_and_fail"  # a 500 after accepting
    TAKE_AND_MUMBLE = "take_and_mumble"  # a page for people that says 200
    FAIL_AS_HTML = "fail_as_html"  # a 503 page of a proxy


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A scripted reply. body: as JSON."""

    status: int
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Called:
    """One call that a script could have answered: about what, and when (monotonic seconds)."""

    key: str
    at: float


@dataclass(frozen=True, kw_only=True)
class _Standing:
    answer: Answer | Trouble
    share: float
    dice: random.Random


class FakeWeb:
    """A web server of one stand-in. Subclasses add routes. `calls`: every call it had, answered or not."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self.calls: list[Called] = []
        self._scripts: dict[str, deque[Answer | Trouble]] = {}
        self._standing: dict[str, _Standing] = {}
        self._runner: web.AppRunner | None = None
        self._port_held: socket.socket | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def script(self, key: str, *answers: Answer | Trouble) -> None:
        """The next calls about `key` get these; then it accepts. "" is any key."""
        self._scripts.setdefault(key, deque()).extend(answers)

    def always(self, key: str, answer: Answer | Trouble | None, *, share: float = 1.0, seed: int = 0) -> None:
        """Calls about `key` get this after the scripts, until None says it is over. "" is any key.

        share: the part of the calls that get it, drawn by the seed, so that a run can be repeated.
        """
        self._standing.pop(key, None)
        if answer is not None:
            self._standing[key] = _Standing(answer=answer, share=share, dice=random.Random(seed))  # noqa: S311

    def scripted(self, key: str, kind: str = "") -> Answer | Trouble | None:
        """What was asked for about a key, else about all calls of its kind ("send"), else about any."""
        self.calls.append(Called(key=key, at=time.monotonic()))
        names = (key, kind, "")
        for name in names:
            if self._scripts.get(name):
                return self._scripts[name].popleft()
        for name in names:
            standing = self._standing.get(name)
            if standing is not None:
                return standing.answer if standing.dice.random() < standing.share else None
        return None

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes(self.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._port_held is not None:
            self._port_held.close()

    async def unplug(self) -> None:
        """Refuse connections until the end, at a port that nobody else gets meanwhile."""
        await self.stop()
        self._port_held = kept_port(self.host, self.port)

    async def stop(self) -> None:
        """Refuse connections from now on."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


async def trouble(kind: Trouble, request: web.Request) -> web.StreamResponse:
    """Go wrong in the way asked for, after whatever was to be kept is kept."""
    match kind:
        case Trouble.HANG | Trouble.TAKE_AND_HANG:
            await asyncio.sleep(3600)
        case Trouble.TAKE_AND_CUT:
            if request.transport is not None:
                request.transport.close()
        case Trouble.TAKE_AND_FAIL:
            return web.json_response({"message": "internal error"}, status=500)
        case Trouble.TAKE_AND_MUMBLE:
            return web.Response(text="<html><h1>Sign in</h1></html>", content_type="text/html")
        case Trouble.FAIL_AS_HTML:
            return web.Response(
                status=503, text="<html><h1>Unavailable</h1></html>", content_type="text/html"
            )
    return web.Response(status=500)
