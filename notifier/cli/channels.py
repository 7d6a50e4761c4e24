"""`notifier channels`: how each one does, and `test`, which sends one message."""

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from channels.base import Accepted, Medium
from channels.registry import find, installed
from notifier.cli.edge import environment_or_exit, fail, run
from notifier.config import Settings
from notifier.errors import ServiceError, Unavailable


@dataclass(kw_only=True)
class Health:
    """One installed channel. number: its place among the open ones, none where it is closed.

    state: of its breaker; words: the same for people. domains_shut: mail domains behind it that take nothing now.
    needs: settings without which it cannot be opened and that are not set.
    """

    name: str
    media: list[str]
    number: int | None
    rates: list[str]
    repeat_stopped_by: str
    needs: list[str]
    state: str = ""
    words: str = ""
    since: datetime | None = None
    next_try: datetime | None = None
    held: list[str] | None = None
    domains_shut: int = 0
    last_accepted: datetime | None = None
    last_polled: datetime | None = None


@click.group("channels", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_context
def channels_command(context: click.Context, *, as_json: bool) -> None:
    """How each installed channel does: open or not, its breaker, its last success. `test` sends one message."""
    if context.invoked_subcommand:
        return
    environment = environment_or_exit()
    settings = environment.settings
    listed = [_installed(name, settings, environment.mapping) for name in sorted(installed())]
    listed.sort(key=lambda each: (each.number is None, each.number or 0, each.name))
    unseen = run(_see([each for each in listed if each.number]))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in listed], indent=2, default=datetime.isoformat))
    else:
        for each in listed:
            _show(each, settings.zone, is_known=not unseen)
    if unseen:
        click.echo(f"How the open ones do is not known: {unseen}", err=True)


def _installed(name: str, settings: Settings, mapping: Mapping[str, str]) -> Health:
    kind, opened = find(name), settings.channels
    return Health(
        name=name,
        media=sorted(kind.capabilities.media),
        number=opened.index(name) + 1 if name in opened else None,
        rates=[pair for pair in settings.rates if pair.split("=")[0].split("/")[0] == name],
        repeat_stopped_by=kind.capabilities.idempotency,
        needs=[each.name for each in kind.variables if each.required and not mapping.get(each.name)],
    )


async def _see(opened: Sequence[Health]) -> str:
    """Fill in what the database knows of the open channels. Where it cannot be used: why, and what to do."""
    from notifier.delivery.standing import STATE_WORDS, last_accepted, last_polled, sending_state
    from notifier.models import BreakerState
    from notifier.runtime import environment, open_service

    known = environment()
    if known.settings.is_sqlite and not known.settings.sqlite_file.exists():
        return "there is no database yet. `notifier migrate` makes one; NOTIFIER_DATABASE_URL names another."
    async with contextlib.AsyncExitStack() as stack:
        try:
            service = await stack.enter_async_context(open_service(known, sends=False))
        except Unavailable as error:
            return str(error)
        tx = await stack.enter_async_context(service.db.transaction(read_only=True))
        state = await sending_state(tx)
        for each in opened:
            trouble = state.of_channel(each.name)
            each.state = trouble.state if trouble else BreakerState.CLOSED
            each.words = (
                f"{trouble.words} ({trouble.reason})" if trouble else STATE_WORDS[BreakerState.CLOSED]
            )
            each.since, each.next_try = (trouble.since, trouble.next_try) if trouble else (None, None)
            each.held = [hold.reason for hold in state.holds if hold.key in ("", each.name)]
            each.domains_shut = sum(1 for row in state.channels if row.name == each.name and row.domain)
            each.last_accepted = await last_accepted(tx, each.name)
            each.last_polled = await last_polled(tx, each.name)
    return ""


def _show(each: Health, zone: ZoneInfo, *, is_known: bool) -> None:
    place = f"open, number {each.number}" if each.number else "not open"
    carries = f"carries {', '.join(each.media)}; a repeat is stopped by: {each.repeat_stopped_by}"
    click.echo(f"{each.name:16} {place:16} {carries}")
    if not each.number:
        if each.needs:
            click.echo(f"{'':16} to open it, set {', '.join(each.needs)}")
        return
    parts = _doing(each, zone) if is_known else ["state not known"]
    click.echo(f"{'':16} {'; '.join(parts)}; most a second: {', '.join(each.rates) or 'no limit'}")


def _doing(each: Health, zone: ZoneInfo) -> list[str]:
    parts = [each.words, *(f"held: {reason}" for reason in each.held or ())]
    if each.domains_shut:
        parts.append(f"mail domains that take nothing now: {each.domains_shut}")
    parts.append(
        f"last accepted {_at(each.last_accepted, zone)}" if each.last_accepted else "none accepted yet"
    )
    if each.next_try:
        parts.append(f"tried again {_at(each.next_try, zone)}")
    if each.last_polled:
        parts.append(f"last asked {_at(each.last_polled, zone)}")
    return parts


def _at(when: datetime, zone: ZoneInfo) -> str:
    return f"{when.astimezone(zone):%d %b %H:%M}"


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
