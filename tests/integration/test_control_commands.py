"""`notifier hold`, `release`, `holds`, and what `notifier messages` stops and puts right, as an operator types them."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from channels.base import Refusal, Refused
from notifier.cli import notifier
from notifier.cli.messages import RECALLED
from notifier.db import Database
from notifier.delivery import gate
from notifier.delivery.alarms import open_alarms
from notifier.delivery.claim import claim, put_back
from notifier.delivery.gate import Candidate, Gate
from notifier.models import Delivery, Lane
from subscribers.signing import Keys
from tests.integration.ledger import publish, states, world_of
from tests.processes import outside_the_loop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SECRET = "a-secret-that-only-the-tests-know"
Type = Callable[..., Result]


@pytest.fixture
def keys() -> Keys:
    """As a setting can hold them."""
    return Keys([SECRET])


@pytest.fixture
def typed(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Type:
    """Types a command; what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", database_url)
    monkeypatch.setenv("NOTIFIER_SECRET_KEYS", SECRET)
    monkeypatch.setenv("NOTIFIER_CHANNELS", "memory")

    def run(*words: str, stdin: str = "") -> Result:
        found: list[Result] = []
        outside_the_loop(lambda: found.append(CliRunner().invoke(notifier, words, input=stdin)))
        return found[0]

    return run


async def test_an_operator_holds_lists_and_releases(db: Database, typed: Type) -> None:
    await world_of(db, 1)
    assert typed("holds").output == "Nothing is held.\n"
    assert typed("hold", "team", "abbey-bridge", "--reason", "wrong words").exit_code == 0
    assert typed("hold", "system", "--reason", "a drill").output == "Held: system\n"
    assert typed("hold", "system", "--reason", "again").exit_code == 1
    held = json.loads(typed("holds", "--json").output)
    assert [(each["scope"], each["name"], each["reason"]) for each in held] == [
        ("system", "", "a drill"),
        ("team", "Abbey and Bridge team", "wrong words"),
    ]
    assert typed("release", "system").exit_code == 0
    assert typed("release", "system").exit_code == 1
    for wrong, code in (
        (("hold", "team", "nobody", "--reason", "x"), 1),
        (("hold", "channel", "pigeon", "--reason", "x"), 1),
        (("hold", "channel", "--reason", "x"), 2),
        (("hold", "system", "all", "--reason", "x"), 2),
    ):
        assert typed(*wrong).exit_code == code, wrong


async def test_an_operator_stops_a_message_and_sends_no_double(db: Database, typed: Type) -> None:
    world = await world_of(db)
    message = await publish(db, world)
    for command, state in RECALLED.items():
        if command != "cancel":
            shown = json.loads(typed("messages", command, str(message), "--json").output)
            assert shown["state"] == {"paused": "paused", "resumed": "sending"}[state]
    words = ("--title", "Patrols tonight", "--body-file", "-")
    asked = ("messages", "send", "--team", "abbey-bridge", "--kind", "news", "--area", "E05990001", *words)
    body = "We will be in the park from 6pm. **Come and say hello.**"
    again = typed(*asked, stdin=body)
    assert again.exit_code == 1
    assert "The same words were approved on" in again.output
    corrected = ("messages", "correct", str(message), "--title", "Not tonight", "--body-file", "-")
    assert "still going out" in typed(*corrected, stdin="Tomorrow.").output
    nobody = typed(*corrected, "--stop-first", stdin="Tomorrow.")
    assert "Nobody got the message it corrects" in nobody.output
    assert await states(db, message) == {"pending": 8}  # all or nothing
    assert typed("messages", "cancel", str(message)).exit_code == 0
    assert await states(db, message) == {"cancelled": 8}
    assert typed(*asked, "--allow-duplicate", stdin=body).exit_code == 0


async def test_a_channel_that_was_shut_is_tried_at_once_when_its_test_was_taken(
    db: Database, typed: Type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    message = await publish(db, await world_of(db))
    shut, no_credit = Gate(keys=db.keys), Refused(why=Refusal.NOT_ALLOWED, reason="no credit")
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 5, "a worker")
        await shut.learn(tx, [gate.Result(channel="memory", outcome=no_credit)])
        admitted = await shut.admit(tx, [Candidate(id=row.id, channel=row.channel) for row in rows])
        await put_back(tx, admitted.back, "a worker")
    assert await due_at_once(db, message) == 3
    listed = typed("channels").output
    assert "no credit" in listed.partition("not open")[0]
    assert "none accepted yet" in listed
    memory = next(each for each in json.loads(typed("channels", "--json").output) if each["name"] == "memory")
    assert (memory["state"], memory["number"], memory["needs"]) == ("operator", 1, [])
    test = ("channels", "test", "memory", "--medium", "sms", "--to")
    refused = typed(*test, "07700 900")
    assert (refused.exit_code, await due_at_once(db, message)) == (1, 3)
    taken = typed(*test, "07700 900123")
    assert (taken.exit_code, taken.output.count("memory was shut")) == (0, 1)
    assert await due_at_once(db, message) == 8
    async with db.transaction(read_only=True) as tx:
        assert await open_alarms(tx) == []
        assert await claim(tx, Lane.WARD, 1, "a worker")
    monkeypatch.setenv("NOTIFIER_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")
    assert typed(*test, "07700 900123").exit_code == 0, "it needs no database"
    unseen = typed("channels")
    assert (unseen.exit_code, "state not known" in unseen.output) == (0, True)
    assert "`notifier migrate` makes one" in unseen.output


async def due_at_once(db: Database, message: UUID) -> int:
    async with db.transaction(read_only=True) as tx:
        due = select(func.count()).where(Delivery.message_id == message, Delivery.due_at <= tx.now)
        return int(await tx.scalar(due) or 0)
