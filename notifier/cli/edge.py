"""What commands share: settings or a clear end, and errors in plain words."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

import click

from notifier.config import BadConfiguration, Environment
from notifier.errors import Invalid, ServiceError
from notifier.runtime import environment

T = TypeVar("T")


def fail(sentence: str, code: int = 1) -> NoReturn:
    """Say what is wrong on standard error, and end."""
    click.echo(click.style("Error: ", fg="red") + sentence, err=True)
    sys.exit(code)


def environment_or_exit() -> Environment:
    """The settings; exit code 2 and a sentence where they make no sense."""
    try:
        return environment()
    except BadConfiguration as error:
        fail(str(error), code=2)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; what the service refuses becomes a sentence and exit code 1."""
    try:
        return asyncio.run(work)
    except Invalid as error:
        for name, sentence in error.fields.items():
            click.echo(f"  {name}: {sentence}", err=True)
        fail("Nothing was done.")
    except (ServiceError, BadConfiguration) as error:
        fail(str(error))
