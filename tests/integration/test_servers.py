"""The servers the other tests stand on: fresh databases, and faults that are real."""

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
import redis
from sqlalchemy import func, insert, select

from notifier.db import Database
from subscribers.models import Area
from tests.servers import NoServer, NotOurs, Postgres, RedisServer, private_redis, redis_program

ROOT = Path(__file__).parents[2]
OpenDatabase = Callable[[str], Awaitable[Database]]


async def _one(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_a_database_copied_from_a_template_has_its_rows_and_keeps_its_own(postgres: Postgres) -> None:
    template = postgres.create_database()
    await _one(template, "CREATE TABLE seeds AS SELECT 7 AS number")
    first, second = postgres.create_database(template), postgres.create_database(template)
    await _one(first, "UPDATE seeds SET number = 8")
    assert [await _one(url, "SELECT number FROM seeds") for url in (template, first, second)] == [7, 8, 7]
    for url in (template, first, second):
        postgres.drop_database(url)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await _one(first, "SELECT 1")


async def test_a_durable_postgres_keeps_what_was_committed_over_a_restart(durable_postgres: Postgres) -> None:
    url = durable_postgres.create_database()
    await _one(url, "CREATE TABLE seeds AS SELECT 7 AS number")
    settings = [
        await _one(url, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")
    ]
    assert settings == ["on", "on", "on"]
    durable_postgres.stop()
    with pytest.raises(ConnectionRefusedError):
        await _one(url, "SELECT 1")
    durable_postgres.start()
    assert await _one(url, "SELECT number FROM seeds") == 7


@pytest.mark.parametrize("name", ["first test", "next test"])
async def test_each_test_has_a_migrated_database_that_nobody_wrote_to(db: Database, name: str) -> None:
    async with db.transaction() as tx:
        assert await tx.scalar(select(func.count()).select_from(Area)) == 0
        await tx.execute(insert(Area).values(code="E05099901", kind="ward", name=name, served=True))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_test_may_ask_for_one_kind_of_database(db: Database) -> None:
    assert not db.is_sqlite


async def test_a_durable_database_is_migrated_and_kept_over_a_restart(
    durable_database_url: str, open_database: OpenDatabase, request: pytest.FixtureRequest
) -> None:
    database = await open_database(durable_database_url)
    async with database.transaction() as tx:
        await tx.execute(insert(Area).values(code="E05099901", kind="ward", name="kept", served=True))
    if not database.is_sqlite:
        request.getfixturevalue("durable_postgres").restart()
    async with database.transaction() as tx:
        assert await tx.scalar(select(Area.name)) == "kept"


def _reached(server: RedisServer) -> bool:
    try:
        with redis.Redis.from_url(server.url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def _killed_and_started(server: RedisServer) -> object:
    """What a key holds after the server was killed and came back."""
    with redis.Redis.from_url(server.url) as client:
        client.set("seed", "kept")
    server.kill()
    assert not _reached(server)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        return client.get("seed")


def test_a_killed_redis_comes_back_empty_at_the_same_address(redis_server: RedisServer) -> None:
    assert _killed_and_started(redis_server) is None


def test_a_durable_redis_comes_back_with_what_it_had(durable_redis: RedisServer) -> None:
    assert _killed_and_started(durable_redis) == b"kept"


def test_a_flushed_redis_is_empty(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.set("seed", "gone")
        redis_server.flush()
        assert client.dbsize() == 0


def test_a_server_given_by_url_is_never_stopped() -> None:
    with pytest.raises(NotOurs):
        RedisServer("redis://127.0.0.1:6379/0").kill()
    with pytest.raises(NotOurs):
        Postgres("postgresql://someone@127.0.0.1:5432/postgres").restart()


def test_the_process_of_a_server_is_gone_when_its_fixture_ends() -> None:
    with private_redis() as server:
        process = server.process
        assert process is not None
        assert process.poll() is None
    assert process.poll() is not None
    assert not _reached(server)


def test_a_server_does_not_outlive_tests_that_were_killed() -> None:
    starts_one = "from tests.servers import *\nwith private_redis() as it: print(it.url, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", starts_one], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as tests:
        assert tests.stdout is not None
        server = RedisServer(tests.stdout.readline().strip())
        assert _reached(server)
        tests.kill()
    deadline = time.monotonic() + 10
    while _reached(server):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_any_program_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoServer, match="NOTIFIER_TEST_REDIS_URL"):
        redis_program()
