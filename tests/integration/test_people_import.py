"""Imports by the real commands: good files, bad rows, twice, and never those who left."""

import asyncio
import csv
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, insert, select, update

from notifier.broadcast import leaving
from notifier.cli import notifier
from notifier.db import Database
from notifier.models import Notice, Officer, OfficerRole, Role, Team, TeamContactPoint, TeamUse
from notifier.staff import api_tokens
from subscribers import contact_points, subscriptions
from subscribers.evidence import history
from subscribers.imports import COLUMNS
from subscribers.models import (
    Area,
    AreaKind,
    ConsentEvent,
    ContactPoint,
    ContactPointState,
    Postcode,
    Subscriber,
    Subscription,
)
from tests.integration.people import URL, contact
from tests.world import BOROUGH, make_people, make_places, ward

KEY = "a secret that only the tests know"
ELSEWHERE = "E05000001"
POSTCODES: dict[str, dict[str, Any]] = {
    "SE5 9AA": {"ward_code": ward(0)},
    "SE5 9AB": {"ward_code": ward(1)},
    "SE5 9ZZ": {"ward_code": ward(1), "terminated": "2019-06"},
    "SE5 9XX": {"ward_code": None},
    "N1 1AA": {"ward_code": ELSEWHERE},
}


class Desk:
    """A migrated database with places, and the command beside it."""

    def __init__(self, db: Database, url: str, folder: Path) -> None:
        self.db, self.folder = db, folder
        self.environment = {
            "NOTIFIER_DATABASE_URL": url,
            "NOTIFIER_SECRET_KEYS": KEY.replace(" ", "-"),
            "NOTIFIER_CHANNELS": "memory",
        }

    def write(self, rows: Sequence[Sequence[str]], header: Sequence[str] = COLUMNS) -> Path:
        file = self.folder / "people.csv"
        with file.open("w", newline="") as handle:
            csv.writer(handle).writerows([header, *rows])
        return file

    async def run(self, *words: str, typed: str | None = None) -> Result:
        runner = CliRunner(env=self.environment)
        return await asyncio.to_thread(runner.invoke, notifier, words, input=typed)

    async def run_apart(self, *words: str) -> tuple[int | None, bytes]:
        """The same in a process of its own: (exit code, what it printed)."""
        program = "from notifier.cli import main; main()"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            *words,
            env=os.environ | self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        printed, _ = await process.communicate()
        return process.returncode, printed

    async def bring(self, rows: Sequence[Sequence[str]], *words: str) -> dict[str, Any]:
        result = await self.run("subscribers", "import", str(self.write(rows)), "--json", *words)
        assert result.exit_code in (0, 1), result.output
        found: dict[str, Any] = json.loads(result.stdout)
        assert result.exit_code == (0 if found["written"] else 1)
        return found

    async def counts(self) -> list[int]:
        tables = (Subscriber, ContactPoint, Subscription, ConsentEvent, Notice)
        async with self.db.transaction(read_only=True) as tx:
            return [await tx.scalar(select(func.count()).select_from(table)) for table in tables]


def row(number: int, **changes: str) -> list[str]:
    cells = {
        "email": f"import{number}@mail.example",
        "phone": f"+4477009005{number:02}",
        "postcode": "SE5 9AA",
        "name": f"Person {number}",
        "language": "en",
        "consent_at": "2025-03-31",
        "consent_source": "paper form, library",
    }
    return [(cells | changes)[column] for column in COLUMNS]


@pytest.fixture
def keys() -> Any:
    from subscribers.signing import Keys

    return Keys([KEY.replace(" ", "-")])


@pytest.fixture
async def desk(db: Database, database_url: str, tmp_path: Path) -> Desk:
    async with db.transaction() as tx:
        world = await make_places(tx)
        await make_people(tx, world, 1)
        outside = {"code": ELSEWHERE, "kind": AreaKind.WARD, "name": "Elsewhere", "served": False}
        await tx.execute(insert(Area), outside)
        for postcode, values in POSTCODES.items():
            await tx.execute(insert(Postcode).values(postcode=postcode, **values))
    return Desk(db, database_url, tmp_path)


