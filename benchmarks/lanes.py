"""An alert published while a bulletin drains: from publication to the provider's yes, against an idle service."""

import asyncio
from uuid import UUID

from sqlalchemy import func, insert, select, update

from benchmarks.machine import Sink, percentile, sink
from benchmarks.result import Figure
from benchmarks.stage import Stage, Workers, approved, people, postgres_stage, publish, settled
from notifier.db import Database
from notifier.delivery.settle import ACCEPTED
from notifier.models import Attempt, Delivery, Message
from subscribers.models import Area, Subscription

ALERTED = "mill-lane"
# The bulletin is paced below what the far end takes, as an operator paces it: else an alert waits inside the provider.
RATE = 2000


async def alert(db: Database, team: UUID, area: str) -> list[float]:
    """Publish an alert as the desk does (the workers plan it); seconds to acceptance of each of its deliveries."""
    message = await approved(db, team, area, kind="alert")
    await _planned(db, message)
    await settled(db, message, seconds=120)
    async with db.transaction(read_only=True) as tx:
        published = await tx.scalar(select(Message.frozen_at).where(Message.id == message))
        ended = await tx.execute(  # a worker that was killed left attempts without an end
            select(func.min(Attempt.settled_at).label("at"))
            .join(Delivery, Delivery.id == Attempt.delivery_id)
            .where(Delivery.message_id == message, Attempt.outcome == ACCEPTED)
            .group_by(Delivery.id)
        )
        return [(row.at - published).total_seconds() for row in ended]


async def _planned(db: Database, message: UUID) -> None:
    for _ in range(600):
        async with db.transaction(read_only=True) as tx:
            if await tx.scalar(select(Message.audience_count).where(Message.id == message)):
                return
        await asyncio.sleep(0.02)
    raise AssertionError("the alert was not planned within 12 s")


async def gather(db: Database, number: int) -> None:
    """Make a neighbourhood of its own of so many people, for the alert."""
    one_each = select(func.min(Subscription.id)).where(Subscription.ended_at.is_(None))
    some = one_each.group_by(Subscription.subscriber_id).limit(number)
    async with db.transaction() as tx:
        await tx.execute(
            insert(Area), {"code": ALERTED, "kind": "custom", "name": "Mill Lane", "served": True}
        )
        await tx.execute(update(Subscription).where(Subscription.id.in_(some)).values(area_code=ALERTED))


async def compare(stage: Stage, far_end: Sink, *, bulletin: int, alerted: int, alerts: int) -> Figure:
    """The alert's p99 with and without a bulletin on its way."""
    settings = stage.settings(far_end, slots=16, NOTIFIER_RATES=f"email_smtp={RATE}")
    lanes = [["work", "--lanes", "urgent,transactional"], ["work", "--lanes", "ward,bulletin"]]
    async with stage.opened() as db:
        made = await people(stage, db, bulletin)
        await gather(db, alerted)
        with Workers(stage, settings, lanes) as running:
            await running.ready()
            idle = [await alert(db, made.team, ALERTED) for _ in range(alerts)]
            await publish(db, made.team, made.force)
            await asyncio.sleep(3)
            before = far_end.count()[0]
            busy = [await alert(db, made.team, ALERTED) for _ in range(alerts)]
            went = far_end.count()[0] - before - len(busy[0]) * alerts
            assert far_end.count()[0] < bulletin + 2 * len(busy[0]) * alerts, "the bulletin was over too soon"
    p99_idle = sorted(percentile(each, 0.99) for each in idle)[alerts // 2]
    p99_busy = sorted(percentile(each, 0.99) for each in busy)[alerts // 2]
    return Figure(
        name=f"d. alert to {alerted:,}: p99 while a bulletin drains ÷ idle",
        value=p99_busy / p99_idle,
        at_most=2.0,
        detail={
            "idle p99 ms": p99_idle * 1000,
            "busy p99 ms": p99_busy * 1000,
            "idle p50 ms": percentile([t for each in idle for t in each], 0.5) * 1000,
            "busy p50 ms": percentile([t for each in busy for t in each], 0.5) * 1000,
            "bulletin mails meanwhile": went,
            "bulletin of": bulletin,
        },
    )


def urgent_under_load(*, bulletin: int, alerted: int, alerts: int = 3) -> Figure:
    """d: the median of several alerts' p99, busy ÷ idle."""
    with postgres_stage() as stage, sink() as far_end:
        return asyncio.run(compare(stage, far_end, bulletin=bulletin, alerted=alerted, alerts=alerts))
