"""Receipts on both databases: late, repeated, reversed, before our own settle, or naming nothing we know."""

import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import func, select, update

from channels.base import Accepted, Failed, Idempotency, Outcome, Progress, Receipt, Refusal, Refused, Unknown
from notifier.broadcast.notices import notice
from notifier.db import Database, Tx
from notifier.delivery import evidence, proof, receipts
from notifier.delivery.alarms import open_alarms
from notifier.delivery.claim import Claimed, claim
from notifier.delivery.mark import mark
from notifier.delivery.send import tried
from notifier.delivery.settle import decide
from notifier.delivery.settled import record
from notifier.delivery.sweep import sweep
from notifier.delivery.tokens import attempt_token
from notifier.models import Attempt, Delivery, Lane, NoticeKind, ReceiptRow
from subscribers.models import ContactPoint, ContactPointState
from tests.integration.ledger import publish, world_of

SEED = 20261122
Act = Callable[[Tx, Claimed], Awaitable[object]]


async def started(db: Database, people: int) -> list[Claimed]:
    """That many texts, marked and not yet answered."""
    world = await world_of(db, people, media=("sms",), wards=(0,))
    await publish(db, world, wards=(0,))
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, people, "worker")
    async with db.transaction() as tx:
        return await mark(tx, rows, "worker", timeout_seconds=10)


async def tells(
    tx: Tx, start: Claimed, progress: Progress, *, by: str = "token", event: str = "", says: str = ""
) -> bool:
    """The provider's word on an attempt. by: what it names the attempt by. says: more, of the address."""
    name = f"SM{start.id}"
    token = attempt_token(tx.keys, start.id, start.number) if by == "token" else "unreadable"
    word = Receipt(
        event_id=event or f"{name}:{progress}:{by}",
        provider_id=name,
        attempt=token,
        progress=progress,
        at=None,
        raw=b"{}",
        permanent=says == "permanent",
        opted_out=says == "opted out",
    )
    return await receipts.record(tx, start.channel, word)


async def settles(tx: Tx, start: Claimed, outcome: Outcome) -> None:
    if isinstance(outcome, Accepted):
        outcome = Accepted(provider_id=f"SM{start.id}")
    await record(tx, [decide(outcome, tried(start, Idempotency.NONE), now=tx.now, jitter=0)])
    if isinstance(outcome, Accepted):
        await receipts.match_orphans(tx, start.channel, {outcome.provider_id: (start.id, start.number)})


async def lapses(tx: Tx, start: Claimed) -> None:
    """The lease of this one row runs out, and the sweep comes by."""
    lapsed = update(Delivery).where(Delivery.id == start.id, Delivery.lease_until.is_not(None))
    await tx.execute(lapsed.values(lease_until=tx.now - timedelta(seconds=1)))
    await sweep(tx)


def said(*words: str, by: str = "token") -> list[Act]:
    return [partial(tells, progress=Progress(word), by=by) for word in words]


def settled(outcome: Outcome) -> Act:
    return partial(settles, outcome=outcome)


TAKEN, LOST = Accepted(provider_id="SM"), Unknown(reason="no answer")
NEVER = Refused(why=Refusal.CONTENT, reason="no")
# What happens, in any order → where it must end.
STORIES: dict[str, tuple[list[Act], str]] = {
    "taken, on its way, there": ([settled(TAKEN), *said("sent", "delivered"), lapses], "delivered"),
    "no answer, and it came": ([settled(LOST), *said("sent", "delivered"), lapses], "delivered"),
    "no answer, and it left": ([settled(LOST), *said("sent", "sent"), lapses], "accepted"),
    "taken, not delivered": ([settled(TAKEN), *said("undelivered", "sent"), lapses], "undelivered"),
    "contradictions": ([settled(TAKEN), *said("undelivered", "delivered", "sent")], "delivered"),
    "bounced after all": ([settled(TAKEN), *said("delivered", "bounced"), lapses], "bounced"),
    "complained": ([settled(TAKEN), *said("complained", "bounced", "delivered")], "complained"),
    "refused, and yet it came": ([settled(NEVER), *said("sent", "delivered")], "delivered"),
    "named by the provider alone": ([settled(TAKEN), *said("sent", "delivered", by="name")], "delivered"),
    "named both ways": ([settled(TAKEN), *said("sent"), *said("delivered", by="name"), lapses], "delivered"),
}
EACH = 3  # orders tried of each story, drawn by the seed


async def test_whatever_the_order_the_end_is_the_same(db: Database) -> None:
    dice = random.Random(SEED)  # noqa: S311 - a schedule to be repeated, no secret
    told: list[tuple[str, Sequence[Act]]] = []
    for story, (acts, _) in STORIES.items():
        orders = list(itertools.permutations(acts))
        told += [
            (story, [act for act in order for _ in range(dice.choice((1, 1, 1, 5)))])
            for order in dice.sample(orders, min(EACH, len(orders)))
        ]
    rows = await started(db, len(told))
    for start, (_, in_turn) in zip(rows, told, strict=True):
        for act in in_turn:
            async with db.transaction() as tx:
                await act(tx, start)
    async with db.transaction() as tx:
        await receipts.match_late_orphans(tx)
    async with db.transaction(read_only=True) as tx:
        found = {row.id: row.state for row in await tx.execute(select(Delivery.id, Delivery.state))}
        assert await tx.scalar(select(func.count()).where(ReceiptRow.delivery_id.is_(None))) == 0
    ends = Counter((story, found[start.id]) for start, (story, _) in zip(rows, told, strict=True))
    assert ends == Counter((story, STORIES[story][1]) for story, _ in told), f"seed {SEED}"
    assert (await proof.prove(partial(db.transaction, read_only=True))).findings == []


