"""A message of the small world, planned: what the ledger's tests start from."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select

from notifier.broadcast import approve, digest, draft, plan, report
from notifier.db import Database
from notifier.delivery.claim import Claimed
from notifier.delivery.content import Contents, Ready
from notifier.delivery.mark import mark
from notifier.delivery.send import tried
from notifier.delivery.settle import decide
from notifier.delivery.settled import record
from notifier.models import Delivery
from notifier.worker import Worker
from tests.world import World, make_people, make_places, ward


async def publish(db: Database, world: World, *, wards: tuple[int, ...] = (0, 1), **changes: object):  # type: ignore[no-untyped-def]
    """A message of the first team, approved and planned; its id."""
    fields = {
        "kind": "priority_update",
        "texts": {"en": ("Patrols tonight", "We will be in the park from 6pm. **Come and say hello.**")},
        "areas": tuple(ward(i) for i in wards),
        "media": ("email", "sms"),
    }
    async with db.transaction() as tx:
        message = await draft.save(tx, draft.Draft(**(fields | changes)), team=world.teams[0], author=None)  # type: ignore[arg-type]
        expected = await approve.reach(tx, message)
        await approve.approve(tx, message, team=world.teams[0], officer=None)
    done = False
    while not done:
        async with db.transaction() as tx:
            done = await plan.plan_page(tx, message, page=7)
    async with db.transaction() as tx:
        found = await report.progress(tx, message)
    assert found is not None
    assert found.audience == expected.deliveries
    return message


async def states(db: Database, message: object) -> Counter[str]:
    async with db.transaction(read_only=True) as tx:
        return Counter(
            (await tx.execute(select(Delivery.state).where(Delivery.message_id == message))).scalars()
        )


async def digests_until(db: Database, worker: Worker, until: datetime) -> int:
    """Plan what is due in digests by that moment; how many."""
    made, done = 0, False
    while not done:
        async with db.transaction() as tx:
            step = await digest.plan_page(tx, worker.service.settings, until=until)
        made, done = made + step.digests, step.done
    return made


async def world_of(db: Database, people: int = 12, **kind: object) -> World:
    async with db.transaction() as tx:
        world = await make_places(tx)
        await make_people(tx, world, people, **kind)  # type: ignore[arg-type]
    return world


def next_change(month: int) -> date:
    """The next last Sunday of that month: when the clocks of London change, in March and October."""
    today = datetime.now(UTC).date() + timedelta(days=1)
    found = (date(year, month, 31) for year in (today.year, today.year + 1))
    sundays = (day - timedelta(days=(day.weekday() + 1) % 7) for day in found)
    return next(day for day in sundays if day > today)


async def deliver(worker: Worker, rows: Sequence[Claimed]) -> None:
    """Mark, send and settle these rows, one after the other, and nothing more."""
    db, channels = worker.service.db, worker.service.channels
    contents = Contents(worker.service.settings, channels, db.keys)
    async with db.transaction() as tx:
        words = await contents.load(tx, rows)
    ready = contents.compiled(rows, words)
    async with db.transaction() as tx:
        started = await mark(tx, rows, worker.owner, timeout_seconds=10)
    changes = []
    for each in started:
        compiled = ready[each.id]
        assert isinstance(compiled, Ready)
        channel = channels[each.channel]
        outcome = await channel.send(contents.outgoing(each, compiled))
        facts = tried(each, channel.capabilities.idempotency)
        changes.append(decide(outcome, facts, now=datetime.now(UTC), jitter=0.5))
    async with db.transaction() as tx:
        await record(tx, changes)
