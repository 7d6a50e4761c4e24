"""`notifier incoming`: messages that could not be read, kept raw in quarantine: list them, look at one, replay it."""

import contextlib
import json
import sys
from pathlib import Path
from uuid import UUID

import click

from channels.base import TakesHooks
from channels.errors import ChannelError
from channels.registry import opened
from notifier.cli.edge import environment_or_exit, run
from notifier.errors import Conflict
from notifier.inbox import quarantine
from notifier.inbox.quarantine import Held, Shown
from notifier.runtime import Service, environment, open_service


@click.group("incoming")
def incoming_command() -> None:
    """Look at messages that could not be read, and replay them."""


@incoming_command.command("list")
@click.option("--json", "as_json", is_flag=True)
def list_command(*, as_json: bool) -> None:
    """List what is in quarantine, newest first, with the reason."""
    environment_or_exit()
    run(_list(as_json=as_json))


@incoming_command.command("show")
@click.argument("incoming", type=click.UUID)
@click.option(
    "--raw", type=click.Path(dir_okay=False, allow_dash=True), help="Write it as it came to this file."
)
def show_command(incoming: UUID, raw: str | None) -> None:
    """Show whom one is from and why it is there. It holds somebody's words: look only if you must."""
    environment_or_exit()
    run(_show(incoming, raw))


@incoming_command.command("replay")
@click.argument("incoming", type=click.UUID)
@click.option(
    "--headers-only", is_flag=True, help="Put a mail into a queue by what its headers tell, without its text."
)
def replay_command(incoming: UUID, *, headers_only: bool) -> None:
    """Handle one once more: a message or a provider's call after a new release, or a mail by its headers alone."""
    environment_or_exit()
    run(_replay(incoming, headers_only=headers_only))


async def _list(*, as_json: bool) -> None:
    async with (
        open_service(environment(), sends=False) as service,
        service.db.transaction(read_only=True) as tx,
    ):
        found = await quarantine.listed(tx)
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found]))
        return
    for each in found:
        at = each.received_at.astimezone(service.settings.zone)
        click.echo(f"{each.id}  {at:%d %b %Y %H:%M}  {each.channel}  {each.octets:,} octets  {each.reason}")
    if not found:
        click.echo("Nothing is in quarantine.")


async def _show(incoming: UUID, raw: str | None) -> None:
    async with (
        open_service(environment(), sends=False) as service,
        service.db.transaction(read_only=True) as tx,
    ):
        found = await quarantine.shown(tx, incoming)
    if raw == "-":
        sys.stdout.buffer.write(found.raw)
        return
    if raw is not None:
        Path(raw).write_bytes(found.raw)  # noqa: ASYNC240 -- nothing else runs
    for name, value in (
        ("came by", f"{found.held.channel} ({found.held.medium})"),
        ("from", found.sender or "nobody it names"),
        ("subject", found.subject),
        ("reason", found.held.reason),
        ("what", "a provider's call" if found.is_call else "a message"),
    ):
        click.echo(f"{name:8} {value}")


async def _replay(incoming: UUID, *, headers_only: bool) -> None:
    async with open_service(environment(), sends=False) as service:
        async with service.db.transaction(read_only=True) as tx:
            found = await quarantine.shown(tx, incoming)
        if not found.is_call:
            async with service.db.transaction() as tx:
                await quarantine.replay(tx, incoming, headers_only=headers_only)
            click.echo("It will be handled within a minute. Look at the list again, or at the queue.")
            return
        count = await _read_again(service, found)
    click.echo(f"Its channel has read it: {count} {'event' if count == 1 else 'events'}.")


async def _read_again(service: Service, found: Shown) -> int:
    """How many events its channel now finds in a provider's call. The channel need not be open."""
    name, known = found.held.channel, service.environment
    async with contextlib.AsyncExitStack() as stack:
        try:
            channel = (await stack.enter_async_context(opened([name], known.for_channels())))[name]
        except ChannelError as error:
            raise Conflict(str(error)) from error  # it names the channel
        if not isinstance(channel, TakesHooks):
            raise Conflict(f"{name} reads no calls any more.")
        tx = await stack.enter_async_context(service.db.transaction())
        return await quarantine.replay_call(tx, found.held.id, channel, known.settings.public_url)


def _as_json(each: Held) -> dict[str, object]:
    return {
        "id": str(each.id),
        "channel": each.channel,
        "medium": each.medium,
        "received_at": each.received_at.isoformat(),
        "reason": each.reason,
        "octets": each.octets,
    }
