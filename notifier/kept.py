"""Connections kept for the ledger's own transactions on PostgreSQL, begun and ended by the driver itself.

A worker commits a batch hundreds of times a second. What SQLAlchemy does to lend a connection, begin, commit and
take it back would cost more than the rows. Statements still go through it where they are not the ledger's own (`fast`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

# Each statement is planned once, and only through indexes: it names its rows, however many others there are.
# A plan made once would else be one for tables as small as they were then.
_BY_INDEX = (
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; "
    "SET enable_hashjoin = off; SET enable_mergejoin = off"
)
# InternalClientError: the server died in the midst of an answer.
LOST = (asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresConnectionError, OSError)


class Begun:
    """An open transaction on a kept connection. now: the database's clock. raw: the driver's own connection."""

    def __init__(self, kept: "Kept", connection: AsyncConnection, raw: Any) -> None:
        self._kept, self.connection, self.raw = kept, connection, raw
        self.now: datetime
        self._is_over = False

    async def begin(self) -> None:
        """Raises what the driver raises."""
        self._is_over = False
        await self.raw.execute("BEGIN")
        self.now = await self.raw.fetchval("SELECT now()")

    async def commit(self) -> None:
        """Raises what the driver raises; with one of `LOST` nobody knows whether it took place."""
        if await self.raw.execute("COMMIT") != "COMMIT":
            raise asyncpg.InFailedSQLTransactionError("a statement of this transaction had failed")
        self._is_over = True

    def rests(self) -> bool:
        """Whether it was committed, and is kept for the next without another word: as nearly always."""
        is_well = self._is_over and not (self.connection.invalidated or self.connection.in_transaction())
        if is_well:
            self._kept.keep(self)
        return is_well

    async def end(self) -> None:
        """Keep the connection for the next, if all went well; else part with it, which rolls back."""
        if not self._is_over or self.connection.invalidated:
            await self.drop()
            return
        if self.connection.in_transaction():  # in SQLAlchemy's own eyes: nothing is said to the database
            await self.connection.rollback()
        self._kept.keep(self)

    async def drop(self) -> None:
        """Part with the connection at once: one in an unknown state may never answer again."""
        self.raw.terminate()
        await self.connection.invalidate()
        await self.connection.close()


class Kept:
    """Of one engine: as many as were ever in use at the same time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._idle: list[Begun] = []

    async def begin(self) -> Begun:
        """A transaction whose clock is read. A kept connection that died meanwhile is replaced: nothing was done on it."""
        while self._idle:
            found = self._idle.pop()
            try:
                await found.begin()
            except LOST:
                await found.drop()
            except BaseException:
                await asyncio.shield(asyncio.create_task(found.drop()))
                raise
            else:
                return found
        return await self._new()

    def keep(self, begun: Begun) -> None:
        """For the next."""
        self._idle.append(begun)

    async def close(self) -> None:
        """Part with all that rest here."""
        idle, self._idle = self._idle, []
        for each in idle:
            await each.drop()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Begun]:
        """A connection for one statement, which is a transaction by itself. Nothing is begun, and no clock read."""
        while self._idle and self._idle[-1].raw.is_closed():
            await self._idle.pop().drop()
        lent = self._idle.pop() if self._idle else await self._connected()
        try:
            yield lent
        except BaseException:
            await asyncio.shield(asyncio.create_task(lent.drop()))
            raise
        self.keep(lent)

    async def _new(self) -> Begun:
        made = await self._connected()
        try:
            await made.begin()
        except BaseException:
            await made.drop()
            raise
        return made

    async def _connected(self) -> Begun:
        connection = await self._engine.connect()
        try:
            await connection.execution_options(
                isolation_level="AUTOCOMMIT"
            )  # who begins and commits is the driver
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.execute(_BY_INDEX)
        except BaseException:
            await connection.invalidate()
            await connection.close()
            raise
        return Begun(self, connection, raw)
