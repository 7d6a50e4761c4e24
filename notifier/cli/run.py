"""`notifier serve` and `notifier work`: the long-running processes.

Without Redis, `serve` is everything: pages, mail listener and the in-process runner. With Redis it
serves pages and mail, and `work` (as many as wanted) serves the ledger.
"""

import asyncio
import contextlib
import fcntl
import gc
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import click

from notifier.cli import logs
from notifier.cli.edge import environment_or_exit, fail
from notifier.config import Environment
from notifier.errors import ServiceError
from notifier.models import Lane
from notifier.runtime import Service, open_service

COLLECTED_AFTER = (
    50_000,
    20,
    50,
)  # objects made beyond those dropped, and how many such rounds, and rounds of those


@click.command("serve")
def serve_command() -> None:
    """Serve the pages and the mail listener; without Redis, send as well."""
    environment = environment_or_exit()
    logs.configure()
    run_until_stopped(serve(environment))


@click.command("work")
@click.option(
    "--lanes", default="", help="Lanes to serve, separated by commas: urgent,transactional,ward,bulletin."
)
def work_command(lanes: str) -> None:
    """Serve the ledger: claim, send and settle deliveries."""
    environment = environment_or_exit()
    if environment.settings.is_sqlite and not environment.settings.redis_url:
        fail(
            "On SQLite without Redis, `notifier serve` does the sending; a second sender is not needed.",
            code=2,
        )
    try:
        chosen = [Lane[name.strip().upper()] for name in lanes.split(",") if name.strip()]
    except KeyError as error:
        fail(f"there is no lane {error}; there are urgent, transactional, ward and bulletin", code=2)
    logs.configure()
    run_until_stopped(work(environment, chosen or list(Lane)))


async def serve(environment: Environment, *, ready: asyncio.Event | None = None) -> None:
    """Pages, mail listener, and the in-process runner where there is no Redis, until told to stop."""
    from notifier.web.app import running
    from notifier.web.mail import listen

    settings = environment.settings
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(open_service(environment))
        if not settings.redis_url:
            stack.enter_context(_only_sender(environment))
            await stack.enter_async_context(_working(service))
        if settings.inbound_listen:
            await stack.enter_async_context(listen(service, settings.inbound_listen))
        await stack.enter_async_context(running(service))
        click.echo(f"Serving {settings.public_url}", err=True)
        if ready is not None:
            ready.set()
        await _told_to_stop()


async def work(environment: Environment, lanes: Sequence[Lane]) -> None:
    """The ledger's lanes, until told to stop; what is started is finished first."""
    async with open_service(environment) as service:
        with _only_sender(environment):
            async with _working(service, lanes):
                click.echo(f"Working on {', '.join(lane.name.lower() for lane in lanes)}", err=True)
                await _told_to_stop()


@asynccontextmanager
async def _working(service: Service, lanes: Sequence[Lane] = tuple(Lane)) -> AsyncIterator[None]:
    from notifier.worker import Worker

    worker = Worker(service, service.db.jobs, lanes)
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running


@contextlib.contextmanager
def _only_sender(environment: Environment) -> Iterator[None]:
    """One sending process on an SQLite database; commands may write beside it. Elsewhere: nothing."""
    if not environment.settings.is_sqlite:
        yield
        return
    file = environment.settings.sqlite_file
    lock = Path(f"{file}.sender")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            fail(f"another process is sending from {file}; stop it first, or use PostgreSQL for several")
        yield


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    try:
        await stop.wait()
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(name)


def _relieve_the_collector() -> None:
    """What is loaded by now stays, and a batch of rows is no garbage: a twelfth of a worker's time went there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


def run_until_stopped(main: Coroutine[None, None, None]) -> None:
    try:
        import uvloop
    except ImportError:
        runner = asyncio.Runner()
    else:
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    _relieve_the_collector()
    try:
        with runner:
            runner.run(main)
    except ServiceError as error:
        fail(str(error))
