"""`notifier push-key`: the key pair by which push services know us. Made once: browsers subscribe to it."""

import json

import click

from channels import vapid


@click.command("push-key")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def push_key_command(*, as_json: bool) -> None:
    """Make a key for notifications in browsers. Keep it: with another one, everybody must turn them on again."""
    made = vapid.make_key()
    shown = {"NOTIFIER_PUSH_VAPID_KEY": made, "public_key": vapid.public_key(vapid.read_key(made))}
    if as_json:
        click.echo(json.dumps(shown, indent=2))
        return
    click.echo(f"NOTIFIER_PUSH_VAPID_KEY={made}")
    click.echo(f"# Browsers are told: {shown['public_key']}")
