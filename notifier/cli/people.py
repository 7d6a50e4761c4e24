"""Commands about people: `subscribers import`, `teams import`, `staff add`, `staff token`.

The edge of `subscribers.imports` and `notifier.staff`: opens the one transaction, shows progress, says
what was done. Exit codes: 0 done, 1 rows or rules refuse, 2 the command or the file makes no sense.
"""

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import click
from sqlalchemy import select

from channels import addresses
from channels.errors import BadAddress
from notifier.cli import accounts
from notifier.cli.edge import environment_or_exit, fail, run
from notifier.db import Tx
from notifier.errors import Conflict, Invalid, NotFound
from notifier.models import Role
from notifier.runtime import open_service
from notifier.staff import api_tokens, officers, passwords, teams
from notifier.staff.api_tokens import Scope
from notifier.staff.teams import Saved, TeamPlan
from subscribers import csv_files, imports
from subscribers.admit import FILLED, admit, one_at_a_time
from subscribers.csv_files import BadFile, CsvFile, CsvRow
from subscribers.dialects import analyze
from subscribers.imports import BadCell, DateOrder, Readers, RowError
from subscribers.models import Area
from subscribers.topics import ensure_topics

ACTOR = "command"
TEAM_COLUMNS = ("team", "areas", "email", "sms_numbers")
MOST_SHOWN = 50
READABLE = click.Path(exists=True, dir_okay=True, path_type=Path)


class NothingWritten(Exception):
    """Some rows are bad, and the whole file was left out: the transaction is rolled back by this."""


@dataclass(kw_only=True)
class Report:
    """What came of a file."""

    rows: int = 0
    done: dict[str, int] = field(default_factory=dict)
    errors: list[RowError] = field(default_factory=list)
    is_written: bool = True

    def as_json(self) -> str:
        errors = [vars(error) for error in self.errors]
        return json.dumps({"written": self.is_written, "rows": self.rows, **self.done, "errors": errors})


# --- Subscribers --------------------------------------------------------------------------------


@click.group("subscribers")
def subscribers_command() -> None:
    """People who receive messages."""


@subscribers_command.command("import")
@click.argument("file", type=READABLE)
@click.option("--skip-bad", is_flag=True, help="Write the good rows although others are bad.")
@click.option(
    "--dates",
    type=click.Choice([order.value for order in DateOrder]),
    help="What 01/02/2025 means. Not needed for dates like 2025-02-01.",
)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def import_subscribers(file: Path, skip_bad: bool, dates: str | None, as_json: bool) -> None:
    """Bring in people whose consent is on record. Nothing is sent to them.

    FILE is CSV with the columns email, phone, postcode, name, language, consent_at, consent_source in
    any order. Nothing is written unless every row is good, or --skip-bad is given. Importing the same
    file twice changes nothing; who asked us to stop is never added again.
    """
    opened = _open(file, imports.COLUMNS)
    report = run(_import_subscribers(opened, skip_bad, DateOrder(dates) if dates else None))
    _tell(report, as_json)


async def _import_subscribers(opened: CsvFile, skip_bad: bool, order: DateOrder | None) -> Report:
    report = Report(rows=len(opened.rows), done={"added": 0, "known": 0})
    readers = Readers(email=_email, phone=_phone, order=order)
    async with open_service(environment_or_exit(), sends=False) as service:
        try:
            async with service.db.transaction() as tx:
                await one_at_a_time(tx)
                await ensure_topics(tx)
                await _admit_all(tx, opened, readers, report)
                if report.errors and not skip_bad:
                    raise NothingWritten
            async with service.db.transaction() as tx:
                await analyze(tx, *FILLED, written=report.done["added"])
        except NothingWritten:
            report.is_written, report.done = False, {"added": 0, "known": report.done["known"]}
    return report


async def _admit_all(tx: Tx, opened: CsvFile, readers: Readers, report: Report) -> None:
    with click.progressbar(length=len(opened.rows), label="Importing people", file=sys.stderr) as bar:
        for checked in imports.check(opened.rows, readers, tx.now):
            admitted = await admit(tx, checked.good)
            report.errors += [*checked.errors, *admitted.errors]
            report.done["added"] += admitted.added
            report.done["known"] += admitted.known
            bar.update(imports.BATCH_ROWS)
    report.errors.sort(key=lambda error: error.line)


# --- Teams --------------------------------------------------------------------------------------


@click.group("teams")
def teams_command() -> None:
    """Teams, the areas they cover, the addresses they write from."""


