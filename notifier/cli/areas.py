"""`notifier areas import`: brings postcode files and names of areas into the database.

The edge of `subscribers.postcode_import`: opens a transaction for each few thousand lines, draws the
progress bar, and says what changed.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path

import click

from notifier import runtime
from notifier.cli.edge import run
from notifier.db import Database
from subscribers import area_names, postcode_files, postcode_import
from subscribers.area_names import NotANamesFile
from subscribers.dialects import analyze
from subscribers.postcode_changes import Effect
from subscribers.postcode_files import NotAPostcodeFile, PostcodeFile
from subscribers.postcode_import import BATCH_ROWS, Import

AREA_CODE = re.compile(r"[A-Z][0-9]{8}")
VINTAGE = re.compile(r"(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)

SAID = {
    Effect.NEW: "new",
    Effect.MOVED: "moved to another ward",
    Effect.TERMINATED: "no longer used",
    Effect.RETURNED: "in use again",
    Effect.CORRECTED: "corrected",
    Effect.UNCHANGED: "unchanged",
    Effect.OLDER: "known from a newer file",
    Effect.OUTSIDE: "of other boroughs, left out",
    Effect.REPEATED: "repeated lines",
    Effect.UNREADABLE: "lines without a postcode",
}


@dataclass(frozen=True, kw_only=True)
class Order:
    """What was asked for on the command line."""

    file: Path
    boroughs: frozenset[str]
    names: Sequence[Path]
    header: Path | None
    vintage: str
    quiet: bool


@click.group("areas")
def areas_command() -> None:
    """Wards, boroughs and postcodes."""


@areas_command.command("import")
@click.argument("words", metavar="FILE", nargs=-1, required=True)
@click.option("--borough", "boroughs", metavar="CODE ...", multiple=True, help="Keep these boroughs alone.")
@click.option("--names", type=READABLE, multiple=True, help="A CSV file of codes and names of areas.")
@click.option("--header", type=READABLE, help="The column file published beside a file without a header.")
@click.option("--vintage", metavar="YYYY-MM", help="Month the file describes. Default: told by its name.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def import_command(
    words: tuple[str, ...],
    boroughs: tuple[str, ...],
    names: tuple[Path, ...],
    header: Path | None,
    vintage: str | None,
    as_json: bool,
) -> None:
    """Import postcodes with their wards, and serve those wards.

    FILE is the ONS Postcode Directory, the National Statistics Postcode Lookup or OS Code-Point Open,
    as CSV, plain or gzipped, of any vintage. Importing a file again changes nothing.
    """
    file, codes = _file_and_codes(words, boroughs)
    today = date.today()  # noqa: DTZ011 -- the month is enough
    month = vintage or vintage_of(file.name, today) or f"{today:%Y-%m}"
    if not VINTAGE.fullmatch(month) or month > f"{today:%Y-%m}":
        raise click.UsageError(f"--vintage {month}: write a past month as YYYY-MM, for example 2024-08")
    order = Order(file=file, boroughs=codes, names=names, header=header, vintage=month, quiet=as_json)
    try:
        done, nameless = run(_import(order))
    except (NotAPostcodeFile, NotANamesFile, runtime.BadConfiguration) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(_as_json(done, order), indent=2) if as_json else _as_text(done, order, nameless))
    if missing := sorted(codes - done.boroughs_met):
        raise click.ClickException(f"no postcode of {', '.join(missing)} in {file.name}")
    if not done.boroughs_met and done.lines == done.effects[Effect.UNREADABLE]:
        raise click.ClickException(f"nothing was imported: {file.name} holds no postcodes")


def vintage_of(name: str, today: date) -> str | None:
    """The month a file's name tells: `2024-08`, `AUG_2024`; a year alone means its last month so far."""
    lower = name.lower()
    if found := re.search(r"(?<!\d)(20\d\d)[-_.]?(0[1-9]|1[0-2])(?!\d)", lower):
        return f"{found[1]}-{found[2]}"
    if found := re.search(rf"({'|'.join(MONTHS)})[a-z]*[-_. ]?(20\d\d)(?!\d)", lower):
        return f"{found[2]}-{MONTHS.index(found[1]) + 1:02}"
    if found := re.search(r"(?<!\d)(20\d\d)(?!\d)", lower):
        return min(f"{found[1]}-12", f"{today:%Y-%m}")
    return None


