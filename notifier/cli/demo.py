"""`notifier demo`: the whole service on SQLite with a fictional borough; nothing real is sent."""

import asyncio
import json
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from notifier import config
from notifier.cli import borough, logs
from notifier.cli.edge import fail, run
from notifier.cli.run import run_until_stopped, serve
from notifier.config import BadConfiguration, Environment
from notifier.runtime import channel_variables, open_service
from notifier.staff.demo import PASSWORD

FOLDER = Path("demo")
OUTBOX = FOLDER / "notifier.outbox"
DOMAIN = "link.queensvale.example"


@click.command("demo")
@click.option("--fresh", is_flag=True, help="Forget the last demo and begin again.")
@click.option("--seed-only", is_flag=True, help="Put the borough into the configured database, and end.")
@click.option(
    "--stand-ins",
    default="",
    metavar="COMMAND",
    help="Send through the real adapters to providers' stand-ins, which COMMAND starts. Without it: into files.",
)
def demo_command(*, fresh: bool, seed_only: bool, stand_ins: str) -> None:
    """Show everything: web pages, sending, replies, on this machine alone."""
    if seed_only:
        logs.configure()
        run(_seed_configured())
        return
    if fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(exist_ok=True)
    with _far_ends(stand_ins) as far_ends:
        environment = _environment(far_ends)
        _migrate(environment)
        with (FOLDER / "log.jsonl").open("a") as log:
            logs.configure(log)
            run_until_stopped(_demo(environment))
    click.echo("\nThe demo has ended. `make demo` shows it again as you left it.")


@contextmanager
def _far_ends(command: str) -> Iterator[dict[str, str]]:
    """The settings that a stand-ins' process says on its first line; it ends with the block, or with us."""
    if not command:
        yield {}
        return
    words = [*shlex.split(command), "--leashed", "--outbox", str(OUTBOX)]
    process = subprocess.Popen(  # noqa: S603 - the operator's own words
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        try:
            said = json.loads(line)
        except ValueError:
            fail(f"the stand-ins did not start: {command}")
        click.echo(f"Providers' stand-ins listen; make them go wrong at {said['control']}", err=True)
        yield said["settings"]
    finally:
        process.terminate()
        process.wait(10)


def _environment(far_ends: Mapping[str, str]) -> Environment:
    """The demo's settings: its own folder, `outbox` or stand-ins, free ports; variables that are set win."""
    ours = {
        "NOTIFIER_DATABASE_URL": f"sqlite:///{FOLDER / 'notifier.db'}",
        "NOTIFIER_CHANNELS": "outbox",
        "NOTIFIER_DEMO": "true",
        "NOTIFIER_LISTEN": f"127.0.0.1:{_free_port(8080)}",
        "NOTIFIER_INBOUND_LISTEN": f"lmtp://127.0.0.1:{_free_port(8024)}",
        "NOTIFIER_MAIL_DOMAIN": DOMAIN,
        "NOTIFIER_SMS_NUMBERS": "+447700900990",
        "NOTIFIER_FORCE_NAME": "Queensvale Police",
        "NOTIFIER_OUTBOX_DIR": str(OUTBOX),
        **far_ends,
    }
    try:
        return config.read(channel_variables, defaults=ours)
    except BadConfiguration as error:
        fail(str(error), code=2)


def _migrate(environment: Environment) -> None:
    from notifier.migrations import upgrade

    upgrade(environment.settings.database_url)


async def _demo(environment: Environment) -> None:
    if not await seed(environment, sends=True):
        click.echo("The borough of Queensvale is as you left it (`make demo ARGS=--fresh` begins again).")
    ready = asyncio.Event()
    telling = asyncio.create_task(_tell(environment, ready))
    try:
        await serve(environment, ready=ready)
    finally:
        telling.cancel()


async def _seed_configured() -> None:
    environment = config.read(channel_variables)
    made = await seed(environment, sends="outbox" in environment.settings.channels)
    click.echo("The borough of Queensvale is in place." if made else "The borough was there already.")


async def seed(environment: Environment, *, sends: bool) -> bool:
    """Put the borough in; False where it is there already. sends: its messages go out at once."""
    from notifier.worker import Worker

    async with open_service(environment) as service:
        async with service.db.transaction() as tx:
            if await borough.is_seeded(tx):
                return False
        click.echo("Building the borough of Queensvale …", err=True)
        seeded = await borough.settle(service)
        worker = Worker(service, service.db.jobs)
        for message in seeded.messages.values():
            await worker.handlers["plan"](str(message))
        if sends:
            await worker.drain()
        for incoming in await borough.reply(service, seeded):
            await worker.handlers["route"](str(incoming))
        if sends:
            await worker.drain()
        async with service.db.transaction() as tx:
            await borough.age(tx, seeded)
    return True


async def _tell(environment: Environment, ready: asyncio.Event) -> None:
    await ready.wait()
    settings = environment.settings
    url = settings.public_url
    lines = [
        "",
        f"  Residents      {url}/            try the postcode QV1 1AA",
        f"  Sent messages  {url}/demo        every message as its reader sees it; reply as they would",
        f"  The desk       {url}/desk        sign in as one of these:",
        *(f"                 {email:32} {name}, {role}" for email, name, role, _ in borough.SIGN_INS),
        f"                 password: {PASSWORD}",
        f"  Mail comes in  {settings.inbound_listen}",
        "",
        "  Nothing real is sent. Ctrl-C ends the demo.",
        "",
    ]
    click.echo("\n".join(lines))


def _free_port(wish: int) -> int:
    """The port wished for, or any free one where it is taken."""
    for port in (wish, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free")
