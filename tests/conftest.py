"""What every test may ask for: real servers, and a fresh migrated database on each of the two kinds.

Servers start once for each pytest process (each xdist worker has its own) and only when a test
asks. A missing server fails the test that needs it; nothing is ever skipped.
"""

import gc
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import hypothesis
import pytest
import structlog
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

from tests.faults.forker import Forker
from tests.processes import outside_the_loop, short_folder
from tests.servers import (
    DATABASE_VARIABLE,
    REDIS_VARIABLE,
    NoServer,
    Postgres,
    RedisServer,
    describe_postgres,
    describe_redis,
    private_postgres,
    private_redis,
)

if TYPE_CHECKING:  # the service's own modules are imported by those tests alone that ask for rows
    from notifier.db import Database
    from subscribers.signing import Keys

pytest_plugins = ("tests.faults.plugin",)

Server = TypeVar("Server")

WAITS = ("faults", "e2e")
DEAREST = (
    "test_kill_loop", "test_commit_points", "test_providers_say_no", "test_commands", "test_redis_faults",
    "test_demo_in_a_browser", "test_other_clocks", "test_stops", "test_lanes", "test_stopped_workers",
    "test_postgres_faults", "test_main_job", "test_public_pages_in_browser", "test_desk_in_browser",
)  # fmt: skip


def pytest_report_header() -> str:
    """Which servers the tests run against: they are the real thing, so say which thing."""
    return f"servers: {describe_postgres()}; {describe_redis()}"


# --- Speed -----------------------------------------------------------------------------


def pytest_sessionstart() -> None:
    """A statement is compiled once for the engines of all tests, and the log is plain.

    The default log draws a fault as a page of frames and their variables: seconds of a busy machine, in which
    everything else stands still. What takes long is for the tests that measure it to say: an example that waits
    for its turn on such a machine is no fault.
    """
    hypothesis.settings.register_profile("unhurried", deadline=None)
    hypothesis.settings.load_profile("unhurried")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ]
    )
    shared: dict[str, Any] = {}

    def share(connection: Connection) -> None:
        first = connection.dialect, connection.engine._compiled_cache
        connection.dialect, connection.engine._compiled_cache = shared.setdefault(
            connection.dialect.name, first
        )

    event.listen(Engine, "engine_connect", share)


MANY_CASES = 2  # of one test: then each is tried on one of the two databases, in turn
# Files about pages and forms: so are their tests, for what their rows do is tried on both elsewhere.
PAGES = ("test_desk_", "test_public_", "test_api", "test_staff", "test_feeds", "test_push", "test_web_")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What waits (leases, browsers) runs beside what computes; whole files, and what takes longest comes first.

    `make test` hands files out in this order. `make faults` tries every case on both databases.
    """
    if config.getoption("--faults") != "all":
        left_out = set(_tried_on_the_other(items))
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]
    by_file: dict[Path, list[pytest.Item]] = {}
    for item in items:
        by_file.setdefault(item.path, []).append(item)
    waits = [file for file in by_file if file.parent.name in WAITS]
    computes = [file for file in by_file if file not in waits]
    waits.sort(key=lambda file: DEAREST.index(file.stem) if file.stem in DEAREST else len(DEAREST))
    computes.sort(key=lambda file: -len(by_file[file]))
    place = {
        file: (number + 0.5) / len(kind) for kind in (waits, computes) for number, file in enumerate(kind)
    }
    items[:] = [item for file in sorted(place, key=lambda file: place[file]) for item in by_file[file]]


def _tried_on_the_other(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Of a test with many cases, the first on one database, the second on the other, and so on: those left out."""
    tests: dict[tuple[Path, str], dict[str, list[pytest.Item]]] = {}
    for item in items:
        callspec = getattr(item, "callspec", None)
        if not isinstance(item, pytest.Function) or callspec is None or "database_url" not in callspec.params:
            continue
        case = callspec.id.replace(callspec.params["database_url"], "", 1)
        is_page = item.path.name.startswith(PAGES)
        cases = tests.setdefault((item.path, "" if is_page else item.originalname), {})
        cases.setdefault(f"{item.originalname} {case}", []).append(item)
    for cases in tests.values():
        both = [found for found in cases.values() if len(found) == 2]
        for number, found in enumerate(both if len(both) >= MANY_CASES else ()):
            yield found[number % 2]


