"""The first of a large message go alone; faults pause it with the reason, and its author lets it go on."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select

from channels.base import Accepted, Failed, Outcome, Refusal, Refused
from channels.memory import Memory
from notifier.broadcast import approve, draft, plan, recall
from notifier.db import Database, Tx
from notifier.delivery.alarms import open_alarms
from notifier.delivery.canary import Canaries
from notifier.models import Canary, Message, MessageState
from notifier.worker import Worker
from tests.integration.ledger import world_of
from tests.world import World, ward

GOOD, BAD = Accepted(provider_id="1"), Failed(reason="connection refused")
SPAM = Refused(why=Refusal.CONTENT, reason="looks like spam")


async def large(db: Database, world: World, **changes: object):  # type: ignore[no-untyped-def]
    """A message of the first team that is large for a service where more than three are many; planned."""
    fields = {
        "kind": "priority_update",
        "texts": {"en": ("Patrols tonight", "We will be in the park.")},
        "areas": (ward(0), ward(1)),
        "media": ("email", "sms"),
    }
    async with db.transaction() as tx:
        new = draft.Draft(**(fields | changes))  # type: ignore[arg-type]
        message = await draft.save(tx, new, team=world.teams[0], author=None)
        await approve.approve(tx, message, team=world.teams[0], officer=None, canary_above=3)
    async with db.transaction() as tx:
        assert await plan.plan_page(tx, message)
    return message


async def seen(db: Database, canaries: Canaries, message: UUID, outcomes: Sequence[Outcome]) -> list[object]:
    async with db.transaction() as tx:
        return list(await canaries.observe(tx, [(message, outcome) for outcome in outcomes]))


async def standing(db: Database, message: object) -> tuple[str, str | None, str]:
    async with db.transaction(read_only=True) as tx:
        row = (await tx.execute(select(Message).where(Message.id == message))).one()
        return row.state, row.canary, row.paused_reason or ""


async def test_a_message_whose_first_ones_fail_pauses_itself_and_goes_on_when_resumed(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    message = await large(db, world)
    assert (await standing(db, message))[:2] == (MessageState.SENDING, Canary.WAITING)
    for address in world.addresses.values():
        memory.script(address, SPAM)
    await worker.drain()  # how many are on their way at once is the worker's affair
    state, canary, why = await standing(db, message)
    assert (state, canary) == (MessageState.PAUSED, Canary.FAILED)
    assert why in [f"{n} of the first {n} could not be sent: looks like spam." for n in range(5, 9)]
    async with db.transaction() as tx:
        assert [(alarm.kind, alarm.key) for alarm in await open_alarms(tx)] == [("message", str(message))]
        await recall.resume(tx, message, team=world.teams[0])
    async with db.transaction(read_only=True) as tx:
        assert await open_alarms(tx) == []
    assert await standing(db, message) == (MessageState.SENDING, Canary.PASSED, "")


async def test_25_good_ones_let_the_rest_go_whichever_workers_saw_them(db: Database) -> None:
    world = await world_of(db)
    message = await large(db, world)
    one, other = Canaries(), Canaries()
    await seen(db, one, message, [GOOD] * 12 + [BAD] * 2)
    await seen(db, other, message, [GOOD] * 10)
    assert (await standing(db, message))[1] == Canary.WAITING
    assert await seen(db, one, message, [GOOD]) == []
    assert (await standing(db, message))[1] == Canary.PASSED
    assert await seen(db, other, message, [BAD] * 9) == []  # not ten in a row
    assert (await standing(db, message))[0] == MessageState.SENDING
    assert await seen(db, other, message, [BAD]) == [message]
    state, _, why = await standing(db, message)
    assert (state, why) == (MessageState.PAUSED, "The last 10 could not be sent: connection refused.")


async def test_a_verdict_that_was_taken_back_is_given_again(db: Database) -> None:
    world = await world_of(db)
    message = await large(db, world)
    canaries = Canaries()
    async with db.engine.connect() as connection:  # a transaction that a crash ends
        tx = Tx(connection, now=datetime.now(UTC), keys=db.keys, carriers=db.carriers)
        await canaries.observe(tx, [(message, GOOD)] * 25)
        await connection.rollback()
    assert (await standing(db, message))[1] == Canary.WAITING
    await seen(db, canaries, message, [GOOD] * 25)
    assert (await standing(db, message))[1] == Canary.PASSED


async def test_an_alert_has_no_canary(db: Database) -> None:
    world = await world_of(db)
    message = await large(db, world, kind="alert")
    assert (await standing(db, message))[1] is None
    assert await seen(db, Canaries(), message, [BAD] * 30) == []


async def test_a_message_without_one_costs_one_question_and_then_none(db: Database) -> None:
    world = await world_of(db)
    message = await large(db, world, kind="alert")
    canaries = Canaries()
    async with db.transaction() as tx:
        asked = 0
        execute = tx.execute

        async def counted(*given: object) -> object:
            nonlocal asked
            asked += 1
            return await execute(*given)  # type: ignore[arg-type]

        tx.execute = counted  # type: ignore[method-assign,assignment]
        for _ in range(5):
            await canaries.observe(tx, [(message, GOOD)])
            await canaries.observe(tx, [(None, BAD)])
        assert asked == 1