async def test_imported_people_are_active_at_once_with_the_consent_they_gave(desk: Desk) -> None:
    before = await desk.counts()
    found = await desk.bring([row(1), row(2, phone="", postcode="SE5 9AB", language="cy", name="")])
    assert found == {"written": True, "rows": 2, "added": 2, "known": 0, "errors": []}
    assert [after - was for after, was in zip(await desk.counts(), before, strict=True)] == [2, 3, 12, 3, 0]
    email = await contact(desk.db, "email", "import1@mail.example")
    assert email.is_active
    assert email.subscriber is not None
    async with desk.db.transaction() as tx:
        person = await subscriptions.person(tx, email.subscriber)
        assert person is not None
        assert (person.name, person.postcode, person.home_area_code) == ("Person 1", "SE5 9AA", ward(0))
        assert await subscriptions.areas_of(tx, email.subscriber) == {ward(0): "Abbey"}
        [event] = await history(tx, [email.id])
        opened = await contact_points.addresses(tx, [email.id])
    assert (event.source, event.at.isoformat()) == ("paper form, library", "2025-03-31T00:00:00+00:00")
    assert opened == {email.id: "import1@mail.example"}


async def test_the_same_file_twice_changes_nothing(desk: Desk) -> None:
    rows = [row(number) for number in range(5)]
    await desk.bring(rows)
    before = await desk.counts()
    assert await desk.bring(rows) == {"written": True, "rows": 5, "added": 0, "known": 5, "errors": []}
    assert await desk.counts() == before


async def test_the_same_file_by_two_people_at_once_is_written_once(desk: Desk) -> None:
    rows = [row(number) for number in range(20)]
    file = str(desk.write(rows))
    ended = await asyncio.gather(*(desk.run_apart("subscribers", "import", file, "--json") for _ in range(2)))
    assert [code for code, _ in ended] == [0, 0]
    found = [json.loads(printed) for _, printed in ended]
    assert sorted((each["added"], each["known"]) for each in found) == [(0, 20), (20, 0)]


BAD = [
    (row(50, email="no-tld@domain"), "email", "Enter an email address"),
    (row(51, phone="020 7946 0991"), "phone", "Enter a UK mobile number"),
    (row(52, phone="07723 456789 (Bob)"), "phone", "Enter a UK mobile number"),
    (row(53, phone="7.72346E+09"), "phone", "spreadsheet"),
    (row(54, postcode="SE5 9AD"), "postcode", "no such postcode"),
    (row(55, postcode="N1 1AA"), "postcode", "do not work"),
    (row(56, postcode="SE5 9ZZ"), "postcode", "no longer used"),
    (row(57, postcode="SE5 9XX"), "postcode", "do not know the ward"),
    (row(58, email="", phone=""), "email", "or a mobile number"),
    (row(59, consent_at="2031-01-01"), "consent_at", "future"),
    (row(60, email="", phone="+447700900990"), "phone", "team's own"),
]


async def test_one_bad_row_keeps_the_whole_file_out(desk: Desk) -> None:
    before = await desk.counts()
    found = await desk.bring([row(1), *(cells for cells, _, _ in BAD)])
    assert not found["written"]
    assert [(each["line"], each["column"]) for each in found["errors"]] == [
        (number + 3, column) for number, (_, column, _) in enumerate(BAD)
    ]
    for error, (_, _, part) in zip(found["errors"], BAD, strict=True):
        assert part in error["sentence"]
    assert await desk.counts() == before


async def test_bad_rows_are_skipped_only_when_asked(desk: Desk) -> None:
    before = await desk.counts()
    found = await desk.bring([row(1), *(cells for cells, _, _ in BAD), row(2)], "--skip-bad")
    assert (found["written"], found["added"], len(found["errors"])) == (True, 2, len(BAD))
    assert [after - was for after, was in zip(await desk.counts(), before, strict=True)] == [
        2,
        4,
        12 * 1,
        4,
        0,
    ]


