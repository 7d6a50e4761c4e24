"""Mail that no process should read whole: kept raw, set aside with the reason, shown, replayed; and the rest goes on."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from channels.base import HookRequest, Medium
from channels.memory import Memory
from channels.registry import Channels
from notifier import config
from notifier.cli import notifier
from notifier.db import Database
from notifier.errors import Conflict, NotFound
from notifier.inbox import quarantine, receive
from notifier.inbox.reader import CHEAP, Reader
from notifier.models import Conversation, ConversationEntry, IncomingKind, IncomingRow, IncomingState
from notifier.runtime import Service
from notifier.worker import Worker
from subscribers.models import new_id
from subscribers.signing import Keys
from tests.fakes.twilio import FakeTwilio
from tests.integration.replies import DOMAIN, SHARED_NUMBER, count, email, kept, mail, make_world, store_mail
from tests.processes import outside_the_loop

HOOK, TWILIO = "https://link.example/hooks/sms_twilio", FakeTwilio()
SECRET = "a-secret-that-only-the-tests-know"
HEAD = b"From: Sam <sam@resident.example>\r\nTo: desk@replies.example\r\nSubject: Lamp\r\nMessage-ID: <1@x.example>\r\n"
MANY_PARTS = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nsecret\r\n" * 3_000
COSTLY = HEAD + b"\r\n" + b"--\r\nx: y\r\n\r\n" * 900 + b"x\r\n" * 130_000


@pytest.fixture
async def worker(db: Database) -> AsyncIterator[Worker]:
    environment = config.build({"NOTIFIER_MAIL_DOMAIN": DOMAIN, "NOTIFIER_CHANNELS": "memory"})
    made = Worker(Service(environment=environment, db=db, channels=Channels([Memory()])), db.jobs)
    yield made
    await made._doorbell._reader.close()


async def routed(worker: Worker, incoming: UUID) -> tuple[str, str | None, str]:
    """The state, kind and reason of a message once the job has run."""
    await worker.handlers["route"](str(incoming))
    async with worker.service.db.transaction(read_only=True) as tx:
        row = (await tx.execute(select(IncomingRow).where(IncomingRow.id == incoming))).one()
    return row.state, row.kind, row.reason or ""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_long_letter_is_read_by_another_process_and_queued(db: Database, worker: Worker) -> None:
    world = await make_world(db)
    text = "It is dark on the bridge.\n" * (CHEAP // 20)
    state, kind, _ = await routed(worker, await store_mail(db, mail(sender=email(world), text=text)))
    assert (state, kind) == (IncomingState.ROUTED, IncomingKind.REPLY)
    assert worker._doorbell._reader.process_id is not None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(MANY_PARTS, "it has more than 100 parts"), (COSTLY, "it takes more than 0.02 s to read")],
)
async def test_what_exceeds_a_bound_is_set_aside_with_the_reason_and_the_next_mail_is_handled(
    db: Database, worker: Worker, raw: bytes, reason: str
) -> None:
    worker._doorbell._reader = Reader(cpu_seconds=0.02)
    await make_world(db)
    bomb = await store_mail(db, raw)
    assert await routed(worker, bomb) == (IncomingState.QUARANTINED, IncomingKind.UNREADABLE, reason)
    assert await count(db, Conversation) == 0
    state, _, _ = await routed(worker, await store_mail(db, mail(sender="kim@resident.example")))
    assert state == IncomingState.ROUTED
    async with db.transaction(read_only=True) as tx:
        [held] = await quarantine.listed(tx)
        found = await quarantine.shown(tx, bomb)
    assert (held.id, held.reason, held.channel) == (bomb, reason, receive.MAIL)
    assert (found.sender, found.subject, found.raw, found.is_call) == (
        "sam@resident.example",
        "Lamp",
        raw,
        False,
    )


async def test_what_was_set_aside_is_replayed_whole_or_by_its_headers(db: Database, worker: Worker) -> None:
    await make_world(db)
    worker._doorbell._reader = Reader(cpu_seconds=0.02)
    costly, parts = await store_mail(db, COSTLY), await store_mail(db, MANY_PARTS.replace(b"<1@", b"<2@"))
    for each in (costly, parts):
        assert (await routed(worker, each))[0] == IncomingState.QUARANTINED
    worker._doorbell._reader = Reader()
    async with db.transaction() as tx:
        await quarantine.replay(tx, costly)
        await quarantine.replay(tx, parts)
    assert (await routed(worker, costly))[0] == IncomingState.ROUTED
    assert (await routed(worker, parts))[0] == IncomingState.QUARANTINED
    async with db.transaction() as tx:
        await quarantine.replay(tx, parts, headers_only=True)
    assert (await routed(worker, parts))[0] == IncomingState.ROUTED
    async with db.transaction() as tx:
        entry = (
            await tx.execute(select(ConversationEntry).where(ConversationEntry.incoming_id == parts))
        ).one()
        text = tx.keys.open_text("conversation_entries.body", entry.id, entry.body_sealed)
        with pytest.raises(NotFound):
            await quarantine.replay(tx, parts)
    assert "Lamp" in text
    assert "secret" not in text
    assert receive.HEADERS_ALONE in text


@pytest.fixture
def keys() -> Keys:
    """As a setting can hold them."""
    return Keys([SECRET])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_operator_lists_shows_and_replays(
    db: Database, database_url: str, worker: Worker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("DATABASE_URL", database_url), ("SECRET_KEYS", SECRET), ("CHANNELS", "memory")):
        monkeypatch.setenv(f"NOTIFIER_{name}", value)
    run: Callable[..., Result] = lambda *words: CliRunner().invoke(notifier, ["incoming", *words])  # noqa: E731

    def typed(*words: str) -> Result:
        found: list[Result] = []
        outside_the_loop(lambda: found.append(run(*words)))
        return found[0]

    await make_world(db)
    assert typed("list").output == "Nothing is in quarantine.\n"
    bomb = await store_mail(db, MANY_PARTS)
    await routed(worker, bomb)
    [listed] = json.loads(typed("list", "--json").output)
    assert (listed["id"], listed["reason"]) == (str(bomb), "it has more than 100 parts")
    assert "100 parts" in typed("list").output
    shown = typed("show", str(bomb), "--raw", "bomb.eml").output
    assert "sam@resident.example" in shown
    assert "secret" not in shown
    assert (tmp_path / "bomb.eml").read_bytes() == MANY_PARTS
    assert typed("replay", str(bomb), "--headers-only").exit_code == 0
    [row] = await kept(db)
    assert (row.state, row.reason) == (IncomingState.STORED, receive.HEADERS_ALONE)
    assert typed("show", str(new_id())).exit_code == 1
    await calls_are_read_again_by_their_channel(db, typed, monkeypatch)
    assert typed("replay", "nonsense").exit_code == 2


async def calls_are_read_again_by_their_channel(
    db: Database, typed: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that an earlier release could not read comes into the queue; what makes no sense stays where it is."""
    fields = TWILIO.incoming_fields(sender="+447700900001", to=SHARED_NUMBER, body="It is dark.")
    body, headers = TWILIO.signed(HOOK, fields)
    async with db.transaction() as tx:
        call = HookRequest(url=HOOK, headers=headers, body=body)
        text = await receive.quarantine(tx, "sms_twilio", Medium.SMS, call, "reading it failed: KeyError")
        nonsense = await receive.quarantine(
            tx, "sms_twilio", Medium.SMS, replace(call, body=b"a=b"), "no number in it"
        )
        with pytest.raises(Conflict):
            await quarantine.replay(tx, text.id)
    assert "a provider's call" in typed("show", str(text.id)).output
    unset = typed("replay", str(text.id))
    assert (unset.exit_code, "NOTIFIER_TWILIO_ACCOUNT_SID" in unset.output) == (1, True)
    monkeypatch.setenv("NOTIFIER_TWILIO_ACCOUNT_SID", TWILIO.account_sid)
    monkeypatch.setenv("NOTIFIER_TWILIO_AUTH_TOKEN", TWILIO.auth_token)
    monkeypatch.setenv("NOTIFIER_SMS_NUMBERS", SHARED_NUMBER)
    assert "1 event" in typed("replay", str(text.id)).output
    assert typed("replay", str(text.id)).exit_code == 1
    still = typed("replay", str(nonsense.id))
    assert (still.exit_code, "still cannot read it" in still.output) == (1, True)
    states = [(row.channel, row.state, row.reason) for row in await kept(db)]
    assert ("sms_twilio", IncomingState.FILED, quarantine.READ_LATER) in states
    assert ("sms_twilio", IncomingState.STORED, None) in states
    assert ("sms_twilio", IncomingState.QUARANTINED, "no number in it") in states


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_process_that_reads_ends_with_its_worker(db: Database, worker: Worker) -> None:
    await make_world(db)
    await routed(worker, await store_mail(db, HEAD + b"\r\n" + b"It is dark.\r\n" * (CHEAP // 8)))
    reads = worker._doorbell._reader.process_id
    assert reads is not None
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0.1)
    worker.stop()
    await asyncio.wait_for(running, 30)
    with pytest.raises(ProcessLookupError):
        os.kill(reads, 0)