@teams_command.command("import")
@click.argument("file", type=READABLE)
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def import_teams(file: Path, as_json: bool) -> None:
    """Make the teams of FILE so: CSV with the columns team, areas, email, sms_numbers.

    Area codes and numbers are separated by spaces. A team without areas is a central one, which may write
    everywhere. Importing again changes only what differs; teams not named are left alone.
    """
    opened = _open(file, TEAM_COLUMNS)
    _tell(run(_import_teams(opened)), as_json)


@teams_command.command("account")
@click.argument("team")
@click.argument("account")
@click.option(
    "--channel", help="What posts there. Without it: the first open channel that knows such accounts."
)
@click.option("--remove", is_flag=True, help="Post there no more.")
def give_account(team: str, account: str, channel: str | None, remove: bool) -> None:
    """Give TEAM an ACCOUNT for posts; it may have several. Safe to run twice.

    ACCOUNT is @abbeypolice on X, @abbey@police.example on Mastodon, abbey.example on Bluesky, or the number of a
    Facebook page.
    """
    spelt = _usage(_account, account)
    if remove:
        run(accounts.take(team, spelt))
    else:
        run(accounts.give(team, spelt, channel))


async def _import_teams(opened: CsvFile) -> Report:
    report = Report(rows=len(opened.rows), done={saved.value: 0 for saved in Saved})
    async with open_service(environment_or_exit(), sends=False) as service:
        try:
            async with service.db.transaction() as tx:
                known = set((await tx.execute(select(Area.code))).scalars())
                named: dict[str, int] = {}
                for row in opened.rows:
                    await _save_team(tx, row, known, named, report)
                if report.errors:
                    raise NothingWritten
        except NothingWritten:
            report.is_written, report.done = False, dict.fromkeys(report.done, 0)
    return report


async def _save_team(tx: Tx, row: CsvRow, known: set[str], named: dict[str, int], report: Report) -> None:
    plan = _team_plan(row, known, report.errors)
    if plan is None:
        return
    first = named.setdefault(teams.slug_of(plan.name), row.line)
    if first != row.line:
        report.errors.append(_row_error(row, "team", f"The same team stands in line {first}"))
        return
    try:
        _, saved = await teams.save(tx, plan)
    except Conflict as error:
        report.errors.append(_row_error(row, "", str(error)))
        return
    report.done[saved.value] += 1


def _team_plan(row: CsvRow, known: set[str], errors: list[RowError]) -> TeamPlan | None:
    if row.cells is None:
        errors.append(_row_error(row, "", "More or fewer cells than the header has"))
        return None
    before = len(errors)
    cells = row.cells
    codes = tuple(cells["areas"].upper().split())
    if not teams.slug_of(cells["team"]):
        errors.append(_row_error(row, "team", "Give the team's name"))
    if unknown := [code for code in codes if code not in known]:
        errors.append(_row_error(row, "areas", f"We know no area {', '.join(unknown)}"))
    found = []
    for typed in cells["email"].split():
        found += _try(row, "email", typed, errors)
    for typed in _numbers(cells["sms_numbers"]):
        found += _try(row, "sms_numbers", typed, errors)
    if len(errors) > before:
        return None
    name = " ".join(cells["team"].split())  # a cell may hold line breaks; the name stands in headers of mail
    return TeamPlan(name=name, area_codes=codes, addresses=tuple(found))


def _numbers(cell: str) -> list[str]:
    """Numbers separated by spaces; `07700 900123` is one number, written as people do."""
    return re.findall(r"\+?\d{6,}|0\d{3,4} \d{3} ?\d{3,4}|\S+", cell)


def _try(row: CsvRow, column: str, typed: str, errors: list[RowError]) -> list[tuple[str, str]]:
    medium, reader = ("email", _email) if column == "email" else ("sms", _own_number)
    try:
        return [(medium, reader(typed))]
    except BadCell as error:
        errors.append(_row_error(row, column, str(error)))
        return []


def _row_error(row: CsvRow, column: str, sentence: str) -> RowError:
    return RowError(line=row.line, column=column, sentence=sentence)


# --- Staff --------------------------------------------------------------------------------------


@click.group("staff")
def staff_command() -> None:
    """Officers, and tokens for programs."""


