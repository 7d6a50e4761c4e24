"""`python -m benchmarks [NAME …] [--scale small|full] [--json FILE]`: runs, prints a table, writes JSON."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks import audience, lanes, mail, texts
from benchmarks.result import Figure, table
from tests.servers import describe_postgres, describe_redis


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much of everything. bulletin: people behind the alert; small, large: sizes that are compared."""

    mails: int
    fallback_mails: int
    texts: int
    bulletin: int
    alerted: int
    small: int
    large: int
    people: int


SCALES = {
    "small": Scale(
        mails=10_000,
        fallback_mails=3_000,
        texts=3_000,
        bulletin=30_000,
        alerted=500,
        small=2_000,
        large=20_000,
        people=20_000,
    ),
    "full": Scale(
        mails=50_000,
        fallback_mails=20_000,
        texts=10_000,
        bulletin=200_000,
        alerted=5_000,
        small=10_000,
        large=1_000_000,
        people=1_000_000,
    ),
}

Work = Callable[[Scale], Sequence[Figure]]
ALL: dict[str, Work] = {
    "pipelined": lambda s: [mail.against_the_bare_loop(s.mails, connections=64, plain=False)],
    "fallback": lambda s: [mail.against_the_bare_loop(s.fallback_mails, connections=64, plain=True)],
    "planner": lambda s: [mail.after_idle_polling(s.fallback_mails, connections=64)],
    "late": lambda s: [mail.late_sink(s.fallback_mails, connections=16)],
    "audience": lambda s: audience.run(s.people),
    "size": lambda s: mail.with_size(s.small, s.large, connections=64),
    "lanes": lambda s: [lanes.urgent_under_load(bulletin=s.bulletin, alerted=s.alerted)],
    "embedded": lambda s: [mail.embedded_against_servers(s.fallback_mails, connections=32)],
    "texts": lambda s: [texts.against_bare_posts(s.texts)],
    "workers": lambda s: [mail.two_workers(s.fallback_mails)],
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(ALL)))
@click.option("--scale", type=click.Choice(list(SCALES)), default="full", show_default=True)
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), default=Path("bench.json"))
def main(names: tuple[str, ...], scale: str, file: Path) -> None:
    """Measure; exit code 1 where a target is missed."""
    figures: list[Figure] = []
    began = time.monotonic()
    for name in names or ALL:
        click.echo(f"[{time.monotonic() - began:6.0f} s] {name} …", err=True)
        found = ALL[name](SCALES[scale])
        click.echo(table(found))
        figures += found
    machine = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "postgresql": describe_postgres(),
        "redis": describe_redis(),
        "scale": scale,
        "seconds": round(time.monotonic() - began),
    }
    file.write_text(
        json.dumps({"machine": machine, "figures": [f.as_json() for f in figures]}, indent=2) + "\n"
    )
    click.echo(f"\n{table(figures)}\n\n{machine}\nAlso in {file}")
    sys.exit(1 if any(figure.met is False for figure in figures) else 0)


if __name__ == "__main__":
    main()
