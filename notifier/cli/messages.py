"""`notifier messages`: publish from a file, watch it go out, stop it, put it right."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import click

from notifier.broadcast import approve, correct, doubles, draft, overview, recall, report
from notifier.broadcast.narrow import ENDED, Draw, Narrow, Near
from notifier.cli.edge import environment_or_exit, fail, run
from notifier.db import Tx
from notifier.errors import NotFound
from notifier.models import Kind, MessageState
from notifier.runtime import Service, environment, open_service
from notifier.staff import audit, teams
from notifier.web.desk import clock

WATCH_SECONDS = 0.3
LOCAL = click.DateTime(["%Y-%m-%dT%H:%M"])
ACTOR = "command line"
RECALLED = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}
Recall = Callable[..., Awaitable[None]]


@click.group("messages")
def messages_command() -> None:
    """Publish messages and see what became of them."""


@messages_command.command("send")
@click.option("--team", required=True, help="Name of the team that sends it.")
@click.option("--kind", required=True, type=click.Choice([kind.value for kind in Kind]))
@click.option(
    "--area", "areas", multiple=True, required=True, help="A ward's or borough's code; several times."
)
@click.option("--title", required=True)
@click.option(
    "--body-file", required=True, type=click.File("r", encoding="utf-8"), help="- for standard input."
)
@click.option(
    "--medium",
    "media",
    multiple=True,
    type=click.Choice([medium.value for medium in draft.MEDIA]),
    help="Default: all set up.",
)
@click.option("--topic", "topics", multiple=True)
@click.option("--language", "languages", multiple=True, help="Only those who read it; several times.")
@click.option("--postcode", "postcodes", multiple=True, help="Only those who live there; several times.")
@click.option("--near", metavar="POSTCODE:METRES", help="Only those who live so near.")
@click.option("--sample", type=int, metavar="N", help="So many by chance, each area in proportion.")
@click.option("--seed", type=int, help="Draw the same sample again.")
@click.option("--exclude-area", "without_areas", multiple=True, help="Nobody who follows it; several times.")
@click.option("--at", "send_at", type=LOCAL, help="Local time at which it goes out. Default: now.")
@click.option("--reply-by", type=LOCAL, help="Local time, for a consultation.")
@click.option("--expires-at", type=LOCAL, help="Local time after which it is of no use.")
@click.option("--override-reason", default="", help="Send it in quiet hours too, and say why.")
@click.option("--allow-duplicate", is_flag=True, help="Even if the same words went out within 24 hours.")
@click.option("--wait", is_flag=True, help="Watch it go out.")
@click.option("--json", "as_json", is_flag=True)
def send_command(*, wait: bool, as_json: bool, **written: Any) -> None:
    """Write, approve and send one message.

    An operator's tool: it writes to any area, in the team's name, and asks no second officer.
    """
    environment_or_exit()
    run(_send(written, wait=wait, as_json=as_json))


@messages_command.command("correct")
@click.argument("message")
@click.option("--title", required=True)
@click.option(
    "--body-file", required=True, type=click.File("r", encoding="utf-8"), help="- for standard input."
)
@click.option("--stop-first", is_flag=True, help="Cancel what is left of the message it corrects.")
@click.option("--allow-duplicate", is_flag=True, help="Even if the same words went out within 24 hours.")
@click.option("--wait", is_flag=True, help="Watch it go out.")
@click.option("--json", "as_json", is_flag=True)
def correct_command(*, message: str, wait: bool, as_json: bool, **written: Any) -> None:
    """Send a correction to exactly those who may have got a message, by the same way."""
    environment_or_exit()
    run(_correct(_id(message), written, wait=wait, as_json=as_json))


def _recalls(name: str, act: Recall, words: str) -> None:
    @messages_command.command(name, help=words)
    @click.argument("message")
    @click.option("--json", "as_json", is_flag=True)
    def command(message: str, *, as_json: bool) -> None:
        environment_or_exit()
        run(_recall(_id(message), name, act, as_json=as_json))


_recalls("pause", recall.pause, "Start nothing more of a message until it is resumed.")
_recalls("resume", recall.resume, "Go on with a paused message. Nobody who was reached is reached again.")
_recalls("cancel", recall.cancel, "End a message: what has not begun never will.")


@messages_command.command("status")
@click.argument("message")
@click.option("--json", "as_json", is_flag=True)
def status_command(message: str, *, as_json: bool) -> None:
    """How far a message is: counts that sum to its audience."""
    environment_or_exit()
    run(_status(message, as_json=as_json))


async def _send(written: Mapping[str, Any], *, wait: bool, as_json: bool) -> None:
    async with open_service(environment(), sends=False) as service:
        zone = service.settings.zone
        send_at, reply_by, expires_at = (written[name] for name in ("send_at", "reply_by", "expires_at"))
        on_the_wall = clock.settle(send_at, zone) if send_at else None
        if on_the_wall and on_the_wall.note:
            click.echo(on_the_wall.note, err=True)
        new = draft.Draft(
            kind=written["kind"],
            texts={"en": (written["title"], written["body_file"].read())},
            areas=written["areas"],
            media=written["media"] or tuple(m for m in draft.MEDIA if m in service.db.carriers),
            topics=written["topics"],
            send_at=on_the_wall.at if on_the_wall else None,
            reply_by=reply_by.replace(tzinfo=zone) if reply_by else None,
            expires_at=expires_at.replace(tzinfo=zone) if expires_at else None,
            override_reason=written["override_reason"],
            narrow=_narrow(written),
        )
        async with service.db.transaction(point="C0") as tx:
            team = await teams.find(tx, written["team"])
            if team is None:
                raise NotFound(f"There is no team {written['team']!r}.")
            message = await _approved(tx, service, new, team, allow=written["allow_duplicate"])
        await _sent(service, message, wait=wait, as_json=as_json)


async def _correct(original: UUID, written: Mapping[str, Any], *, wait: bool, as_json: bool) -> None:
    async with open_service(environment(), sends=False) as service:
        async with service.db.transaction(point="C0") as tx:
            begun, team = await correct.begin(tx, original, teams=None)
            found = await overview.get(tx, original, None)
            if written["stop_first"] and found.state not in ENDED:
                await recall.cancel(tx, original, team=team)
                await audit.record(tx, ACTOR, "cancelled", object_kind="messages", object_id=original)
            new = replace(begun, texts={"en": (written["title"], written["body_file"].read())})
            message = await _approved(tx, service, new, team, allow=written["allow_duplicate"])
        await _sent(service, message, wait=wait, as_json=as_json)


async def _approved(tx: Tx, service: Service, new: draft.Draft, team: UUID, *, allow: bool) -> UUID:
    """A new message, kept and approved."""
    message = await draft.save(tx, new, team=team, author=None)
    doubled = await doubles.require_single(tx, message, team=team, allow=allow)
    above = service.settings.canary_above
    await approve.approve(tx, message, team=team, officer=None, doubles=doubled, canary_above=above)
    reason = new.override_reason or None
    await audit.record(tx, ACTOR, "approved", object_kind="messages", object_id=message, reason=reason)
    return message


async def _sent(service: Service, message: UUID, *, wait: bool, as_json: bool) -> None:
    if not wait:
        click.echo(json.dumps({"id": str(message)}) if as_json else f"Approved: {message}")
        return
    await _watch(service, message, quiet=as_json)
    await _show(service, message, as_json=as_json)


async def _recall(message: UUID, name: str, act: Recall, *, as_json: bool) -> None:
    async with open_service(environment(), sends=False) as service:
        async with service.db.transaction() as tx:
            found = await overview.get(tx, message, None)
            await act(tx, message, team=found.team_id)
            await audit.record(tx, ACTOR, RECALLED[name], object_kind="messages", object_id=message)
        await _show(service, message, as_json=as_json)


def _id(message: str) -> UUID:
    try:
        return UUID(message)
    except ValueError:
        fail(f"{message} is not a message's id", code=2)


def _narrow(written: Mapping[str, Any]) -> Narrow:
    postcode, _, metres = (written["near"] or "").rpartition(":")
    if written["near"] and not (postcode and metres.isdecimal()):
        raise click.BadParameter("write it as POSTCODE:METRES, for example SW1A 1AA:500", param_hint="--near")
    if written["seed"] is not None and written["sample"] is None:
        raise click.BadParameter("is for --sample", param_hint="--seed")
    return Narrow(
        languages=written["languages"],
        postcodes=written["postcodes"],
        near=Near(postcode=postcode, metres=int(metres)) if written["near"] else None,
        sample=Draw(size=written["sample"], seed=written["seed"]) if written["sample"] is not None else None,
        without_areas=written["without_areas"],
    )


async def _watch(service: Service, message: UUID, *, quiet: bool) -> None:
    """A live bar until the message is done; deliveries waiting for a digest do not hold it up."""
    bar, shown = None, 0
    while True:
        async with service.db.transaction(read_only=True) as tx:
            found = await report.progress(tx, message)
        if found is None:
            return
        if bar is None and found.audience and not quiet:
            bar = click.progressbar(length=found.audience, label="Sending", file=sys.stderr)
            bar.__enter__()
        ended = sum(found.counts.values()) - found.under_way
        if bar is not None:
            bar.update(ended - shown)
            shown = ended
        if found.is_over and (found.state is not MessageState.SENDING or found.waits_for_digest):
            break
        await asyncio.sleep(WATCH_SECONDS)
    if bar is not None:
        bar.__exit__(None, None, None)


async def _status(message: str, *, as_json: bool) -> None:
    async with open_service(environment(), sends=False) as service:
        await _show(service, _id(message), as_json=as_json)


async def _show(service: Service, message: UUID, *, as_json: bool) -> None:
    async with service.db.transaction(read_only=True) as tx:
        found = await report.progress(tx, message)
    if found is None:
        raise NotFound(f"There is no message {message}.")
    if as_json:
        click.echo(
            json.dumps(
                {
                    "id": str(message),
                    "state": found.state,
                    "audience": found.audience,
                    "counts": dict(found.counts),
                    "possible_repeats": found.possible_repeats,
                    "sums_up": found.sums_up,
                }
            )
        )
        return
    click.echo(f"Message {message}: {found.state}")
    if found.state in (MessageState.PAUSED, MessageState.CANCELLED):
        click.echo(f"  reached {found.reached:,}, stopped {found.stopped:,}, in flight {found.in_flight:,}")
    for state, number in sorted(found.counts.items()):
        click.echo(f"  {state.replace('_', ' '):20} {number:>8,}")
    total = sum(found.counts.values())
    click.echo(
        f"  {'in all':20} {total:>8,}  (audience {found.audience if found.audience is not None else 'not yet planned'})"
    )
    if found.possible_repeats:
        click.echo(f"  possible repeats: {found.possible_repeats:,}")
    if not found.sums_up:
        fail("the counts do not sum to the audience: run `notifier doctor --ledger`")