@staff_command.command("add")
@click.option("--email", required=True)
@click.option("--name", required=True, help="As colleagues see it, for example: Sgt J. Rai")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@click.option("--team", help="Name of the team the role counts in. Without it, it counts everywhere.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def add_officer(email: str, name: str, role: str, team: str | None, password_stdin: bool) -> None:
    """Add an officer who can sign in at the desk. Asks for the password."""
    typed = sys.stdin.readline().rstrip("\r\n") if password_stdin else _asked()
    run(_add_officer(_usage(_email, email), name.strip(), Role(role), team, typed))
    click.echo(f"{name} can sign in.")


async def _add_officer(email: str, name: str, role: Role, team: str | None, password: str) -> None:
    try:
        password_hash = await passwords.hashed(password)
    except ValueError as error:
        raise Invalid({"password": str(error)}) from error
    async with open_service(environment_or_exit(), sends=False) as service, service.db.transaction() as tx:
        await officers.add(
            tx,
            email=email,
            name=name,
            password_hash=password_hash,
            role=role,
            team=await _team(tx, team) if team else None,
            actor=ACTOR,
        )


@staff_command.command("token")
@click.option("--team", required=True, help="Name of the team whose token it is.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; give it twice for both.",
)
@click.option("--officer", help="Email of the officer it acts for: needed to answer residents.")
@click.option("--days", type=click.IntRange(1, 3650), help="Good for so many days. Without it, for good.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def make_token(
    team: str, scopes: tuple[str, ...], officer: str | None, days: int | None, as_json: bool
) -> None:
    """Make a bearer token for the API. It is shown this once."""
    token = run(_make_token(team, frozenset(Scope(scope) for scope in scopes), officer, days))
    click.echo(json.dumps({"token": token}) if as_json else token)


async def _make_token(team: str, scopes: frozenset[Scope], officer: str | None, days: int | None) -> str:
    async with open_service(environment_or_exit(), sends=False) as service, service.db.transaction() as tx:
        whose = await officers.find(tx, _usage(_email, officer)) if officer else None
        if officer and (whose is None or whose.is_disabled):
            raise NotFound(f"There is no officer {officer!r}.")
        return await api_tokens.make(
            tx,
            await _team(tx, team),
            scopes,
            actor=ACTOR,
            officer=whose.id if whose else None,
            good_for=timedelta(days=days) if days else None,
        )


async def _team(tx: Tx, name: str) -> UUID:
    found = await teams.find(tx, name)
    if found is None:
        raise NotFound(f"There is no team {name!r}.")
    return found


def _asked() -> str:
    given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return given


# --- Shared -------------------------------------------------------------------------------------


def _open(file: Path, columns: Iterable[str]) -> CsvFile:
    """The file, read no further than one byte over the limit. Exit code 2 where it cannot be read."""
    try:
        with file.open("rb") as handle:
            content = handle.read(csv_files.LARGEST_BYTES + 1)
        return csv_files.read(content, list(columns))
    except BadFile as error:
        fail(f"{error}.", code=2)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.", code=2)


def _tell(report: Report, as_json: bool) -> None:
    """Say what was done; exit code 1 where bad rows kept all from being written."""
    if as_json:
        click.echo(report.as_json())
    else:
        for error in report.errors[:MOST_SHOWN]:
            where = f"line {error.line}, {error.column}" if error.column else f"line {error.line}"
            click.echo(f"{where}: {error.sentence}", err=True)
        if len(report.errors) > MOST_SHOWN:
            click.echo(f"… and {len(report.errors) - MOST_SHOWN} more", err=True)
        bad_lines = len({error.line for error in report.errors})
        done = ", ".join(f"{count} {what}" for what, count in report.done.items())
        bad = f", {bad_lines} bad" if bad_lines else ""
        click.echo(f"{report.rows} rows: {done}{bad}." if report.is_written else _refused(report, bad_lines))
    if not report.is_written:
        sys.exit(1)


def _refused(report: Report, bad_lines: int) -> str:
    return f"Nothing was written: {bad_lines} of {report.rows} rows are bad."


def _usage(reader: imports.Reader, typed: str) -> str:
    try:
        return reader(typed)
    except BadCell as error:
        fail(f"{error}.", code=2)


def _account(typed: str) -> str:
    try:
        return addresses.account(typed)
    except BadAddress as error:
        raise BadCell(str(error)) from error


def _email(typed: str) -> str:
    try:
        return addresses.email(typed)
    except BadAddress as error:
        raise BadCell(str(error)) from error


def _phone(typed: str) -> str:
    try:
        return addresses.uk_mobile(typed)
    except BadAddress as error:
        raise BadCell(str(error)) from error


def _own_number(typed: str) -> str:
    """A number of ours: a mobile, a landline that takes texts, or a short code."""
    number = addresses.incoming_number(typed)
    if not re.fullmatch(r"\+\d{8,15}|\d{5,6}", number):
        raise BadCell("Write the number like +447700900123, or a short code like 60606")
    return number
