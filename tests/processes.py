"""Server processes of the tests' own: a free port, a folder, a start that waits, an end by id.

`tests/servers.py` runs PostgreSQL and Redis with it; any test that starts a program may. And the two ways to the
network that leave nothing open: what a test forgets to close is found in one that runs long after it.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

START_SECONDS = 30.0
STOP_SECONDS = 20.0
MEMORY_BYTES = 2**30

# Reads until the tests' process is gone, however it went; then ends the server and its folders.
LEASH = 'read -r _; kill -INT "$1"; while kill -0 "$1"; do sleep 0.1; done; shift; rm -rf "$@"'


class ServerDied(RuntimeError):
    """A server of ours ended, or did not get ready; its log is in the message."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kept_port(host: str, port: int) -> socket.socket:
    """A socket that holds a port on which nobody listens: without it, any process or our own next call may get it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((host, port))
    return held


@asynccontextmanager
async def dialled(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a port of this machine, closed at the end of the block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def silence() -> AsyncIterator[int]:
    """The port of a server that takes connections and never says a word."""
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


def outside_the_loop(call: Callable[[], T]) -> T:
    """What `call` returns, run in a thread of its own: it may start an event loop there."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


def children_of(process_id: int) -> list[int]:
    """The processes that a process has started and that still run (Linux)."""
    listed = Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
    return [int(child) for child in listed.split()]


def wait_until_gone(process_ids: Sequence[int]) -> None:
    """Wait until processes that are not our children have ended."""
    deadline = time.monotonic() + STOP_SECONDS
    while any(_is_running(process_id) for process_id in process_ids):
        if time.monotonic() > deadline:
            raise ServerDied(f"some of {process_ids} do not end")
        time.sleep(0.005)


def _is_running(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@contextmanager
def short_folder(kind: str, *, in_memory: bool = False) -> Iterator[Path]:
    """A new folder, gone at the end. Its path is short: PostgreSQL keeps a socket in it.

    in_memory: in the memory's file system where there is room. A copied database is 500 files, which
    take 0.02 s there and up to 0.5 s on a disk.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"notifier-{kind}-", dir=_memory() if in_memory else "/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> str:
    place = "/dev/shm"
    roomy = os.access(place, os.W_OK) and shutil.disk_usage(place).free > MEMORY_BYTES
    return place if roomy else "/tmp"


@dataclass(kw_only=True)
class Child:
    """One server process of ours: can be started again on its port, and is ended by its id.

    When the tests' own process is killed, a leash ends the server too and removes its folders.
    """

    command: list[str | Path]
    folders: Sequence[Path]  # the first is where it runs and logs
    ready: Callable[[int], bool]  # whether the process of this id serves now
    identity: dict[str, Any] = field(default_factory=dict)  # user and group, for Popen
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    process: subprocess.Popen[bytes] | None = None
    leash: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers; `ServerDied` when it does not in 30 seconds."""
        self._untie()
        log_file = self.folders[0] / "log"
        with log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folders[0],
                env=self.environment,
                **self.identity,
            )
        self.leash = subprocess.Popen(
            ["sh", "-c", LEASH, "leash", str(self.process.pid), *self.folders],
            stdin=subprocess.PIPE,  # our end closes when we end
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready(self.process.pid):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end(signal.SIGKILL)
                raise ServerDied(f"{self.command[0]} did not start:\n{log_file.read_text()[-2000:]}")
            time.sleep(0.005)

    def end(self, with_signal: signal.Signals) -> None:
        """Send the signal and wait until the process is gone. Ended already: nothing happens."""
        if self.process is None:
            return
        try:
            if self.process.poll() is None:
                self.process.send_signal(with_signal)
                self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._untie()

    def _untie(self) -> None:
        if self.leash is not None:
            self.leash.kill()
            self.leash.communicate()
            self.leash = None

    @classmethod
    def on_a_free_port(cls, make: Callable[[int], "Child"]) -> tuple["Child", int]:
        """A started child and its port; another port is tried when someone was faster on the first."""
        for tries_left in (2, 1, 0):
            port = free_port()
            child = make(port)
            try:
                child.start()
            except ServerDied:
                if not tries_left:
                    raise
            else:
                return child, port
        raise AssertionError
