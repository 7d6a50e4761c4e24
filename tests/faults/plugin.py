"""What pytest itself is told of the fault tests: how many trials, which seed, and the table at the end.

`tests/conftest.py` loads it. A test hands its line to `record_fault`; the lines of all workers come
together in the process that reports, which prints them once and, where asked, writes them as JSON.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pytest

TABLE_VARIABLE = "NOTIFIER_TEST_FAULT_TABLE"
SEED_VARIABLE = "NOTIFIER_TEST_SEED"
PROPERTY = "fault"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One fault and what came of it. bound: most repeats it may cause. recovery_seconds: at the factor of the test.

    planned: deliveries (or posts, or messages) that were to be. lost, repeats, flagged: of those.
    """

    fault: str
    on: str
    planned: int
    lost: int
    repeats: int
    bound: int
    flagged: int
    recovery_seconds: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Size:
    """How much is tried: `make test` tries each fault once and small, `make faults` all of it."""

    everything: bool

    def __call__(self, small: int, large: int) -> int:
        return large if self.everything else small


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--faults",
        choices=("small", "all"),
        default="small",
        help="small: each fault once; all: a thousand kills, ten thousand trials (make faults)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "once_on(kind): where each fault is tried once, it is on this database; else on both"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `kill_round` runs once, or ten times where everything is tried.

    And one marked `once_on` runs on that kind of database, or on both.
    """
    everything = metafunc.config.getoption("--faults") == "all"
    if "kill_round" in metafunc.fixturenames:
        metafunc.parametrize("kill_round", range(10 if everything else 1))
    if mark := metafunc.definition.get_closest_marker("once_on"):
        name = "kind" if "kind" in metafunc.fixturenames else "database_url"
        kinds = ["sqlite", "postgresql"] if everything else [mark.args[0]]
        both = pytest.mark.parametrize(name, kinds, indirect=name == "database_url")
        metafunc.definition.add_marker(both)  # pytest reads it next, and passes over the fixture's own kinds


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> Size:
    """`size(50, 1000)`: the number for this run."""
    return Size(request.config.getoption("--faults") == "all")


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """What a schedule is drawn from. The seed stands in the report of a test that failed; set it to replay."""
    seed = os.environ.get(SEED_VARIABLE) or str(random.SystemRandom().randrange(10**9))
    print(f"{SEED_VARIABLE}={seed}")  # noqa: T201 - pytest shows it where the test fails
    return random.Random(f"{seed} {request.node.name}")  # noqa: S311 - a schedule, no secret


@pytest.fixture
def record_fault(request: pytest.FixtureRequest) -> Callable[[Line], None]:
    """Puts a line into the table."""

    def record(line: Line) -> None:
        request.node.user_properties.append((PROPERTY, asdict(line)))

    return record


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table: fault → planned, lost, repeats, bound, flagged, recovery."""
    lines = sorted(_lines(terminalreporter.stats), key=lambda line: (_number(line["fault"]), line["on"]))
    if not lines:
        return
    if file := os.environ.get(TABLE_VARIABLE):
        Path(file).write_text(json.dumps(lines, indent=1) + "\n")
    names = [field.name for field in fields(Line)]
    cells = [[_shown(line[name]) for name in names] for line in lines]
    heads = [name.replace("_", " ") for name in names]
    widths = [max(len(row[at]) for row in [heads, *cells]) for at in range(len(names))]
    terminalreporter.section("faults")
    for row in [heads, *cells]:
        terminalreporter.write_line(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _lines(stats: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for reports in stats.values():
        for report in reports:
            if getattr(report, "when", "") != "call":
                continue
            yield from (line for name, line in report.user_properties if name == PROPERTY)


def _number(fault: str) -> int:
    digits = "".join(c for c in fault.split(maxsplit=1)[0] if c.isdigit())
    return int(digits or 0)


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return (
        f"{value:.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )
