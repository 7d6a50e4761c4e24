"""A TCP proxy on this machine that goes wrong as it is told: late, silent, slow, cut, or not there at all.

It stands between the service and PostgreSQL, Redis, SMTP or HTTP; each direction has its own trouble.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CHUNK = 65536


@dataclass
class Flow:
    """What befalls the bytes of one direction; changed at any time, it holds for what comes then.

    delay_seconds: each chunk comes so much later. black_hole: bytes are taken and go nowhere.
    drip_seconds: one byte in this time. cut_after: bytes of a connection after which it is cut.
    cut_where: asked of each chunk; `before` cuts instead of passing it on, `after` cuts once it is passed on.
    """

    delay_seconds: float = 0.0
    black_hole: bool = False
    drip_seconds: float = 0.0
    cut_after: int | None = None
    cut_where: Callable[[bytes], str] | None = None


class FaultProxy:
    """`async with FaultProxy(host, port) as proxy:` listens on a free port. `up` goes to the server, `down` comes back."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.up, self.down = Flow(), Flow()
        self.connections = self.cuts = 0
        self._host, self._to = host, port
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listen(self) -> None:
        """Take connections, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Cut what is open and take no more, as a server that is not there."""
        if self._server is not None:
            self._server.close()
            self.cut_all()
            await self._server.wait_closed()
            self._server = None

    def cut_all(self) -> None:
        """Hang up every connection at once."""
        for writer in list(self._open):
            writer.transport.abort()

    def heal(self) -> None:
        """Pass everything on again."""
        self.up, self.down = Flow(), Flow()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._open.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._to)
            self._open.add(far_writer)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._carry(reader, far_writer, writer, "up"))
                    both.create_task(self._carry(far_reader, writer, far_writer, "down"))
            finally:
                self._hang_up(far_writer)
        except* OSError:
            pass
        finally:
            self._hang_up(writer)

    def _hang_up(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.transport.abort()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
        way: str,
    ) -> None:
        carried = 0
        while data := await reader.read(CHUNK):
            flow: Flow = getattr(self, way)
            if flow.delay_seconds:
                await asyncio.sleep(flow.delay_seconds)
            if flow.black_hole:
                continue
            cut = flow.cut_where(data) if flow.cut_where else ""
            if flow.cut_after is not None and carried + len(data) >= flow.cut_after:
                data, cut = data[: max(flow.cut_after - carried, 0)], "after"
            if cut != "before":
                carried += len(data)
                await _pass_on(writer, data, flow.drip_seconds)
            if cut:
                self.cuts += 1
                other.transport.abort()
                if cut == "after":
                    await _let_it_arrive(writer)
                raise ConnectionResetError
        writer.close()


async def _pass_on(writer: asyncio.StreamWriter, data: bytes, drip_seconds: float) -> None:
    if not drip_seconds:
        writer.write(data)
        await writer.drain()
        return
    for at in range(len(data)):
        writer.write(data[at : at + 1])
        await writer.drain()
        await asyncio.sleep(drip_seconds)


async def _let_it_arrive(writer: asyncio.StreamWriter) -> None:
    """What was passed on reaches the far end although its answer never comes back: closed, not reset."""
    writer.close()
    await writer.wait_closed()
