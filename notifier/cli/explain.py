"""`notifier explain`: why somebody got a message or did not, and what became of one delivery."""

import json
from collections.abc import Sequence
from uuid import UUID

import click

from channels.email_smtp import delivery_of
from notifier.broadcast.explain import Told, explain
from notifier.cli.edge import environment_or_exit, fail, run
from notifier.delivery.explain import Timeline, timeline
from notifier.delivery.tokens import read_delivery_token, read_reply_address
from notifier.errors import NotFound
from notifier.runtime import Service, environment, open_service
from subscribers.signing import Keys


@click.command("explain")
@click.argument("what", metavar="DELIVERY | SUBSCRIBER MESSAGE")
@click.argument("message", required=False, metavar="")
@click.option("--json", "as_json", is_flag=True)
def explain_command(what: str, message: str | None, *, as_json: bool) -> None:
    """Why a person got a message, got it later, or did not, and which rule decided.

    SUBSCRIBER and MESSAGE are ids. DELIVERY is a number, a token, a Message-ID or a reply address: it shows
    what happened step by step.
    """
    environment_or_exit()
    if message is None:
        run(_delivery(what, as_json=as_json))
    else:
        run(_person(_id(what, "subscriber"), _id(message, "message"), as_json=as_json))


async def _person(subscriber: UUID, message: UUID, *, as_json: bool) -> None:
    async with open_service(environment(), sends=False) as service:
        async with service.db.transaction(read_only=True) as tx:
            told = await explain(tx, subscriber, message, zone=service.settings.zone)
        _print_told(subscriber, message, told, as_json=as_json)


def _print_told(subscriber: UUID, message: UUID, told: Sequence[Told], *, as_json: bool) -> None:
    if not as_json:
        for each in told:
            number = f" (delivery {each.delivery})" if each.delivery else ""
            click.echo(f"{each.text} [{each.why.rule}]{number}")
        return
    lines = [
        {"medium": each.medium, "delivery": each.delivery, "rule": each.why.rule, "why": each.why.text}
        for each in told
    ]
    click.echo(json.dumps({"subscriber": str(subscriber), "message": str(message), "told": lines}))


async def _delivery(delivery: str, *, as_json: bool) -> None:
    async with open_service(environment(), sends=False) as service:
        id_ = _named(service.db.keys, delivery)
        async with service.db.transaction(read_only=True) as tx:
            found = await timeline(tx, id_, zone=service.settings.zone) if id_ is not None else None
        if found is None:
            raise NotFound(f"There is no delivery {delivery}.")
        _print_timeline(found, service, as_json=as_json)


def _named(keys: Keys, text: str) -> int | None:
    """The delivery that a number, a token, a Message-ID or a reply address names."""
    if text.isdecimal():
        return int(text)
    token = delivery_of(text) or text
    return read_delivery_token(keys, token) or read_reply_address(keys, text)


def _print_timeline(found: Timeline, service: Service, *, as_json: bool) -> None:
    if as_json:
        steps = [{"at": step.at.isoformat(), "what": step.what} for step in found.steps]
        said = {"id": found.id, "state": found.state, "channel": found.channel}
        why = {"rule": found.why.rule, "why": found.why.text}
        click.echo(json.dumps({**said, **why, "steps": steps}))
        return
    what = f"message {found.message_id}" if found.message_id else f"notice ({found.notice_kind})"
    click.echo(f"Delivery {found.id}: {what} by {found.channel}, lane {found.lane.name.lower()}")
    click.echo(f"  {found.why.text} [{found.why.rule}]")
    for step in found.steps:
        click.echo(f"  {step.at.astimezone(service.settings.zone):%d %b %Y %H:%M:%S}  {step.what}")
    repeat = "; a possible repeat" if found.maybe_repeat else ""
    click.echo(
        f"  Now: {found.state}{f' ({found.reason})' if found.reason else ''}, {found.tries} tries{repeat}"
    )


def _id(text: str, what: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        fail(f"{text} is not a {what}'s id", code=2)
