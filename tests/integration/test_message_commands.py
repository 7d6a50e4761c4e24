"""`messages send --at` and `explain` as an operator calls them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from notifier.cli import notifier
from notifier.db import Database
from notifier.models import Message
from subscribers.signing import Keys
from tests.integration.ledger import next_change, world_of
from tests.processes import outside_the_loop
from tests.world import World, ward

Call = Callable[..., Result]
SECRET = "a-secret-that-only-the-tests-know"
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def keys() -> Keys:
    """A ring that an environment variable can hold."""
    return Keys([SECRET])


@pytest.fixture
async def world(db: Database) -> World:
    return await world_of(db, 2)


@pytest.fixture
def call(world: World, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command line of an operator, in a world where people wait for words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", database_url)
    monkeypatch.setenv("NOTIFIER_SECRET_KEYS", SECRET)
    (tmp_path / "body.md").write_text("Come and talk to us.")
    return lambda *words: outside_the_loop(lambda: CliRunner().invoke(notifier, list(words)))


def send(call: Call, *words: str) -> Result:
    team = ("--team", "Abbey and Bridge team", "--kind", "news", "--area", ward(0), "--title", "Coffee")
    return call("messages", "send", *team, "--medium", "email", "--json", "--body-file", "body.md", *words)


@pytest.mark.parametrize(
    ("month", "hour", "minute", "said"),
    [
        (3, 1, 0, "so that time does not exist: it is "),
        (10, 0, 30, "it is the first time, before they go back (BST)"),
    ],
)
async def test_the_command_line_takes_the_next_real_time_or_the_first_of_two(
    db: Database, call: Call, month: int, hour: int, minute: int, said: str
) -> None:
    day = next_change(month)
    done = send(call, "--at", f"{day.isoformat()}T01:30")
    assert done.exit_code == 0, done.output
    assert said in done.stderr
    async with db.transaction(read_only=True) as tx:
        at = await tx.scalar(select(Message.send_at))
    assert at == datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


async def test_explain_takes_a_person_and_a_message(call: Call, world: World) -> None:
    message = json.loads(send(call).stdout)["id"]
    mine = call("explain", str(world.subscribers[0]), message)
    assert mine.exit_code == 0, mine.output
    assert "By email: The list of who gets the message is being made. [planning]" in mine.stdout
    assert "By text message: It was not sent by text message. [channel]" in mine.stdout
    other = json.loads(call("explain", str(world.subscribers[1]), message, "--json").stdout)
    assert other["told"] == [
        {"medium": None, "delivery": None, "rule": "area", "why": "They follow none of its areas."}
    ]
    assert call("explain", "nobody", message).exit_code == 2
    assert call("explain", message, message).exit_code == 1


async def test_an_audience_is_narrowed_on_the_command_line(call: Call, db: Database) -> None:
    done = send(call, "--sample", "1", "--seed", "4", "--language", "en", "--exclude-area", ward(1))
    assert done.exit_code == 0, done.output
    async with db.transaction(read_only=True) as tx:
        stored = (await tx.execute(select(Message.criteria))).scalar_one()
    assert stored["sample"] | {"marks": None} == {"size": 1, "seed": 4, "marks": None}
    assert (stored["languages"], stored["without"]) == (["en"], {"areas": [ward(1)]})


def test_what_is_no_distance_is_said(call: Call) -> None:
    done = send(call, "--near", "SE5 9AA")
    assert done.exit_code == 2
    assert "POSTCODE:METRES" in done.output
