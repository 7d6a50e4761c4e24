"""Kept connections to one SMTP server, for `email_smtp`.

aiosmtplib connects, negotiates TLS and authenticates; a connection carries one transaction at a time, is kept
while that ends cleanly, and dropped after anything odd, so that no reply is ever read for another's.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from channels.smtp_pipeline import Pipeline
from channels.smtp_replies import NoSignIn, NoTls


class StartTls(StrEnum):
    """Whether to ask for TLS after connecting in the clear.

    Whenever TLS is used, by `smtps://` too, the server's certificate must be good for its name, and a failure is
    never answered by going on in the clear. A certificate of the house's own: name its authority in SSL_CERT_FILE.
    """

    NEVER = "never"  # for a server on this machine, where it is the default
    ALWAYS = "always"  # nothing is sent to a server that does not offer it
    AUTO = "auto"  # where the server offers it, and never a password without it


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where to send mail, from `smtp://user:pass@host:port?starttls=…` or `smtps://…`.

    trust: whose certificates are believed; by default those the machine believes.
    """

    host: str
    port: int
    tls: bool = False
    starttls: StartTls = StartTls.AUTO
    username: str = ""
    password: str = field(default="", repr=False)
    trust: ssl.SSLContext | None = field(default=None, repr=False, compare=False)

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

    @property
    def needs_tls(self) -> bool:
        """Whether STARTTLS must succeed: it is asked for, or a password would go in the clear."""
        return self.starttls is StartTls.ALWAYS or (self.starttls is StartTls.AUTO and bool(self.username))


RESERVED = 2


@dataclass(kw_only=True, eq=False)
class Connection:
    """One connection: aiosmtplib's client, and what speaks over it. takes_utf8: addresses in any letters (RFC 6531)."""

    client: aiosmtplib.SMTP
    pipeline: Pipeline[Any]
    takes_utf8: bool = False


class Places:
    """Room for so many connections. waiting: who has asked and has no room yet."""

    def __init__(self, number: int) -> None:
        self._room, self.waiting = asyncio.Semaphore(number), 0

    @property
    def are_taken(self) -> bool:
        return self._room.locked()

    async def __aenter__(self) -> None:
        self.waiting += 1
        try:
            await self._room.acquire()
        finally:
            self.waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self._room.release()


class Pool:
    """At most `size` connections, and two more for what is urgent; each carries at most `recycle_after` messages.

    Hold a place (`async with pool.place(...)`) while you have a connection from `take`, and `give_back` each one.
    """

    def __init__(
        self,
        server: Server,
        local_name: str,
        *,
        size: int,
        recycle_after: int,
        connect_seconds: float,
        command_seconds: float,
        final_seconds: float,
    ) -> None:
        self._server, self._local_name, self._trust = server, local_name, server.trust
        self._recycle_after = recycle_after
        self._connect_seconds, self._command_seconds = connect_seconds, command_seconds
        self._final_seconds = final_seconds
        self._free = Places(size)
        self._reserved = Places(RESERVED)  # an alert never waits behind a bulletin
        self._idle: list[Connection] = []
        self._is_closed = False

    def place(self, *, urgent: bool) -> Places:
        """Room for one connection."""
        return self._reserved if urgent and self._free.are_taken else self._free

    def kept(self) -> Connection | None:
        """A connection that is open already."""
        while self._idle:
            connection = self._idle.pop()
            if connection.pipeline.is_ready:
                return connection
            connection.client.close()
        return None

    async def open(self, *, until: float) -> Connection:
        """A new one, not later than the loop's time `until`. Raises what `smtp_replies.connection_failed` reads."""
        client = self._client()
        latest = asyncio.get_running_loop().time() + self._connect_seconds
        try:
            async with asyncio.timeout_at(min(latest, until)):
                await self._agree(client)
            pipeline: Pipeline[Any] = Pipeline(
                client,
                at_once=client.supports_extension("pipelining"),
                command_seconds=self._command_seconds,
                final_seconds=self._final_seconds,
            )
        except BaseException:
            client.close()
            raise
        takes_utf8 = client.supports_extension("smtputf8")
        return Connection(client=client, pipeline=pipeline, takes_utf8=takes_utf8)

    def left(self, connection: Connection) -> int:
        """Mails it may still carry."""
        return self._recycle_after - connection.pipeline.carried

    async def give_back(self, connection: Connection) -> None:
        """Keep it for the next, or part with it: politely where a goodbye is sure to be heard."""
        if not connection.pipeline.is_ready:
            connection.client.close()
        elif self._is_closed or self.left(connection) < 1:
            await self._part(connection)
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        """Drop what is idle; what is in use is dropped when it comes back."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(self._part(connection) for connection in idle))

    def _client(self) -> aiosmtplib.SMTP:
        """A client that is not connected yet."""
        return aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            local_hostname=self._local_name,
            timeout=self._command_seconds,
            use_tls=self._server.tls,
            start_tls=False,  # we ask ourselves, to tell a server without TLS from one that fails at it
            tls_context=self._trust,
        )

    async def _agree(self, client: aiosmtplib.SMTP) -> None:
        """Connect, negotiate TLS, sign in."""
        server = self._server
        wants_tls = not server.tls and server.starttls is not StartTls.NEVER
        if (server.tls or wants_tls) and self._trust is None:
            # Once for all connections: reading the machine's certificates takes longer than 100 mails.
            self._trust = client.tls_context = await asyncio.to_thread(ssl.create_default_context)
        await client.connect()
        await _greet(client)
        if wants_tls and client.supports_extension("starttls"):
            await client.starttls()
            await _greet(client)
        elif wants_tls and server.needs_tls:
            raise NoTls
        if server.username:
            if not client.supported_auth_methods:
                raise NoSignIn
            await client.login(server.username, server.password)

    async def _part(self, connection: Connection) -> None:
        connection.pipeline.give_back()
        if connection.client.is_connected:
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await connection.client.quit(timeout=2)
        connection.client.close()


async def _greet(client: aiosmtplib.SMTP) -> None:
    """EHLO, or HELO to a server that knows no better."""
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError as error:
        if error.code < 500 or not client.is_connected:
            raise
        await client.helo()
