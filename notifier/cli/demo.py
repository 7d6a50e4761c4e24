"""`notifier demo`: the whole service on SQLite with a fictional borough; nothing real is sent."""

import asyncio
import shutil
import socket
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
DOMAIN = "link.queensvale.example"


@click.command("demo")
@click.option("--fresh", is_flag=True, help="Forget the last demo and begin again.")
@click.option("--seed-only", is_flag=True, help="Put the borough into the configured database, and end.")
def demo_command(*, fresh: bool, seed_only: bool) -> None:
    """Show everything: web pages, sending, replies, on this machine alone."""
    if seed_only:
        logs.configure()
        run(_seed_configured())
        return
    if fresh:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(exist_ok=True)
    environment = _environment()
    _migrate(environment)
    with (FOLDER / "log.jsonl").open("a") as log:
        logs.configure(log)
        run_until_stopped(_demo(environment))
    click.echo("\nThe demo has ended. `make demo` shows it again as you left it.")


def _environment() -> Environment:
    """The demo's settings: its own folder, `outbox`, free ports; variables that are set win."""
    ours = {
        "NOTIFIER_DATABASE_URL": f"sqlite:///{FOLDER / 'notifier.db'}",
        "NOTIFIER_CHANNELS": "outbox",
        "NOTIFIER_DEMO": "true",
        "NOTIFIER_LISTEN": f"127.0.0.1:{_free_port(8080)}",
        "NOTIFIER_INBOUND_LISTEN": f"lmtp://127.0.0.1:{_free_port(8024)}",
        "NOTIFIER_MAIL_DOMAIN": DOMAIN,
        "NOTIFIER_SMS_NUMBERS": "+447700900990",
        "NOTIFIER_FORCE_NAME": "Queensvale Police",
    }
    try:
        return config.read(channel_variables, defaults=ours)
    except BadConfiguration as error:
        fail(str(error), code=2)


def _migrate(environment: Environment) -> None:
    from notifier.migrations import upgrade

    upgrade(environment.settings.database_url)


async def _demo(environment: Environment) -> None:
    if not await seed(environment):
        click.echo("The borough of Queensvale is as you left it (`make demo ARGS=--fresh` begins again).")
    ready = asyncio.Event()
    telling = asyncio.create_task(_tell(environment, ready))
    try:
        await serve(environment, ready=ready)
    finally:
        telling.cancel()


async def _seed_configured() -> None:
    environment = config.read(channel_variables)
    made = await seed(environment)
    click.echo("The borough of Queensvale is in place." if made else "The borough was there already.")


async def seed(environment: Environment) -> bool:
    """Put the borough in; False where it is there already. With `outbox` its messages go out at once."""
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
        if "outbox" in service.channels:
            await worker.drain()
        for incoming in await borough.reply(service, seeded):
            await worker.handlers["route"](str(incoming))
        if "outbox" in service.channels:
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