def _file_and_codes(words: tuple[str, ...], boroughs: tuple[str, ...]) -> tuple[Path, frozenset[str]]:
    """The one file among the words. Further codes after `--borough CODE` arrive among them too."""
    spare = [word for word in words if AREA_CODE.fullmatch(word)] if boroughs else []
    files = [word for word in words if word not in spare]
    codes = frozenset(code for given in (*boroughs, *spare) for code in given.replace(",", " ").split())
    if wrong := sorted(code for code in codes if not AREA_CODE.fullmatch(code)):
        raise click.UsageError(f"--borough {wrong[0]}: an area code looks like E09000001")
    if len(files) != 1:
        raise click.UsageError(f"give one FILE, not {len(files)}: {' '.join(files)}")
    file = Path(files[0])
    if not file.is_file():
        raise click.UsageError(f"there is no file {file}")
    return file, codes


async def _import(order: Order) -> tuple[Import, int]:
    names = {code: name for path in order.names for code, name in area_names.read(path).items()}
    header = postcode_files.header_of(order.header) if order.header else None
    with postcode_files.opened(order.file, header=header) as opened:
        done = Import(layout=opened.layout, vintage=order.vintage, boroughs=order.boroughs)
        async with runtime.open_service(runtime.environment(), sends=False) as service:
            await import_file(service.db, opened, done, quiet=order.quiet)
            async with service.db.transaction() as tx:
                await postcode_import.name_areas(tx, names)
                return done, await postcode_import.count_nameless(tx)


async def import_file(db: Database, opened: PostcodeFile, into: Import, *, quiet: bool = True) -> None:
    """All of a file, a transaction for each few thousand lines. Interrupted, it is simply run again."""
    with _bar(opened, quiet) as moved:
        while batch := list(islice(opened.rows, BATCH_ROWS)):
            async with db.transaction() as tx:
                await postcode_import.take(tx, batch, into)
            moved()
    for area in sorted(into.postcode_areas):
        async with db.transaction() as tx:
            await postcode_import.mark_gone(tx, area, into)
    async with db.transaction() as tx:
        await postcode_import.end_wards(tx, into)
    async with db.transaction() as tx:
        await analyze(tx, *postcode_import.FILLED, written=into.written)


@contextmanager
def _bar(opened: PostcodeFile, quiet: bool) -> Iterator[Callable[[], None]]:
    if quiet:
        yield lambda: None
        return
    with click.progressbar(length=opened.size, label="Reading postcodes", file=sys.stderr) as bar:

        def moved() -> None:
            bar.update(opened.position() - bar.pos)

        yield moved
        bar.update(opened.size - bar.pos)


def _as_text(done: Import, order: Order, nameless: int) -> str:
    counts = [(SAID[effect], done.effects[effect]) for effect in Effect if done.effects[effect]]
    counts.append(("gone: in no newer file", done.gone))
    lines = [f"{order.file.name}, vintage {order.vintage}: {done.lines:,} lines"]
    lines += [f"  {count:>11,}  {said}" for said, count in counts]
    lines.append(
        f"  {len(done.wards_met):,} wards in {len(done.boroughs_met):,} boroughs; {done.wards_ended:,} ended"
    )
    lines += [f"  no postcode in: {cells}" for cells in done.unreadable]
    if "ward" not in done.layout:
        lines.append("  The file has no wards: those known before are kept.")
    if nameless:
        lines.append(f"  {nameless:,} areas have no name yet: give a code list with --names.")
    return "\n".join(lines)


def _as_json(done: Import, order: Order) -> dict[str, object]:
    return {
        "file": order.file.name,
        "vintage": order.vintage,
        "lines": done.lines,
        **{effect.value: done.effects[effect] for effect in Effect},
        "gone": done.gone,
        "wards": len(done.wards_met),
        "boroughs": len(done.boroughs_met),
        "wards_ended": done.wards_ended,
    }