def pytest_collection_finish() -> None:
    """What was imported and collected stays until the end: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


# --- Servers ----------------------------------------------------------------------------


def _running(server: Callable[[], AbstractContextManager[Server]]) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            started = stack.enter_context(server())
        except NoServer as missing:
            pytest.fail(str(missing), pytrace=False)
        yield started


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL of this run: given by URL, or private and fast."""
    if given := os.environ.get(DATABASE_VARIABLE):
        yield Postgres(given)
    else:
        yield from _running(private_postgres)


@pytest.fixture(scope="session")
def durable_postgres() -> Iterator[Postgres]:
    """A private PostgreSQL with production's durability, for fault tests: always ours to stop."""
    yield from _running(lambda: private_postgres(durable=True))


@pytest.fixture(scope="session")
def redis_server(worker_id: str) -> Iterator[RedisServer]:
    """The Redis of this run: given by URL (each xdist worker takes a database of its own), or private."""
    if given := os.environ.get(REDIS_VARIABLE):
        yield RedisServer(_own_database(given, worker_id))
    else:
        yield from _running(private_redis)


@pytest.fixture(scope="session")
def durable_redis() -> Iterator[RedisServer]:
    """A private Redis that keeps each write on disk, for fault tests: always ours to kill."""
    yield from _running(lambda: private_redis(durable=True))


def _own_database(url: str, worker_id: str) -> str:
    parts = urlsplit(url)
    first = int(parts.path.removeprefix("/") or 0)
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    return parts._replace(path=f"/{first + number}").geturl()


# --- Databases --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    file = tmp_path_factory.mktemp("template") / "template.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> Iterator[str]:
    """The URL of a migrated database, to be copied by `CREATE DATABASE … TEMPLATE`."""
    url = postgres.create_database()
    _migrate(url)
    yield url
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh, migrated, empty database, in memory where there is room: each test that asks runs on both kinds.

    A test about one kind says `@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)`.
    """
    if request.param == "sqlite":
        with short_folder("rows", in_memory=True) as folder:
            file = folder / "notifier.db"
            shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
            yield f"sqlite:///{file}"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    url = postgres.create_database(template=request.getfixturevalue("postgres_template"))
    yield url
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def durable_database_url(request: pytest.FixtureRequest, new_durable_database: Callable[[str], str]) -> str:
    """As `database_url`, but what is committed there is on disk, as in production: for fault tests."""
    return new_durable_database(request.param)


@pytest.fixture(scope="session")
def durable_template(durable_postgres: Postgres) -> Iterator[str]:
    """As `postgres_template`, on the durable server."""
    url = durable_postgres.create_database()
    _migrate(url)
    yield url
    durable_postgres.drop_database(url)


@pytest.fixture
def new_durable_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Makes one more fresh, migrated, durable database of a kind (`sqlite` or `postgresql`); gives its URL."""
    made: list[str] = []

    def make(kind: str) -> str:
        if kind == "sqlite":
            file = tmp_path / f"durable{len(made)}.db"
            shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
            made.append(f"sqlite:///{file}")
            return made[-1]
        postgres: Postgres = request.getfixturevalue("durable_postgres")
        made.append(postgres.create_database(template=request.getfixturevalue("durable_template")))
        return made[-1]

    yield make
    for url in made:
        if not url.startswith("sqlite"):
            request.getfixturevalue("durable_postgres").drop_database(url)


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    """Starts `notifier` processes without the price of their imports."""
    with Forker() as warm:
        yield warm


@pytest.fixture
def keys() -> "Keys":
    """A key ring of the tests' own."""
    from subscribers.signing import Keys

    return Keys(["a secret that only the tests know"])


@pytest.fixture
async def open_database(keys: "Keys") -> AsyncIterator[Callable[[str], Awaitable["Database"]]]:
    """Opens a migrated database by its URL, as one more process would; closed when the test ends.

    Every medium is carried by `memory`; jobs are kept in this process until a test runs them.
    """
    from channels.base import Medium
    from notifier.db import Database
    from notifier.jobs import InProcessJobs

    async with AsyncExitStack() as stack:

        async def opened(url: str) -> Database:
            carriers = {medium.value: "memory" for medium in Medium}
            database = await Database.opened(url, keys=keys, jobs=InProcessJobs(), carriers=carriers)
            stack.push_async_callback(database.close)
            return database

        yield opened


@pytest.fixture
async def db(database_url: str, open_database: "Callable[[str], Awaitable[Database]]") -> "Database":
    """The fresh database of `database_url`, opened."""
    return await open_database(database_url)


def _migrate(url: str) -> None:
    from notifier import migrations

    outside_the_loop(lambda: migrations.upgrade(url))