async def test_a_receipt_three_days_late_still_counts(db: Database) -> None:
    (start,) = await started(db, 1)
    async with db.transaction() as tx:
        await settles(tx, start, TAKEN)
        earlier = tx.now - timedelta(hours=72)
        await tx.execute(update(Attempt).values(started_at=earlier, settled_at=earlier))
    for _ in range(5):
        async with db.transaction() as tx:
            await tells(tx, start, Progress.DELIVERED, by="name")
            await receipts.match_late_orphans(tx)
    assert await states(db) == {"delivered": 1}


@pytest.mark.parametrize(
    ("says", "ends"),
    [
        ("", ContactPointState.ACTIVE),
        ("permanent", ContactPointState.BOUNCED),
        ("opted out", ContactPointState.STOPPED),
    ],
)
async def test_what_came_before_the_settle_counts_against_the_address_all_the_same(
    db: Database, says: str, ends: str
) -> None:
    (start,) = await started(db, 1)
    async with db.transaction() as tx:
        await tells(tx, start, Progress.UNDELIVERED, by="name", says=says)
    async with db.transaction() as tx:
        await settles(tx, start, TAKEN)
        state = select(ContactPoint.state).where(ContactPoint.id == start.contact_point_id)
        assert await tx.scalar(state) == ends


async def test_bad_news_of_a_try_that_a_later_one_followed_says_nothing_of_that_one(db: Database) -> None:
    (start,) = await started(db, 1)
    async with db.transaction() as tx:
        await settles(tx, start, Failed(reason="no connection"))
        await tx.execute(update(Delivery).values(due_at=tx.now))
    async with db.transaction() as tx:
        rows = await claim(tx, Lane.WARD, 1, "worker")
    async with db.transaction() as tx:
        (again,) = await mark(tx, rows, "worker", timeout_seconds=10)
    async with db.transaction() as tx:
        await tells(tx, start, Progress.UNDELIVERED)
    assert await states(db) == {"started": 1}
    async with db.transaction() as tx:
        await settles(tx, again, TAKEN)
        await tells(tx, start, Progress.UNDELIVERED, event="once more")
    assert await states(db) == {"accepted": 1}
    async with db.transaction() as tx:
        await tells(tx, again, Progress.UNDELIVERED, event="of the later one")
    assert await states(db) == {"undelivered": 1}


async def test_a_receipt_kept_without_its_attempt_gets_it_when_it_is_told_again(db: Database) -> None:
    (start,) = await started(db, 1)
    async with db.transaction() as tx:
        assert await tells(tx, start, Progress.SENT, by="name", event="e")
        assert not await tells(tx, start, Progress.SENT, by="name", event="e")
    assert await states(db) == {"started": 1}
    async with db.transaction() as tx:
        assert await tells(tx, start, Progress.SENT, event="e")
        assert not await tells(tx, start, Progress.SENT, event="e")
    assert await states(db) == {"accepted": 1}


async def test_many_receipts_for_nobody_alarm_until_they_stop(db: Database) -> None:
    async with db.transaction() as tx:
        for number in range(receipts.TOO_MANY_ORPHANS):
            assert await open_alarms(tx) == []
            word = Receipt(
                event_id=f"e{number}", provider_id=f"SMx{number}", attempt="", progress=Progress.SENT, at=None,
                raw=b"",
            )  # fmt: skip
            await receipts.record(tx, "sms_twilio", word)
        (alarm,) = await open_alarms(tx)
        assert (alarm.kind, alarm.key) == ("orphans", "sms_twilio")
        await receipts.ease_orphan_alarms(tx)
        assert len(await open_alarms(tx)) == 1
        await tx.execute(update(ReceiptRow).values(at=tx.now - receipts.ORPHANS_WITHIN))
        await receipts.ease_orphan_alarms(tx)
        assert await open_alarms(tx) == []


# --- Two texts with the same words ----------------------------------------------------------


async def test_one_text_is_evidence_for_one_delivery_alone(db: Database) -> None:
    """Two messages with the same words to one number, both in doubt, and the provider has one text."""
    (start,) = await started(db, 1)
    async with db.transaction() as tx:
        point = await tx.scalar(select(Delivery.contact_point_id))
        made = await notice(tx, point, kind=NoticeKind.HELP, template="help", variables={})
        other = await tx.scalar(select(Delivery.id).where(Delivery.notice_id == made))
    found = Accepted(provider_id=f"SM{start.id}")
    async with db.transaction() as tx:
        assert await evidence.unclaimed(tx, found, delivery=start.id, contact_point=point) == found
        await settles(tx, start, TAKEN)
    async with db.transaction() as tx:
        assert await evidence.unclaimed(tx, found, delivery=start.id, contact_point=point) == found
        assert await evidence.unclaimed(tx, found, delivery=other, contact_point=point) == evidence.ANOTHERS
        another = Accepted(provider_id="SM of its own")
        assert await evidence.unclaimed(tx, another, delivery=other, contact_point=point) == another
        assert await evidence.unclaimed(tx, None, delivery=other, contact_point=point) is None


async def states(db: Database) -> Counter[str]:
    async with db.transaction(read_only=True) as tx:
        return Counter((await tx.execute(select(Delivery.state))).scalars())
