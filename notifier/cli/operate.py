"""Commands of an operator: migrate, config, doctor, channels."""

import contextlib
import json
import sys
from collections.abc import Sequence

import click

from channels.base import Accepted, Medium
from channels.registry import find, installed
from notifier import config
from notifier.cli.edge import environment_or_exit, fail, run
from notifier.config import PREFIX, Environment, Settings
from notifier.errors import ServiceError, Unavailable


@click.command("migrate")
def migrate_command() -> None:
    """Bring the database to the newest schema. Safe to run twice."""
    from notifier.migrations import upgrade

    settings = environment_or_exit().settings
    if settings.is_sqlite:
        settings.sqlite_file.parent.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database_url)
    run(_after_migrating())
    click.echo("The database is at the newest schema.")


async def _after_migrating() -> None:
    """What every database must hold before the first request: topics to choose from, a central team."""
    from notifier.inbox.places import central_triage
    from notifier.runtime import environment, open_service
    from subscribers.topics import ensure_topics

    async with open_service(environment(), sends=False) as service, service.db.transaction() as tx:
        await ensure_topics(tx)
        await central_triage(tx)


@click.command("config")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def config_command(as_json: bool) -> None:
    """List every setting, what it means, and what it is now. Secrets are not shown."""
    environment = environment_or_exit()
    rows = [*_service_settings(environment), *_channel_settings(environment)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']} = {row['value'] or '(not set)'}\n    {row['meaning']}  [{row['read_by']}]")


def _service_settings(environment: Environment) -> list[dict[str, str]]:
    rows = []
    for name, described in Settings.model_fields.items():
        value = getattr(environment.settings, name)
        secret = isinstance(described.json_schema_extra, dict) and described.json_schema_extra.get("secret")
        shown = " ".join(value) if isinstance(value, list) else str(value)
        if name.endswith("_url"):
            shown = config.without_password(shown)
        rows.append(
            {
                "name": PREFIX + name.upper(),
                "value": ("(secret)" if shown else "") if secret else shown,
                "meaning": described.description or "",
                "read_by": "service",
            }
        )
    return rows


def _channel_settings(environment: Environment) -> list[dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for channel in sorted(installed()):
        for variable in find(channel).variables:
            if variable.name in known:
                continue
            value = environment.mapping.get(variable.name, variable.default or "")
            if variable.name in rows:
                rows[variable.name]["read_by"] += f", {channel}"
                continue
            shown = config.without_password(value)
            rows[variable.name] = {
                "name": variable.name,
                "value": ("(secret)" if value else "") if variable.secret else shown,
                "meaning": variable.meaning,
                "read_by": channel,
            }
    return list(rows.values())


@click.command("doctor")
@click.option("--ledger", is_flag=True, help="Only prove the ledger, row by row.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def doctor_command(*, ledger: bool, as_json: bool) -> None:
    """Check configuration, database, Redis, channels and the ledger's sums. Exit code 1 where one is wrong."""
    from notifier.cli.doctor import examine

    findings = run(examine(ledger_only=ledger))
    if as_json:
        click.echo(
            json.dumps([{"check": f.check, "ok": f.ok, "detail": f.detail} for f in findings], indent=2)
        )
    else:
        for finding in findings:
            mark = click.style("ok  ", fg="green") if finding.ok else click.style("BAD ", fg="red", bold=True)
            click.echo(f"{mark} {finding.check}: {finding.detail}")
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


@click.group("channels", invoke_without_command=True)
@click.pass_context
def channels_command(context: click.Context) -> None:
    """List the installed channels and which are open; `test` sends one message."""
    if context.invoked_subcommand:
        return
    settings = environment_or_exit().settings
    opened = settings.channels
    doing = run(_how_they_do(opened))
    for name in sorted(installed()):
        can = find(name).capabilities
        media = ", ".join(sorted(can.media))
        state = f"open, number {opened.index(name) + 1}" if name in opened else "not open"
        click.echo(f"{name:16} {state:16} carries {media}; a repeat is stopped by: {can.idempotency}")
        if name in opened:
            rates = [pair for pair in settings.rates if pair.split("=")[0].split("/")[0] == name]
            click.echo(f"{'':16} {doing[name]}; most a second: {', '.join(rates) or 'no limit'}")


async def _how_they_do(names: Sequence[str]) -> dict[str, str]:
    """Breaker, holds and last success of each open channel, in words."""
    from notifier.delivery.standing import last_accepted, sending_state
    from notifier.runtime import environment, open_service

    known, said = environment(), dict.fromkeys(names, "the database cannot be used")
    if known.settings.is_sqlite and not known.settings.sqlite_file.exists():
        return said
    async with contextlib.AsyncExitStack() as stack:
        try:
            service = await stack.enter_async_context(open_service(known, sends=False))
        except Unavailable:
            return said
        tx = await stack.enter_async_context(service.db.transaction(read_only=True))
        state, zone = await sending_state(tx), service.settings.zone
        for name in names:
            trouble, last = state.of_channel(name), await last_accepted(tx, name)
            words = f"{trouble.words} ({trouble.reason})" if trouble else "working"
            shut = sum(1 for each in state.channels if each.name == name and each.domain)
            parts = [words, *(f"held: {hold.reason}" for hold in state.holds if hold.key in ("", name))]
            parts += [f"mail domains that take nothing now: {shut}"] if shut else []
            parts.append(
                f"last accepted {last.astimezone(zone):%d %b %H:%M}" if last else "none accepted yet"
            )
            said[name] = "; ".join(parts)
    return said


@channels_command.command("test")
@click.argument("name")
@click.option("--to", required=True, help="The address, number or account to write to.")
@click.option(
    "--medium",
    type=click.Choice([medium.value for medium in Medium]),
    help="For a channel that carries several.",
)
def channels_test(name: str, to: str, medium: str | None) -> None:
    """Send one short message by a channel, and say what came of it. One that was shut is tried again at once."""
    from channels.errors import ChannelError
    from notifier.cli.doctor import send_one

    try:
        outcome = run(send_one(name, to, Medium(medium) if medium else None))
    except ChannelError as error:
        fail(str(error))
    click.echo(f"{type(outcome).__name__}: {outcome}")
    if not isinstance(outcome, Accepted):
        sys.exit(1)
    if run(_tried_again(name)):
        click.echo(f"{name} was shut: what waits for it is tried now, one first.")


async def _tried_again(name: str) -> bool:
    """Whether the service had shut that channel, and tries it now. A test needs no database."""
    from notifier.delivery.gate import try_again
    from notifier.runtime import environment, open_service

    known = environment()
    if known.settings.is_sqlite and not known.settings.sqlite_file.exists():
        return False
    try:
        async with open_service(known, sends=False) as service, service.db.transaction() as tx:
            return await try_again(tx, name, factor=known.settings.time_factor)
    except ServiceError:  # the test itself was taken all the same
        return False