async def test_who_left_is_never_revived(desk: Desk) -> None:
    await desk.bring([row(number, phone="") for number in range(4)])
    for number, how in enumerate(("stop", "erase", "bounce", "stop_area")):
        point = await contact(desk.db, "email", f"import{number}@mail.example")
        assert point.subscriber is not None
        async with desk.db.transaction() as tx:
            if how == "stop":
                await leaving.stop(tx, point.id, source="text", public_url=URL)
            elif how == "erase":
                await leaving.erase(tx, point.subscriber, source="web")
            elif how == "bounce":
                bounced = {"state": ContactPointState.BOUNCED}
                await tx.execute(update(ContactPoint).where(ContactPoint.id == point.id).values(bounced))
            else:
                await leaving.stop_area(tx, point.id, ward(0), source="text", public_url=URL)
    before = await desk.counts()
    found = await desk.bring([row(number, phone="") for number in range(4)], "--skip-bad")
    assert (found["added"], found["known"]) == (0, 1)  # the fourth is here still, and left as they are
    assert [(each["line"], each["column"]) for each in found["errors"]] == [
        (2, "email"),
        (3, "email"),
        (4, "email"),
    ]
    assert "asked us not to write" in found["errors"][1]["sentence"].lower()
    assert await desk.counts() == before
    assert (await contact(desk.db, "email", "import0@mail.example")).state is ContactPointState.STOPPED


async def test_errors_are_told_by_line_without_repeating_an_address(desk: Desk) -> None:
    file = desk.write([row(1), row(2, email="two..dots@mail.example")])
    result = await desk.run("subscribers", "import", str(file))
    assert result.exit_code == 1
    assert "line 3, email: Enter an email address like name@example.com" in result.stderr
    assert "Nothing was written: 1 of 2 rows are bad." in result.stdout
    assert "two..dots" not in result.output


@pytest.mark.parametrize("header", [[*COLUMNS, "notes"], ["Email Address", *COLUMNS[1:]], COLUMNS[1:]])
async def test_a_header_that_does_not_fit_is_a_fault_of_the_command(desk: Desk, header: list[str]) -> None:
    result = await desk.run("subscribers", "import", str(desk.write([row(1)], header)))
    assert result.exit_code == 2
    assert "column" in result.stderr.lower()


async def test_a_file_that_never_ends_or_is_a_folder_is_refused(desk: Desk) -> None:
    for path, part in (("/dev/zero", "larger than"), (str(desk.folder), "cannot be read")):
        result = await desk.run("subscribers", "import", path)
        assert result.exit_code == 2
        assert part in result.stderr


TEAMS = ("team", "areas", "email", "sms_numbers")


async def test_teams_come_from_a_file_and_a_second_time_nothing_changes(desk: Desk) -> None:
    rows = [
        ["River team", f"{ward(0)} {ward(1)}", "river@force.example", "+447700900801 07700 900802"],
        ["Borough\n team", BOROUGH, "", ""],  # as a spreadsheet wraps it
    ]
    for expected in ({"new": 2, "unchanged": 0}, {"new": 0, "unchanged": 2}):
        result = await desk.run("teams", "import", str(desk.write(rows, TEAMS)), "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == {
            "written": True,
            "rows": 2,
            "changed": 0,
            "errors": [],
            **expected,
        }
    async with desk.db.transaction() as tx:
        uses = await tx.execute(
            select(TeamContactPoint.use)
            .join(Team, Team.id == TeamContactPoint.team_id)
            .where(Team.slug == "river-team")
        )
        assert sorted(uses.scalars()) == [TeamUse.REPLY, TeamUse.SENDER, TeamUse.SENDER]
        assert await tx.scalar(select(Team.name).where(Team.slug == "borough-team")) == "Borough team"
    assert (await contact(desk.db, "sms", "+447700900802")).subscriber is None


