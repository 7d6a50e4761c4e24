"""What the benchmarks stand on: private servers, processes of ours, and what they cost in CPU and memory.

CPU is read from /proc (Linux): a process's own time, and for PostgreSQL the postmaster's with that of every backend it
has or had. Memory is the proportional set size, so that pages shared by two workers count once.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """CPU seconds of the service's processes and of its servers."""

    ours: float
    servers: float

    @property
    def whole(self) -> float:
        return self.ours + self.servers

    def since(self, earlier: Self) -> "Cost":
        return Cost(ours=self.ours - earlier.ours, servers=self.servers - earlier.servers)


def cpu_seconds(*process_ids: int, with_children: bool = False) -> float:
    """User and system time so far; with_children: also of the children, living or gone."""
    spent = 0
    for process_id in process_ids:
        try:
            fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        own, gone = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
        spent += own + (gone if with_children else 0)
        if with_children:
            spent += round(sum(cpu_seconds(child) for child in _children(process_id)) * TICKS)
    return spent / TICKS


def memory_mib(*process_ids: int) -> float:
    """Proportional set size now, in MiB."""
    kib = 0
    for process_id in process_ids:
        try:
            lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib / 1024


def _children(process_id: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process_id}/task").glob("*/children"):
        found += [int(word) for word in task.read_text().split()]
    return found


class Sink:
    """A running `benchmarks.sink`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process, self.port = process, port

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def count(self) -> tuple[int, int]:
        """(messages taken, of them taken before: the same Message-ID)."""
        import socket

        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as wire,
            wire.makefile("rwb") as lines,
        ):
            lines.readline()
            lines.write(b"COUNT\r\n")
            lines.flush()
            taken, repeats = lines.readline().split()[1:]
        return int(taken), int(repeats)

    def wait_for(self, number: int, *, seconds: float) -> float:
        """The moment (monotonic) when so many were taken. AssertionError when it takes too long."""
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline:
            if self.count()[0] >= number:
                return now
            time.sleep(0.02)
        raise AssertionError(f"{self.count()[0]} of {number} messages in {seconds:.0f} s")


@contextmanager
def sink(*, late_ms: float = 0.0, plain: bool = False, keep: Path | None = None) -> Iterator[Sink]:
    """A sink on a free port."""
    more = [f"--late-ms={late_ms}", *(["--plain"] if plain else []), *([f"--keep={keep}"] if keep else [])]
    with python("-m", "benchmarks.sink", *more) as process:
        assert process.stdout is not None
        yield Sink(process, int(process.stdout.readline()))


@contextmanager
def python(*words: str, settings: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A Python process of ours, ended by its id."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
    process = subprocess.Popen(
        [sys.executable, *words], env={**kept, **(settings or {})}, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def said_by(*words: str, seconds: float = 600) -> str:
    """What a Python process prints before it ends well."""
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=seconds, check=True
    )
    return done.stdout


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
