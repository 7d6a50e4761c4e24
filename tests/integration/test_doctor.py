"""`notifier doctor` as a command, on a ledger that is whole and on one that is not, on both databases."""

import json
from collections.abc import Callable
from datetime import time
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select, update

from notifier.cli import notifier
from notifier.db import Database
from notifier.delivery import nightly
from notifier.delivery.findings import Proved
from notifier.models import Delivery, Message
from subscribers.signing import Keys
from tests.integration.ledger import publish, world_of
from tests.processes import outside_the_loop

Doctor = Callable[..., Result]
KEY = "a-secret-that-only-the-tests-know"


@pytest.fixture
def keys() -> Keys:
    """As the command reads them from its environment."""
    return Keys([KEY])


@pytest.fixture
def doctor(database_url: str) -> Doctor:
    """Runs the command on the test's database."""
    environment = {
        "NOTIFIER_DATABASE_URL": database_url,
        "NOTIFIER_SECRET_KEYS": KEY,
        "NOTIFIER_CHANNELS": "memory",
        "NOTIFIER_REDIS_URL": "",
    }

    def run(*words: str) -> Result:
        runner = CliRunner(env=environment)
        return outside_the_loop(lambda: runner.invoke(notifier, ["doctor", *words]))

    return run


async def test_the_doctor_names_what_is_wrong_by_its_id_and_ends_with_1(db: Database, doctor: Doctor) -> None:
    message = await publish(db, await world_of(db))
    sound = doctor("--ledger", "--json")
    assert (sound.exit_code, [each["ok"] for each in json.loads(sound.stdout)]) == (0, [True])
    async with db.transaction() as tx:
        one = await tx.scalar(select(func.min(Delivery.id)))
        await tx.execute(update(Delivery).where(Delivery.id == one).values(state="accepted"))
        await tx.execute(update(Message).values(audience_count=9))
    broken = doctor("--ledger", "--json")
    assert broken.exit_code == 1
    told = {each["check"]: each["detail"] for each in json.loads(broken.stdout) if not each["ok"]}
    assert told["ledger: state"].endswith(f"delivery {one}: it says accepted, its record makes it pending")
    assert told["ledger: audience"] == f"message {message}: 8 deliveries for a frozen audience of 9"
    assert "3 wrong (1 audience, 1 evidence, 1 state)" in told["ledger"]


async def test_the_doctor_adds_up_and_says_when_it_was_proved(db: Database, doctor: Doctor) -> None:
    await publish(db, await world_of(db))
    assert "the counts of 1 messages sum to their audiences; not proved yet" in doctor().stdout
    async with db.transaction() as tx:
        begun = await nightly.begin(tx, at=time(3, 30), zone=ZoneInfo("Europe/London"))
        assert begun is not None
        await nightly.finish(tx, begun, Proved(deliveries=8, messages=1))
        await tx.execute(update(Message).values(audience_count=9))
    found = doctor()
    assert found.exit_code == 1
    assert "8 deliveries for a frozen audience of 9" in found.stdout
    async with db.transaction() as tx:
        await tx.execute(update(Message).values(audience_count=8))
    assert "last proved 20" in doctor().stdout
