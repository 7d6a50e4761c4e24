"""Starts `notifier` processes in a few milliseconds: one warm process imports everything once, and forks.

A process start costs 1 to 2 seconds of imports, which a loop of a thousand kills cannot pay. Each child
is a process of its own, with its own environment, log and connections, and is ended by its own id.

`python -m tests.faults.forker` reads one JSON line for each order and answers with one; `Forker` is its caller.
"""

import asyncio
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ENDED_UNSEEN = 127


class Forker:
    """The warm process. `with Forker() as forker:`; its children end with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> "Forker":
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(30)
            assert self._process.stdout is not None
            self._process.stdout.close()

    def fork(
        self,
        settings: Mapping[str, str],
        command: list[str],
        log: Path,
        *,
        most_file_bytes: int | None = None,
        errors: Path | None = None,
        folder: Path | None = None,
    ) -> int:
        """Start `notifier COMMAND` with these settings alone; its process id.

        most_file_bytes: no file of its grows beyond, as on a disk that is full. errors: what it says to
        standard error; without it that goes to the log too. folder: where it works, else where we do.
        """
        order = {
            "fork": command,
            "settings": dict(settings),
            "log": str(log),
            "most": most_file_bytes,
            "errors": str(errors or ""),
            "folder": str(folder or ""),
        }
        return int(self._ask(order))

    def wait(self, process: int, seconds: float) -> int | None:
        """The exit code of a child (negative: the signal that ended it), or None while it runs."""
        code = self._ask({"wait": process, "seconds": seconds})
        return None if code is None else int(code)

    def _ask(self, order: Mapping[str, Any]) -> Any:
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the forker ended")
        return json.loads(answer)["answer"]


class Forked:
    """One `notifier` process of a forker, started again as often as a drill wants."""

    def __init__(self, forker: Forker, settings: Mapping[str, str], *command: str, log: Path) -> None:
        self.settings = dict(settings)
        self.process: int | None = None
        self._forker, self._command, self._log = forker, list(command), log

    def start(self, *, most_file_bytes: int | None = None, **more: str) -> None:
        """Start it, with some settings more than its own."""
        self.process = self._forker.fork(
            self.settings | more, self._command, self._log, most_file_bytes=most_file_bytes
        )

    def kill(self) -> None:
        """SIGKILL: no goodbye. Ended already: nothing happens."""
        if self.ended() is None and self.process is not None:
            os.kill(self.process, signal.SIGKILL)
            self.ended(10)

    async def stop(self, seconds: float = 40) -> int:
        """SIGTERM, and its exit code; the far ends answer meanwhile, since they live in this process."""
        code = self.ended()
        if code is None and self.process is not None:
            os.kill(self.process, signal.SIGTERM)
            code = await self.end(seconds)
        return code or 0

    async def end(self, seconds: float = 20) -> int:
        """Wait until it ends by itself, as at a fail point; its exit code."""
        deadline = time.monotonic() + seconds
        while (code := self.ended()) is None:
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"it did not end within {seconds} s:\n{self.said()}")
            await asyncio.sleep(0.02)
        return code

    def freeze(self) -> None:
        """SIGSTOP: it stands still as a machine that swaps does."""
        assert self.process is not None
        os.kill(self.process, signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process}/task")
        while any(" T " not in (task / "stat").read_text().rpartition(")")[2] for task in tasks.iterdir()):
            time.sleep(0.001)  # each thread stops when the kernel next looks at it

    def thaw(self) -> None:
        assert self.process is not None
        os.kill(self.process, signal.SIGCONT)

    def ended(self, seconds: float = 0.0) -> int | None:
        """Its exit code once it has ended within that time, else None."""
        if self.process is None:
            return ENDED_UNSEEN
        code = self._forker.wait(self.process, seconds)
        if code is not None:
            self.process = None
        return code

    def said(self) -> str:
        return self._log.read_text(errors="replace")[-4000:] if self._log.exists() else ""


# --- The warm process -------------------------------------------------------------------


def serve() -> None:
    """Take orders from standard input until it closes; then end every child."""
    _warm_up()
    children: set[int] = set()
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        answer: int | None
        if "fork" in order:
            answer = child = _fork(order)
            children.add(child)
        else:
            answer = _wait(order["wait"], order["seconds"])
            if answer is not None:
                children.discard(order["wait"])
        sys.stdout.write(json.dumps({"answer": answer}) + "\n")
        sys.stdout.flush()
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _warm_up() -> None:
    """Import what a process imports when it starts, and build the tables' mappers."""
    import aiosqlite  # noqa: F401
    import asyncpg  # noqa: F401
    import uvloop  # noqa: F401
    from sqlalchemy.dialects import registry
    from sqlalchemy.orm import configure_mappers

    import notifier.cli.messages
    import notifier.cli.run
    import notifier.web.app
    import notifier.web.mail
    import notifier.worker  # noqa: F401
    from channels.registry import find, installed
    from templates import render  # noqa: F401

    for channel in installed():
        find(channel)
    for dialect in ("postgresql.asyncpg", "sqlite.aiosqlite"):
        registry.load(dialect)
    configure_mappers()
    gc.collect()
    gc.freeze()  # what all children share, none of them looks at again


def _fork(order: Mapping[str, Any]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        _become(order["settings"], order["log"], order["errors"])
        if order["folder"]:
            os.chdir(order["folder"])
        if order["most"]:
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["most"], resource.RLIM_INFINITY))
        from notifier.cli import notifier

        notifier.main(args=order["fork"], prog_name="notifier")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(settings: Mapping[str, str], log: str, errors: str) -> None:
    """A process of its own: no input, its own log, its own settings."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, file in ((1, log), (2, errors or log)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    for name in [name for name in os.environ if name.startswith("NOTIFIER_")]:
        del os.environ[name]
    os.environ.update(settings)


def _wait(process: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.005)


if __name__ == "__main__":
    serve()
