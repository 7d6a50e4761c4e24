"""The whole service against the shipped fakes: real SMTP, the real twilio SDK, real tweepy.

Gives the settings for it, a database opened with them, and the `notifier` processes that use them.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from notifier.db import Database
from notifier.jobs import InProcessJobs, RedisJobs
from notifier.runtime import carriers
from subscribers.signing import Keys
from tests.fakes import FakeSmtp, FakeTwilio, FakeX
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN
from tests.processes import free_port

SECRET = "only-the-tests-know-this-secret"
CHANNELS = ("email_smtp", "sms_twilio", "social_x")
NUMBER = "+447700900999"
DOMAIN = "link.example"


@dataclass
class Providers:
    """The three far ends, each with its log of what it accepted."""

    mail: FakeSmtp
    texts: FakeTwilio
    posts: FakeX

    def accepted(self) -> list[str]:
        """Who got something, once for each time it was taken."""
        return [
            *(mail.to for mail in self.mail.accepted),
            *(text.to for text in self.texts.accepted),
            *("post" for _ in self.posts.accepted),
        ]

    def settings(self, database_url: str, *, redis_url: str = "", **more: str) -> dict[str, str]:
        """The environment of a `notifier` process that uses them."""
        return {
            "NOTIFIER_DATABASE_URL": database_url,
            "NOTIFIER_REDIS_URL": redis_url,
            "NOTIFIER_SECRET_KEYS": SECRET,
            "NOTIFIER_HOOK_KEYS": "a-key-for-the-raw-mail-hook",
            "NOTIFIER_CHANNELS": ",".join(CHANNELS),
            "NOTIFIER_SMTP_URL": self.mail.url,
            "NOTIFIER_MAIL_DOMAIN": DOMAIN,
            "NOTIFIER_TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "NOTIFIER_TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "NOTIFIER_TWILIO_API_URL": self.texts.url,
            "NOTIFIER_SMS_NUMBERS": NUMBER,
            "NOTIFIER_X_CONSUMER_KEY": "key",
            "NOTIFIER_X_CONSUMER_SECRET": "secret",
            "NOTIFIER_X_ACCESS_TOKEN": "token",
            "NOTIFIER_X_ACCESS_TOKEN_SECRET": "token-secret",
            "NOTIFIER_X_API_URL": self.posts.url,
            **more,
        }


@asynccontextmanager
async def providers(*, calls_back: bool = False) -> AsyncIterator[Providers]:
    """The three fakes on free ports."""
    async with AsyncExitStack() as stack:
        yield Providers(
            mail=await stack.enter_async_context(FakeSmtp()),
            texts=await stack.enter_async_context(FakeTwilio(calls_back=calls_back)),
            posts=await stack.enter_async_context(FakeX()),
        )


@asynccontextmanager
async def database(url: str, redis_url: str = "") -> AsyncIterator[Database]:
    """The database as those processes see it: the same keys, the same channels."""
    jobs = RedisJobs(redis_url) if redis_url else InProcessJobs()
    opened = await Database.opened(url, keys=Keys([SECRET]), jobs=jobs, carriers=carriers(CHANNELS))
    try:
        yield opened
    finally:
        await jobs.close()
        await opened.close()


class Notifier:
    """One `notifier` process of ours, ended by its id."""

    def __init__(
        self, settings: Mapping[str, str], *command: str, log: Path, folder: Path | None = None
    ) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NOTIFIER_")}
        self._environment = {**inherited, **settings}
        self._command = [sys.executable, "-c", "from notifier.cli import main; main()", *command]
        self._log, self._folder = log, folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        return self._end(signal.SIGTERM)

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def _end(self, with_signal: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(with_signal)
        code = self._process.wait(40)
        self._process = None
        return code


async def until(condition, *, seconds: float, what: str) -> None:  # type: ignore[no-untyped-def]
    """Wait for a condition, asynchronous or not; fail with `what` when it does not come true in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"in {seconds} s it did not happen: {what}")
        await asyncio.sleep(0.03)


__all__ = ["DOMAIN", "NUMBER", "Notifier", "Providers", "database", "free_port", "providers", "until"]
