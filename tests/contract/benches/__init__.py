"""The benches of the installed channels: a file beside this one holds one as BENCH; another package names its own
by an entry point, as it names its channel."""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules

from tests.contract.bench import Bench

GROUP = "notifier.channel_benches"


def _found() -> Iterator[Bench]:
    for module in iter_modules(__path__):
        bench: Bench = import_module(f"{__name__}.{module.name}").BENCH
        yield bench
    for point in entry_points(group=GROUP):
        theirs: Bench = point.load()
        yield theirs


BENCHES = tuple(_found())