async def test_a_bad_team_keeps_the_whole_file_out(desk: Desk) -> None:
    rows = [
        ["Good team", ward(0), "", ""],
        ["good  TEAM", ward(1), "", ""],
        ["Lost team", "E05123456", "not-an-address", "12"],
        ["", ward(1), "", ""],
        ["Greedy team", ward(1), "person0@mail.example", ""],
    ]
    result = await desk.run("teams", "import", str(desk.write(rows, TEAMS)), "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert not found["written"]
    assert [(each["line"], each["column"]) for each in found["errors"]] == [
        (3, "team"),
        (4, "areas"),
        (4, "email"),
        (4, "sms_numbers"),
        (5, "team"),
        (6, ""),
    ]
    async with desk.db.transaction() as tx:
        assert await tx.scalar(select(Team.id).where(Team.slug == "good-team")) is None


async def test_an_officer_and_a_token_are_made_by_command(desk: Desk) -> None:
    words = ["--email", "R.Jones@force.example", "--name", "Sgt R. Jones", "--role", "sergeant"]
    team = ["--team", "Abbey and Bridge team"]
    added = await desk.run("staff", "add", *words, *team, "--password-stdin", typed="copper kettle lane\n")
    assert added.exit_code == 0, added.output
    again = await desk.run("staff", "add", *words, "--password-stdin", typed="copper kettle lane\n")
    short = await desk.run("staff", "add", *words, "--password-stdin", typed="short\n")
    wrong = await desk.run("staff", "add", "--email", "x", *words[2:], "--password-stdin", typed="x\n")
    assert [again.exit_code, short.exit_code, wrong.exit_code] == [1, 1, 2]
    async with desk.db.transaction() as tx:
        rows = select(Officer.name, OfficerRole.role, OfficerRole.team_id).join(OfficerRole)
        [officer] = await tx.execute(rows)
        found = await tx.scalar(select(Team.id).where(Team.slug == "abbey-bridge"))
    assert (officer.name, officer.role, officer.team_id) == ("Sgt R. Jones", Role.SERGEANT, found)
    made = await desk.run("staff", "token", *team, "--scope", "read", "--scope", "write", "--json")
    assert made.exit_code == 0, made.output
    async with desk.db.transaction() as tx:
        caller = await api_tokens.read(tx, json.loads(made.stdout)["token"])
    assert caller is not None
    assert (caller.team, len(caller.scopes)) == (found, 2)
    nobody = await desk.run("staff", "token", "--team", "No such team", "--scope", "read")
    assert nobody.exit_code == 1


# --- Accounts -----------------------------------------------------------------------------------

X_AND_MASTODON = {
    "NOTIFIER_CHANNELS": "email_smtp social_mastodon social_x",
    "NOTIFIER_SMTP_URL": "smtp://127.0.0.1:9",
    "NOTIFIER_MAIL_DOMAIN": "link.example",
    "NOTIFIER_MASTODON_ACCOUNTS": "@alder@police.example=t",
    "NOTIFIER_X_CONSUMER_KEY": "k",
    "NOTIFIER_X_CONSUMER_SECRET": "s",
    "NOTIFIER_X_ACCOUNTS": "@alder=t:s",
}


async def accounts(desk: Desk) -> dict[str, str | None]:
    """Account of the team → the channel kept with it."""
    team = select(Team.id).where(Team.slug == "alder").scalar_subquery()
    statement = select(TeamContactPoint).where(TeamContactPoint.team_id == team)
    async with desk.db.transaction(read_only=True) as tx:
        rows = (await tx.execute(statement)).all()
        names = await contact_points.addresses(tx, [row.contact_point_id for row in rows])
    return {names[row.contact_point_id]: row.channel for row in rows}


async def test_a_team_is_given_accounts_each_with_the_channel_that_knows_such(desk: Desk) -> None:
    desk.environment |= X_AND_MASTODON
    await desk.run("teams", "import", str(desk.write([["Alder", ward(0), "", ""]], TEAMS)))
    for account in ("@Alder@Police.example", "@Alder", "@Alder"):
        given = await desk.run("teams", "account", "Alder", account)
        assert given.exit_code == 0, given.output
    assert await accounts(desk) == {"@alder@police.example": None, "@alder": "social_x"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("not an account",), "Enter an account"),
        (("@alder", "--channel", "social_mastodon"), "Enter a Mastodon account"),
        (("@alder", "--channel", "social_bluesky"), "not among the open channels"),
    ],
)
async def test_an_account_that_no_open_channel_knows_is_refused(
    desk: Desk, words: tuple[str, ...], said: str
) -> None:
    desk.environment |= X_AND_MASTODON
    await desk.run("teams", "import", str(desk.write([["Alder", ward(0), "", ""]], TEAMS)))
    refused = await desk.run("teams", "account", "Alder", *words)
    assert refused.exit_code == 2
    assert said in refused.output
    assert await accounts(desk) == {}


async def test_an_account_can_be_given_its_channel_and_taken_away(desk: Desk) -> None:
    desk.environment |= X_AND_MASTODON
    await desk.run("teams", "import", str(desk.write([["Alder", ward(0), "", ""]], TEAMS)))
    assert (await desk.run("teams", "account", "Alder", "@alder", "--channel", "social_x")).exit_code == 0
    assert await accounts(desk) == {"@alder": "social_x"}
    assert (await desk.run("teams", "account", "Alder", "@alder", "--remove")).exit_code == 0
    assert await accounts(desk) == {}
    assert (await desk.run("teams", "account", "Alder", "@alder", "--remove")).exit_code == 1
