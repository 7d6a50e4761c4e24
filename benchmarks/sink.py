"""A mail server that only counts, in a process of its own: `python -m benchmarks.sink`.

It does as little as a server can, so that it is never the bottleneck and what it costs is never counted. It
offers PIPELINING, can answer the final dot late, and keeps one message so that another client can send the same
bytes. `COUNT` is not SMTP: it answers how many messages were taken and how many came twice.
"""

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

END = b"\r\n.\r\n"
ID = b"\r\nMessage-ID:"


class Tally:
    """What was taken so far. A repeat is a Message-ID that came before: ours is the delivery's own."""

    def __init__(self, keep: Path | None) -> None:
        self.taken = self.repeats = 0
        self._seen: set[bytes] = set()
        self._keep = keep

    def take(self, text: bytes) -> None:
        self.taken += 1
        start = text.find(ID)
        found = text[start + len(ID) : text.find(b">", start)] if start >= 0 else b"%d" % self.taken
        if found in self._seen:
            self.repeats += 1
        self._seen.add(found)
        if self._keep is not None:
            self._keep.write_bytes(text)
            self._keep = None


class Conversation(asyncio.Protocol):
    """One connection: commands line by line, the text until its dot."""

    def __init__(self, tally: Tally, *, late_seconds: float, pipelining: bool) -> None:
        self._tally, self._late_seconds = tally, late_seconds
        self._offer = (
            b"250-sink\r\n250-8BITMIME\r\n250 PIPELINING\r\n"
            if pipelining
            else b"250-sink\r\n250 8BITMIME\r\n"
        )
        self._waiting, self._in_text, self._is_late = b"", False, False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none of asyncio's class
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        waiting, said = self._waiting + data, b""
        while not self._is_late:  # what was said after a text is heard once that has its answer
            cut = waiting.find(END if self._in_text else b"\r\n")
            if cut < 0:
                break
            if self._in_text:
                self._tally.take(waiting[:cut])
                waiting, self._in_text = waiting[cut + len(END) :], False
                said += self._taken()
            else:
                line, waiting = waiting[:cut], waiting[cut + 2 :]
                said += self._reply(line)
        self._waiting = waiting
        if said:
            self._transport.write(said)

    def _taken(self) -> bytes:
        if not self._late_seconds:
            return b"250 2.0.0 queued\r\n"
        self._is_late = True
        asyncio.get_running_loop().call_later(self._late_seconds, self._answer_late)
        return b""

    def _answer_late(self) -> None:
        self._is_late = False
        self._transport.write(b"250 2.0.0 queued\r\n")
        self.data_received(b"")

    def _reply(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"DATA":
            self._in_text = True
            return b"354 go on\r\n"
        if verb in (b"EHLO", b"HELO"):
            return self._offer
        if verb == b"COUN":
            return f"250 {self._tally.taken} {self._tally.repeats}\r\n".encode()
        if verb == b"QUIT":
            self._transport.write(b"221 bye\r\n")
            self._transport.close()
            return b""
        return b"250 2.1.0 ok\r\n"


async def serve(asked: argparse.Namespace) -> None:
    tally = Tally(asked.keep)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    made: Callable[[], Conversation] = partial(
        Conversation, tally, late_seconds=asked.late_ms / 1000, pipelining=not asked.plain
    )
    server = await loop.create_server(made, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sink", description=__doc__)
    parser.add_argument("--late-ms", type=float, default=0.0, help="answer the final dot that much later")
    parser.add_argument("--plain", action="store_true", help="do not offer PIPELINING")
    parser.add_argument("--keep", type=Path, help="file for the first message taken")
    asked = parser.parse_args()
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.run(serve(asked))
        return
    asyncio.run(serve(asked))


if __name__ == "__main__":
    main()
