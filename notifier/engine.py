"""Engines wired for our rules on either database: what a connection is told before anything else. Called by `notifier.db`."""

import sqlite3
import time
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

IDLE_SECONDS = 1.0
SQLITE_PATIENCE_SECONDS = 15  # for its one write lock
OUR_NAME = "notifier"  # of our sessions, to whoever looks at the server's
STANDING_SECONDS = 10  # less than the lease of a bulk row, and no more than that of an alert


def async_url(url: str) -> str:
    """The URL with the driver we use: bare `postgresql://` would mean another one."""
    parsed = make_url(url)
    drivers = {
        "postgresql": "postgresql+asyncpg",
        "postgres": "postgresql+asyncpg",
        "sqlite": "sqlite+aiosqlite",
    }
    return parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername)).render_as_string(
        hide_password=False
    )


def engine_for(url: str, *, pool_size: int) -> AsyncEngine:
    """An engine wired for our rules on either database."""
    target = async_url(url)
    if target.startswith("sqlite"):
        engine = create_async_engine(
            target, connect_args={"timeout": SQLITE_PATIENCE_SECONDS}, pool_size=pool_size
        )
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    engine = create_async_engine(
        target,
        pool_size=pool_size,
        max_overflow=10,
        connect_args={
            "timeout": 10,
            "command_timeout": 60,
            # With default costs the planner joins whole tables for each batch of a few rows. And a process
            # that stands still in the midst of a transaction must not keep its rows from the others.
            "server_settings": {
                "random_page_cost": "1.1",
                "plan_cache_mode": "force_custom_plan",
                "jit": "off",  # compiling a statement of a millisecond takes forty
                "application_name": OUR_NAME,
                "idle_in_transaction_session_timeout": f"{STANDING_SECONDS}s",
            },
        },
    )
    event.listen(engine.sync_engine, "checkin", _note_use)
    event.listen(engine.sync_engine, "checkout", _ping_the_idle)
    return engine


def _note_use(_connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _ping_the_idle(connection: Any, record: Any, _proxy: Any) -> None:
    """A connection that has rested may be dead; one that was in use just now need not be asked."""
    used = record.info.get("used")
    if used is None or time.monotonic() - used < IDLE_SECONDS:
        return
    try:
        connection.ping()
    except Exception as error:
        raise InvalidatePoolError from error  # the pool opens new ones


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    patience = f"busy_timeout={SQLITE_PATIENCE_SECONDS * 1000}"
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", patience):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    read_only = connection.get_execution_options().get("read_only")
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
