"""The benches of the installed channels: each file beside this one holds one, as BENCH."""

from importlib import import_module
from pkgutil import iter_modules

from tests.contract.bench import Bench

BENCHES: tuple[Bench, ...] = tuple(
    import_module(f"{__name__}.{found.name}").BENCH for found in iter_modules(__path__)
)
