"""Opens the database and its transactions, the only place that commits.

Edges (web handlers, worker jobs, commands) write `async with db.transaction() as tx`; everything
below takes `tx`. The same statements run on PostgreSQL and on SQLite, which is put into
immediate transactions so that two writers cannot lose each other's update.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from typing import Any, Self, TypeVar

import asyncpg
from sqlalchemy import CursorResult, Executable, func, select, text, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from notifier import failpoints
from notifier.carriers import Carriers
from notifier.engine import OUR_NAME, SQLITE_PATIENCE_SECONDS, STANDING_SECONDS, engine_for
from notifier.errors import Unavailable
from notifier.jobs import Jobs
from notifier.kept import LOST, Begun, Kept
from notifier.turns import Turns
from notifier.waits import Waits
from subscribers.dialects import insert_for
from subscribers.models import DataKey, UTCDateTime, new_id
from subscribers.signing import Keys, unwrap_key, wrap_key

ADDRESS_HASH = "address_hash"
GAVE_UP = ("40P01", "40001")  # deadlock, serialization failure: the whole transaction may be run again
CONNECTION_LOST = ("08", "57P")  # SQLSTATE classes (PostgreSQL, appendix A)
AWAY = ("08", "53", "57")  # and out of resources, or an operator's doing
LOST_AT_LAST = (
    "The connection to the database was lost at the last moment: this may have been kept or not. "
    "Look before you do it again."
)
POSTGRESQL_NOW = select(func.now().cast(UTCDateTime))
SQLITE_NOW = text("SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')")
# Greater at the end of a transaction than at its start where that wrote a row; one that is only locked is none.
POSTGRESQL_WRITTEN = text(
    "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_xact_user_tables"
)
SQLITE_WRITTEN = text("SELECT total_changes()")
# Of ours only, and none that works: it has announced a statement, or has its rows to read, and does neither.
END_STANDING = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usename = current_user AND application_name = :name"
    " AND state = 'active' AND wait_event IN ('ClientRead', 'ClientWrite')"
    " AND state_change < clock_timestamp() - make_interval(secs => :seconds)"
)

T = TypeVar("T")


class Tx:
    """An open transaction. `now` is the database's clock, read once at its start.

    carriers: medium → name of the channel that carries it in this deployment, and of all that do.
    The first statement is that reading of the clock, which on PostgreSQL also opens the transaction.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        *,
        now: datetime,
        keys: Keys,
        carriers: Carriers,
        raw: Any = None,
    ) -> None:
        self.connection = connection
        self.now = now
        self.keys = keys
        self.carriers = carriers
        self.dialect: str = connection.dialect.name
        self._jobs: dict[tuple[str, ...], None] = {}
        self._raw = raw

    async def execute(
        self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run one statement; with a list of values, once for each. An empty list does nothing in SQL."""
        return await self.connection.execute(statement, values)

    async def scalar(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, or None."""
        return (await self.connection.execute(statement, values)).scalar()

    async def raw(self) -> Any:
        """On PostgreSQL, the driver's own connection, inside this transaction: the clock was read first."""
        if self._raw is None:
            self._raw = (await self.connection.get_raw_connection()).driver_connection
        return self._raw

    def on_commit(self, job: str, *ids: str, lane: str = "") -> None:
        """Poke a job once the transaction has committed: a name and ids, never content.

        lane: in lower case, whose doorbell it rings; none: the job's own.
        """
        self._jobs[(lane, job, *ids)] = None

    @property
    def queued(self) -> list[tuple[str, ...]]:
        """The jobs that will be poked at commit: lane, name, ids."""
        return list(self._jobs)


class Lone:
    """Where one statement runs that is a transaction by itself, on PostgreSQL. It asks the clock in its own words."""

    def __init__(self, connection: AsyncConnection, raw: Any) -> None:
        self.connection = connection
        self.dialect: str = connection.dialect.name
        self._raw = raw

    async def raw(self) -> Any:
        """The driver's own connection. RuntimeError for a second statement, which would be another transaction."""
        raw, self._raw = self._raw, None
        if raw is None:
            raise RuntimeError("only one statement can be a transaction by itself")
        return raw


class Database:
    """An engine with its keys, its doorbell, and the channels a new delivery may go by.

    writing: the turns of another in this process, to be gone ahead of.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        keys: Keys,
        jobs: Jobs,
        carriers: Mapping[str, str],
        writing: Turns | None = None,
    ) -> None:
        self.engine, self.keys, self.jobs = engine, keys, jobs
        self.carriers = carriers
        self.is_sqlite = engine.dialect.name == "sqlite"
        self.waits = Waits()  # for a connection
        self._kept = Kept(engine)
        self._writing, self._goes_ahead = writing or Turns(), writing is not None

    @property
    def carriers(self) -> Carriers:
        return self._carriers

    @carriers.setter
    def carriers(self, named: Mapping[str, str]) -> None:
        self._carriers = Carriers.of(named)

    @classmethod
    async def opened(
        cls, url: str, *, keys: Keys, jobs: Jobs, carriers: Mapping[str, str], pool_size: int = 20
    ) -> Self:
        """Connect to a migrated database and load (or make) the key of address hashes."""
        database = cls(engine_for(url, pool_size=pool_size), keys=keys, jobs=jobs, carriers=carriers)
        async with database.transaction() as tx:
            await _load_address_key(tx)
        return database

    @asynccontextmanager
    async def transaction(
        self, *, read_only: bool = False, point: str = "", by_index: bool = False
    ) -> AsyncIterator[Tx]:
        """One transaction: committed when the block ends, rolled back when it raises.

        read_only spares SQLite's write lock; use it for pages that only show. point: the commit point
        (C0 to C7) this commit is, where it wrote a row. by_index: PostgreSQL plans each of its
        statements once, and only through indexes: for what names its rows, however many others there are.
        Raises Unavailable where the connection was lost during the commit: then nobody knows whether it
        took place, and who tries again must look its key up.
        """
        begun: Plain | Begun
        async with self._turn() if self.is_sqlite and not read_only else nullcontext():
            begun = await (
                self._begin(read_only=read_only) if self.is_sqlite or not by_index else self._kept.begin()
            )
            try:
                tx = Tx(
                    begun.connection, now=begun.now, keys=self.keys, carriers=self.carriers, raw=begun.raw
                )
                written = await self._written(tx) if failpoints.is_armed(point) else None
                yield tx
                is_reached = written is not None and await self._written(tx) > written
                if is_reached:
                    failpoints.reach(f"{point}.before")
                await _commit(begun)
                if is_reached:
                    failpoints.reach(f"{point}.after")
            finally:  # what was not committed is rolled back, also where this task is being cancelled
                if not begun.rests():
                    await asyncio.shield(asyncio.create_task(begun.end()))
        for lane, job, *ids in tx.queued:
            failpoints.reach("C1.before")
            await self.jobs.poke(job, *ids, lane=lane)
            failpoints.reach("C1.after")

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The writers of this process one at a time, as they came, those `apart` ahead; others are SQLite's to keep waiting.

        SQLite has no queue: who waits there asks again now and then, and in a crowd some ask in vain for ever.
        Raises SQLAlchemy's TimeoutError after as long as SQLite itself would wait.
        """
        with self.waits.one():
            try:
                async with asyncio.timeout(SQLITE_PATIENCE_SECONDS):
                    await self._writing.take(ahead=self._goes_ahead)
            except TimeoutError as error:
                raise PoolTimeout("too many wait to write to this database") from error
        try:
            yield
        finally:
            self._writing.pass_on()

    async def _begin(self, *, read_only: bool) -> "Plain":
        """A transaction whose clock is read. A kept connection that died meanwhile is replaced: nothing was done on it."""
        for is_last in (False, True):
            with self.waits.one():
                connection = await self.engine.connect()
            try:
                if read_only:
                    await connection.execution_options(read_only=True)
                begun = await connection.begin()
                return Plain(connection, begun, await _database_clock(connection))
            except BaseException as error:
                await connection.invalidate()
                await connection.close()
                if is_last or self.is_sqlite or not is_away(error):
                    raise
                await self.engine.dispose()  # the others that rest there died with it
        raise AssertionError

    async def _written(self, tx: Tx) -> int:
        return int(await tx.scalar(SQLITE_WRITTEN if self.is_sqlite else POSTGRESQL_WRITTEN))

    async def attempt(
        self, act: Callable[[Tx], Awaitable[T]], *, point: str = "", by_index: bool = False, tries: int = 5
    ) -> T:
        """What `act` returns in a transaction of its own, run again where the database gave up on it.

        That is a deadlock (SQLSTATE 40P01) or a serialization failure (40001): nothing was committed
        then. Any other fault is raised at once, and so is that one at the last try.
        """

        async def once() -> T:
            async with self.transaction(point=point, by_index=by_index) as tx:
                return await act(tx)

        return await _tried(once, tries)

    async def attempt_alone(
        self, act: Callable[[Lone], Awaitable[T]], *, point: str = "", tries: int = 5
    ) -> T:
        """The same for one statement that is a transaction by itself, planned `by_index`: on PostgreSQL.

        point: the commit point it is; it writes a row whenever it does not fail.
        """

        async def once() -> T:
            async with self._kept.alone() as lent:
                failpoints.reach(f"{point}.before")
                try:
                    found = await act(Lone(lent.connection, lent.raw))
                except LOST as error:
                    raise Unavailable(LOST_AT_LAST) from error
                failpoints.reach(f"{point}.after")
                return found

        return await _tried(once, tries)

    async def end_standing(self, *, seconds: float = STANDING_SECONDS) -> int:
        """End the sessions of processes that stand still inside a statement: how many.

        Between two statements the server ends them itself (idle_in_transaction_session_timeout). Between the
        parts of one, which the driver sends the first time it is used, no time-out of PostgreSQL 15 to 16
        looks, and their rows would stay locked until the process wakes up or dies.
        """
        if self.is_sqlite:
            return 0
        async with self.transaction(read_only=True) as tx:
            return int(await tx.scalar(END_STANDING, {"name": OUR_NAME, "seconds": seconds}))

    @asynccontextmanager
    async def apart(self, *, pool_size: int = 1) -> AsyncIterator[Self]:
        """The same database over connections of its own, which no crowd in the pool can hold up."""
        engine = engine_for(self.engine.url.render_as_string(hide_password=False), pool_size=pool_size)
        apart = type(self)(
            engine, keys=self.keys, jobs=self.jobs, carriers=self.carriers, writing=self._writing
        )
        try:
            yield apart
        finally:
            await apart.close()

    async def close(self) -> None:
        """Give back every connection."""
        await self._kept.close()
        await self.engine.dispose()


class Plain:
    """An open transaction of SQLAlchemy's. now: the database's clock."""

    raw = None  # asked for where it is wanted

    def __init__(self, connection: AsyncConnection, begun: AsyncTransaction, now: datetime) -> None:
        self.connection, self._begun, self.now = connection, begun, now

    async def commit(self) -> None:
        await self._begun.commit()

    def rests(self) -> bool:
        """It is never over without a word to the pool."""
        return False

    async def end(self) -> None:
        """Roll back what was not committed, and give the connection back."""
        await self.connection.close()


async def _tried(once: Callable[[], Awaitable[T]], tries: int) -> T:
    for left in reversed(range(tries)):
        try:
            return await once()
        except (DBAPIError, asyncpg.PostgresError) as error:
            if not left or _sqlstate(error) not in GAVE_UP:
                raise
            await asyncio.sleep(0.01 * (1 + secrets.randbelow(5)) * (tries - left))
    raise AssertionError


async def _commit(begun: Plain | Begun) -> None:
    try:
        await begun.commit()
    except (DBAPIError, asyncpg.PostgresError, *LOST) as error:
        is_lost = isinstance(error, LOST) or getattr(error, "connection_invalidated", False)
        if not is_lost and not _sqlstate(error).startswith(CONNECTION_LOST):
            raise
        raise Unavailable(LOST_AT_LAST) from error


def is_away(error: BaseException) -> bool:
    """Is it the database or the way to it that is gone, and not the statement that is wrong?"""
    lost = (OperationalError, InterfaceError, PoolTimeout, Unavailable, *LOST)
    return isinstance(error, lost) or _sqlstate(error).startswith(AWAY)


def _sqlstate(error: BaseException) -> str:
    """PostgreSQL's code of the fault, whether SQLAlchemy or the driver raised it."""
    return str(getattr(getattr(error, "orig", None) or error, "sqlstate", None) or "")


async def _database_clock(connection: AsyncConnection) -> datetime:
    if connection.dialect.name == "sqlite":
        return datetime.fromisoformat((await connection.execute(SQLITE_NOW)).scalar_one())
    now: datetime = (await connection.execute(POSTGRESQL_NOW)).scalar_one()
    return now


async def _load_address_key(tx: Tx) -> None:
    made = new_id()
    wrapped = wrap_key(tx.keys, ADDRESS_HASH, made, secrets.token_bytes(32))
    values = {"id": made, "purpose": ADDRESS_HASH, "wrapped": wrapped, "created_at": tx.now}
    await tx.execute(insert_for(tx, DataKey).on_conflict_do_nothing(), values)
    row = (await tx.execute(select(DataKey.id, DataKey.wrapped).where(DataKey.purpose == ADDRESS_HASH))).one()
    key = unwrap_key(tx.keys, ADDRESS_HASH, row.id, row.wrapped)
    if not tx.keys.is_newest(row.wrapped):
        again = wrap_key(tx.keys, ADDRESS_HASH, row.id, key)
        await tx.execute(update(DataKey).where(DataKey.id == row.id).values(wrapped=again))
    tx.keys.use_address_key(key)
