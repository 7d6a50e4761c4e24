"""`notifier hold`, `release` and `holds`: stop and start everything, a channel or a team, within two seconds."""

import json
from uuid import UUID

import click

from channels.registry import installed
from notifier.cli.edge import environment_or_exit, fail, run
from notifier.db import Tx
from notifier.delivery import holds
from notifier.errors import NotFound
from notifier.models import HoldScope
from notifier.runtime import environment, open_service
from notifier.staff import teams

ACTOR = "command line"
SCOPE = click.Choice([scope.value for scope in HoldScope])


@click.command("hold")
@click.argument("scope", type=SCOPE)
@click.argument("name", default="")
@click.option("--reason", required=True, help="Why, for everybody at the desk.")
def hold_command(scope: str, name: str, reason: str) -> None:
    """Start nothing more of the whole SYSTEM, a CHANNEL or a TEAM (its slug or name), until it is released."""
    environment_or_exit()
    run(_hold(HoldScope(scope), name, reason))


@click.command("release")
@click.argument("scope", type=SCOPE)
@click.argument("name", default="")
def release_command(scope: str, name: str) -> None:
    """Let what was held go on."""
    environment_or_exit()
    run(_release(HoldScope(scope), name))


@click.command("holds")
@click.option("--json", "as_json", is_flag=True)
def holds_command(*, as_json: bool) -> None:
    """List what is held, by whom and why."""
    environment_or_exit()
    run(_list(as_json=as_json))


async def _hold(scope: HoldScope, name: str, reason: str) -> None:
    async with open_service(environment(), sends=False) as service, service.db.transaction() as tx:
        await holds.place(tx, scope, await _key(tx, scope, name), reason=reason, by=ACTOR)
    click.echo(f"Held: {scope.value} {name}".strip())


async def _release(scope: HoldScope, name: str) -> None:
    async with open_service(environment(), sends=False) as service, service.db.transaction() as tx:
        await holds.lift(tx, scope, await _key(tx, scope, name), by=ACTOR)
    click.echo(f"Released: {scope.value} {name}".strip())


async def _list(*, as_json: bool) -> None:
    async with (
        open_service(environment(), sends=False) as service,
        service.db.transaction(read_only=True) as tx,
    ):
        found = await holds.standing(tx)
    if as_json:
        rows = [
            {
                "scope": each.scope,
                "name": each.name,
                "reason": each.reason,
                "by": each.by,
                "since": each.since.isoformat(),
            }
            for each in found
        ]
        click.echo(json.dumps(rows))
        return
    for each in found:
        at = each.since.astimezone(service.settings.zone)
        what = f"{each.scope.value} {each.name}".strip()
        click.echo(f"{what}: {each.reason} (by {each.by}, {at:%d %b %Y %H:%M})")
    if not found:
        click.echo("Nothing is held.")


async def _key(tx: Tx, scope: HoldScope, name: str) -> str:
    """What stands in the row. Raises NotFound; exit code 2 for a name where none belongs, or none where one does."""
    if bool(name) is (scope is HoldScope.SYSTEM):
        fail("say `system`, `channel NAME` or `team SLUG`", code=2)
    if scope is HoldScope.TEAM:
        team: UUID | None = await teams.find(tx, name)
        if team is None:
            raise NotFound(f"There is no team {name!r}.")
        return str(team)
    if scope is HoldScope.CHANNEL and name not in installed():
        raise NotFound(f"There is no channel {name!r}; there are {', '.join(sorted(installed()))}.")
    return name
