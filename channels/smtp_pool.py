"""Kept connections to one SMTP server, for `email_smtp`.

aiosmtplib connects, negotiates TLS and authenticates; a connection is lent to one transaction at a time,
kept while that ends cleanly, and dropped after anything odd, so that no reply is ever read for another's.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib


class StartTls(StrEnum):
    """Whether to ask for TLS after connecting in the clear."""

    NEVER = "never"
    ALWAYS = "always"
    AUTO = "auto"  # where the server offers it, and never a password without it


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where to send mail, from `smtp://user:pass@host:port?starttls=…` or `smtps://…`."""

    host: str
    port: int
    tls: bool = False
    starttls: StartTls = StartTls.AUTO
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> "Server":
        """ValueError says what is wrong, without the password."""
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("must look like smtp://host:25 or smtps://user:password@host:465")
        options = parse_qs(parts.query)
        if set(options) - {"starttls"}:
            raise ValueError("knows one option, starttls")
        is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        default = StartTls.NEVER if is_local else StartTls.AUTO
        asked = options.get("starttls", [default])[-1]
        if asked not in list(StartTls):
            raise ValueError("starttls is never, always or auto")
        return cls(
            host=parts.hostname,
            port=parts.port or (465 if parts.scheme == "smtps" else 587 if parts.username else 25),
            tls=parts.scheme == "smtps",
            starttls=StartTls(asked),
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    def client(self, local_name: str, timeout: float) -> aiosmtplib.SMTP:
        """A client that is not connected yet."""
        wants = {StartTls.NEVER: False, StartTls.ALWAYS: True, StartTls.AUTO: True if self.username else None}
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username or None,
            password=self.password or None,
            local_hostname=local_name,
            timeout=timeout,
            use_tls=self.tls,
            start_tls=False if self.tls else wants[self.starttls],
        )


RESERVED = 2


@dataclass(kw_only=True, eq=False)
class Connection:
    """One connection. is_clean: the last transaction ended so that another may follow."""

    client: aiosmtplib.SMTP
    carried: int = 0
    is_clean: bool = False

    @property
    def is_used(self) -> bool:
        return self.carried > 0


class Pool:
    """At most `size` connections, and two more for what is urgent; each carries at most `recycle_after` messages."""

    def __init__(
        self,
        server: Server,
        local_name: str,
        *,
        size: int,
        recycle_after: int,
        connect_seconds: float,
        command_seconds: float,
    ) -> None:
        self._server, self._local_name = server, local_name
        self._recycle_after = recycle_after
        self._connect_seconds, self._command_seconds = connect_seconds, command_seconds
        self._free = asyncio.Semaphore(size)
        self._reserved = asyncio.Semaphore(RESERVED)  # an alert never waits behind a bulletin
        self._idle: list[Connection] = []
        self._closed = False

    @asynccontextmanager
    async def lent(self, *, fresh: bool = False, urgent: bool = False) -> AsyncIterator[Connection]:
        """A connection for one transaction. Raises what aiosmtplib raises while connecting."""
        async with self._reserved if urgent and self._free.locked() else self._free:
            connection = await self._take(fresh=fresh)
            connection.is_clean = False
            try:
                yield connection
            finally:
                connection.carried += 1
                if connection.is_clean and not self._closed and connection.carried < self._recycle_after:
                    self._idle.append(connection)
                else:
                    await self._part(connection)

    async def close(self) -> None:
        """Drop what is idle; what is lent is dropped when it comes back."""
        self._closed = True
        while self._idle:
            await self._part(self._idle.pop())

    async def _take(self, *, fresh: bool) -> Connection:
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.client.is_connected:
                return connection
            connection.client.close()
        client = self._server.client(self._local_name, self._command_seconds)
        try:
            async with asyncio.timeout(self._connect_seconds):
                await client.connect()
        except BaseException:
            client.close()
            raise
        return Connection(client=client)

    async def _part(self, connection: Connection) -> None:
        """Say goodbye where that is sure to be heard, else only hang up."""
        if connection.is_clean and connection.client.is_connected:
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await connection.client.quit(timeout=2)
        connection.client.close()
