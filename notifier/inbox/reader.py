"""Reads a mail that may be costly in a process of its own, so that no mail can take a worker down or hold it up.

Called by the worker before it handles a mail. A small mail is read at once, in this process: that is cheap whatever
stands in it. The other process is started for the first mail that is not small, and again after one that ended it.
"""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from channels import mailchild, mailtree
from channels.mailchild import LENGTH, unpack
from channels.mailread import Mail, read_mail
from notifier.errors import ServiceError

CHEAP = 128 * 1024  # octets; what is read at once
LONGEST_SECONDS = 30.0  # on the wall: a machine that is busy is no fault of the mail's


class TooCostly(ServiceError):
    """A mail takes more time or memory to read than any mail may."""


class ReaderEnded(ServiceError):
    """The process that reads mails was ended from outside. The mail may be tried again."""


class Reader:
    """One process that reads, one mail at a time. cpu_seconds, memory: the most that one mail may take."""

    def __init__(self, *, cpu_seconds: float = mailchild.CPU_SECONDS, memory: int = mailchild.MEMORY) -> None:
        self._cpu_seconds, self._memory = cpu_seconds, memory
        self._process: Process | None = None
        self._turn = asyncio.Lock()

    async def read(self, raw: bytes) -> Mail:
        """All that can be known of a mail. Raises TooCostly, ReaderEnded."""
        if len(raw) <= CHEAP:
            return read_mail(raw)
        async with self._turn:
            try:
                async with asyncio.timeout(LONGEST_SECONDS):
                    found = await self._ask(raw[: mailtree.MAX_RAW])
            except BaseException as error:
                await self._end()  # what it says next would answer nobody's question
                if isinstance(error, TimeoutError):
                    raise TooCostly("it took too long to read") from None
                raise
        if found is None:
            raise TooCostly(f"it takes more than {self._memory // 1_048_576} MB to read")
        return found

    async def close(self) -> None:
        """End the process. Safe to repeat, and while a mail is being read."""
        await self._end()

    @property
    def process_id(self) -> int | None:
        """Of the process that reads, while there is one."""
        return self._process.pid if self._process else None

    async def _ask(self, raw: bytes) -> Mail | None:
        process = await self._started()
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - they were asked for
        try:
            process.stdin.write(len(raw).to_bytes(LENGTH, "big") + raw)
            await process.stdin.drain()
            length = int.from_bytes(await process.stdout.readexactly(LENGTH), "big")
            return unpack(await process.stdout.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise self._why(await process.wait()) from None

    def _why(self, code: int) -> ServiceError:
        if code == -signal.SIGPROF:
            return TooCostly(f"it takes more than {self._cpu_seconds:g} s to read")
        return ReaderEnded(f"the process that reads mails ended ({code})")

    async def _started(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "channels.mailchild",
                str(self._cpu_seconds),
                str(self._memory),
                stdin=PIPE,
                stdout=PIPE,
                env={"PYTHONPATH": str(Path(mailchild.__file__).parents[1])},  # none of our secrets
            )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
