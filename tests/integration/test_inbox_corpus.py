"""Real texts of real people: each is stored as it came, and stands in a queue."""

import pytest
from sqlalchemy import func, select

from notifier.db import Database
from notifier.inbox import receive
from notifier.models import ConversationEntry, IncomingRow, IncomingState
from tests import vectors
from tests.integration.replies import handled, make_world, store_text

OWN = [
    "gd mrng, any1 seen the van agn?",
    "£100 nicked from shed :(",
    "Diolch!",
    "ok c u thr  ",
    "<b>fine</b> & dandy",
]
EVERY = 19  # of the published texts, one in so many


@pytest.mark.timeout(300)
async def test_every_text_is_stored_unchanged_and_routed(db: Database) -> None:
    world = await make_world(db, 30)
    texts = OWN + [row["input"] for row in vectors.cases("sms/inbound_corpus.jsonl")[::EVERY]]
    numbers = [world.addresses[world.points[person, "sms"]] for person in world.subscribers]
    stored = {await store_text(db, numbers[at % len(numbers)], text): text for at, text in enumerate(texts)}
    states = [(await handled(db, incoming)).state for incoming in stored]
    assert set(states) == {IncomingState.ROUTED}
    async with db.transaction(read_only=True) as tx:
        rows = (await tx.execute(select(IncomingRow.id, IncomingRow.text_sealed))).all()
        entries = await tx.scalar(select(func.count(ConversationEntry.incoming_id.distinct())))
    assert {row.id: tx.keys.open_text(receive.TEXT, row.id, row.text_sealed) for row in rows} == stored
    assert entries == len(texts)
