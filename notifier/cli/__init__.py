"""The `notifier` command. Each command's module is imported only when it is called, since some cost a second."""

from importlib import import_module

import click

# command → module that holds it under that name
COMMANDS = {
    "areas": "notifier.cli.areas",
    "channels": "notifier.cli.channels",
    "config": "notifier.cli.operate",
    "demo": "notifier.cli.demo",
    "doctor": "notifier.cli.operate",
    "explain": "notifier.cli.explain",
    "hold": "notifier.cli.holds",
    "holds": "notifier.cli.holds",
    "incoming": "notifier.cli.incoming",
    "messages": "notifier.cli.messages",
    "migrate": "notifier.cli.operate",
    "push-key": "notifier.cli.push_key",
    "release": "notifier.cli.holds",
    "serve": "notifier.cli.run",
    "staff": "notifier.cli.people",
    "subscribers": "notifier.cli.people",
    "teams": "notifier.cli.people",
    "work": "notifier.cli.run",
}


class Lazy(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = getattr(
            import_module(COMMANDS[cmd_name]), f"{cmd_name.replace('-', '_')}_command"
        )
        return found


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="notifier")
def notifier() -> None:
    """Messages between residents and their local police team."""


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed, 2 usage."""
    notifier()
