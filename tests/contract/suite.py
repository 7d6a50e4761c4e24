"""On which channels each test of the conformance suite is tried: `test_channels.py`, `test_channel_calls.py`."""

import pytest

from channels.base import CanBePolled
from channels.registry import find
from tests.contract.bench import Bench, Case
from tests.contract.benches import BENCHES


def on(*benches: Bench) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bench", benches, ids=[bench.name for bench in benches])


def where_possible(*cases: Case) -> pytest.MarkDecorator:
    return on(*(bench for bench in BENCHES if not bench.impossible.keys() & set(cases)))


every_channel = on(*BENCHES)
pollable = on(*(bench for bench in BENCHES if issubclass(find(bench.name), CanBePolled)))
