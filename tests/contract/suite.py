"""On which channels each test of the conformance suite is tried: `test_channel_claims.py`, `test_channels.py`, `test_channel_calls.py`."""

import pytest

from channels.base import CanBePolled, Outcome
from channels.registry import find
from tests.contract.bench import Bench, Case
from tests.contract.benches import BENCHES


def on(*benches: Bench) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bench", benches, ids=[bench.name for bench in benches])


def where_possible(*cases: Case) -> pytest.MarkDecorator:
    return on(*(bench for bench in BENCHES if not bench.impossible.keys() & set(cases)))


every_channel = on(*BENCHES)
pollable = on(*(bench for bench in BENCHES if issubclass(find(bench.name), CanBePolled)))


def expect(outcome: Outcome, *kinds: type[Outcome], because: str) -> None:
    """Fails with what came instead, and why it should not."""
    wanted = " or ".join(kind.__name__ for kind in kinds)
    assert isinstance(outcome, kinds), f"{outcome!r} should be {wanted}: {because}"
