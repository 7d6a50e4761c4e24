"""Commands of an operator: migrate, config, doctor."""

import json
import sys
from typing import Any

import click

from channels.registry import find, installed
from notifier import config
from notifier.cli.edge import environment_or_exit, fail, run
from notifier.config import PREFIX, Environment, Settings


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


@click.group("doctor", invoke_without_command=True)
@click.option("--ledger", is_flag=True, help="Only prove the ledger, row by row.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_context
def doctor_command(context: click.Context, *, ledger: bool, as_json: bool) -> None:
    """Check configuration, database, Redis, channels and the ledger's sums. Exit code 1 where one is wrong.

    `doctor email DOMAIN` looks at what lets mail arrive.
    """
    if context.invoked_subcommand:
        return
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


@doctor_command.command("email")
@click.argument("domain")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.option("--selector", "selectors", multiple=True, help="A name that the relay signs with (DKIM).")
@click.option(
    "--address", "addresses", multiple=True, help="An address that our mail reaches the world from."
)
@click.option("--nameserver", default="", help="Ask this server, HOST or HOST:PORT, not the machine's own.")
@click.option(
    "--policy-origin", default="", hidden=True, help="Where to fetch the MTA-STS policy, for tests."
)
def doctor_email(*, domain: str, as_json: bool, **asked: Any) -> None:
    """Check whether mail of DOMAIN arrives: its records in DNS, and one composed message against bulk mail's rules.

    Nothing is sent. Exit code 0: all is well, 1: something could be better, 2: something is wrong.
    """
    from channels.mail_lint import gravest
    from channels.mail_records import Level
    from notifier.cli.doctor_email import Asked, examine

    environment = environment_or_exit()
    try:
        findings = run(examine(environment, Asked(domain=domain, **asked)))
    except ValueError as error:
        fail(str(error), code=2)
    if as_json:
        rows = [{"check": f.check, "level": f.level.value, "sentence": f.sentence} for f in findings]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        marks = {Level.OK: ("ok  ", "green"), Level.WARN: ("WARN", "yellow"), Level.BAD: ("BAD ", "red")}
        for finding in findings:
            mark, colour = marks[finding.level]
            click.echo(f"{click.style(mark, fg=colour)} {finding.check}: {finding.sentence}")
    sys.exit(list(Level).index(gravest(findings)))
