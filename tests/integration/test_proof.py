"""The ledger's proof on both databases: a whole one is clean, and each way to break one is named."""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, func, insert, literal, select, text, update

from channels.base import Progress, Receipt
from notifier.broadcast.notices import notice
from notifier.db import Database, Tx
from notifier.delivery import findings, proof, receipts
from notifier.delivery.alarms import open_alarms
from notifier.delivery.findings import History, Kind, Proved
from notifier.delivery.nightly import begin, finish, in_words, last_due, last_run, run_if_due
from notifier.delivery.replay import NOT_TAKEN
from notifier.delivery.tokens import attempt_token
from notifier.models import (
    Attempt,
    Delivery,
    DeliveryEvent,
    Message,
    MessageState,
    NoticeKind,
    Run,
)
from notifier.worker import Worker
from notifier.worker.proving import Proving
from subscribers.models import Frequency
from tests.integration.ledger import publish, world_of

LONDON = ZoneInfo("Europe/London")


async def prove(db: Database, **options: object) -> Proved:
    return await proof.prove(lambda: db.transaction(read_only=True), **options)  # type: ignore[arg-type]


async def kinds(db: Database, **options: object) -> Counter[str]:
    return Counter({kind.value: number for kind, number in (await prove(db, **options)).by_kind.items()})


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "BEFORE_READING_AGAIN", 0)


@pytest.fixture
async def message(db: Database) -> UUID:
    """A message to 8 addresses, each taken at the first attempt, as the steps of a send leave it."""
    world = await world_of(db)
    made: UUID = await publish(db, world)
    async with db.transaction() as tx:
        await send_all(tx)
    return made


async def send_all(tx: Tx) -> None:
    values = (1, tx.now, "worker", tx.now, "accepted", "accepted")
    taken = select(Delivery.id, *(literal(each) for each in values)).where(Delivery.state == "pending")
    columns = ["delivery_id", "number", "started_at", "owner", "settled_at", "outcome", "became"]
    await tx.execute(insert(Attempt).from_select(columns, taken))
    await tx.execute(update(Delivery).where(Delivery.state == "pending").values(state="accepted", fence=1))
    await tx.execute(update(Message).values(state=MessageState.DONE))


async def first(tx: Tx) -> int:
    id_: int = await tx.scalar(select(func.min(Delivery.id)))
    return id_


async def test_a_whole_ledger_is_clean_whatever_the_size_of_its_pages(
    db: Database, message: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    for page, pages in ((5000, [8]), (3, [3, 6, 8]), (4, [4, 8, 8])):
        monkeypatch.setattr(proof, "PAGE", page)
        told.clear()
        proved = await prove(db, told=told.append)
        assert (proved.deliveries, proved.messages, proved.findings) == (8, 1, [])
        assert told == pages


async def without_its_index(tx: Tx) -> None:
    await tx.execute(text("DROP INDEX uq_deliveries_message_contact_point"))


async def state_changed(tx: Tx) -> None:
    await tx.execute(update(Delivery).where(Delivery.id == await first(tx)).values(state="delivered"))


async def state_of_no_name(tx: Tx) -> None:
    await tx.execute(update(Delivery).where(Delivery.id == await first(tx)).values(state="gone"))


async def attempt_deleted(tx: Tx) -> None:
    await tx.execute(delete(Attempt).where(Attempt.delivery_id == await first(tx)))


async def row_deleted(tx: Tx) -> None:
    await tx.execute(delete(Delivery).where(Delivery.id == await first(tx)))


async def row_doubled(tx: Tx) -> None:
    await without_its_index(tx)
    columns = [c for c in Delivery.__table__.c if c.name not in ("id", "queue")]
    copy = select(*columns).where(Delivery.id == await first(tx))
    await tx.execute(insert(Delivery).from_select([c.name for c in columns], copy))
    last = await tx.scalar(select(func.max(Delivery.id)))
    values = {"delivery_id": last, "number": 1, "started_at": tx.now, "owner": "worker"}
    await tx.execute(insert(Attempt), values | {"outcome": "accepted", "became": "accepted"})
    await tx.execute(update(Message).values(audience_count=Message.audience_count + 1))


async def count_wrong(tx: Tx) -> None:
    await tx.execute(update(Message).values(audience_count=7))


async def fence_behind(tx: Tx) -> None:
    await tx.execute(update(Delivery).where(Delivery.id == await first(tx)).values(fence=0))


async def open_in_a_done_message(tx: Tx) -> None:
    one = await first(tx)
    await tx.execute(delete(Attempt).where(Attempt.delivery_id == one))
    await tx.execute(update(Delivery).where(Delivery.id == one).values(state="pending"))


async def repeat_unflagged(tx: Tx) -> None:
    one = await first(tx)
    again = {"delivery_id": one, "number": 2, "started_at": tx.now, "owner": "other"}
    await tx.execute(insert(Attempt), again | {"outcome": "accepted", "became": "accepted"})
    await tx.execute(update(Delivery).where(Delivery.id == one).values(fence=2))


async def receipt_not_applied(tx: Tx) -> None:
    one = await first(tx)
    word = Receipt(
        event_id="e", provider_id="p", attempt=attempt_token(tx.keys, one, 1), progress=Progress.DELIVERED,
        at=None, raw=b"",
    )  # fmt: skip
    await receipts.record(tx, "memory", word)
    await tx.execute(update(Delivery).where(Delivery.id == one).values(state="accepted"))


BREAKS: dict[Callable[[Tx], Awaitable[None]], list[Kind]] = {
    state_changed: [Kind.STATE],
    state_of_no_name: [Kind.STATE],
    attempt_deleted: [Kind.STATE, Kind.EVIDENCE],
    row_deleted: [Kind.AUDIENCE, Kind.STRAY],
    row_doubled: [Kind.DOUBLE],
    count_wrong: [Kind.AUDIENCE],
    fence_behind: [Kind.FENCE],
    open_in_a_done_message: [Kind.OPEN],
    repeat_unflagged: [Kind.REPEAT],
    receipt_not_applied: [Kind.STATE],
}


class TakenBack(Exception):
    """Ends a transaction that must leave nothing."""


async def broken(db: Database, break_it: Callable[[Tx], Awaitable[None]]) -> tuple[int, Proved]:
    """The first delivery, and what is proved while the ledger is broken; it is whole again afterwards."""
    with suppress(TakenBack):
        async with db.transaction() as tx:
            one = await first(tx)
            await break_it(tx)
            proved = await proof.prove(lambda: nullcontext(tx))
            raise TakenBack
    return one, proved


async def test_each_way_to_break_a_ledger_is_named(db: Database, message: UUID) -> None:
    for break_it, found in BREAKS.items():
        one, proved = await broken(db, break_it)
        assert dict(proved.by_kind) == dict.fromkeys(found, 1), break_it.__name__
        assert all(each.message == message or each.delivery == one for each in proved.findings)
        assert all(str(each.delivery or each.message) in each.in_words for each in proved.findings)
    assert await kinds(db) == {}


async def test_two_tries_need_no_flag_where_none_can_arrive_twice(db: Database, message: UUID) -> None:
    async with db.transaction() as tx:
        await repeat_unflagged(tx)
    assert await kinds(db, refuse_repeats={"memory"}) == {}
    assert await kinds(db) == {"repeat": 1}
    async with db.transaction() as tx:
        looked_up = {"delivery_id": await first(tx), "at": tx.now, "number": 1, "detail": "never had it"}
        await tx.execute(insert(DeliveryEvent), looked_up | {"kind": NOT_TAKEN, "state": "pending"})
    assert await kinds(db) == {}
    async with db.transaction() as tx:
        await tx.execute(delete(DeliveryEvent))
        await tx.execute(update(Delivery).values(maybe_repeat=True))
    assert await kinds(db) == {}


async def test_what_waits_in_a_digest_shares_its_fate_and_its_address(db: Database) -> None:
    world = await world_of(db, 2, media=("email",), frequency=Frequency.DAILY, wards=(0,))
    await publish(db, world, wards=(0,))
    points = [world.points[subscriber, "email"] for subscriber in world.subscribers]
    async with db.transaction() as tx:
        for point in points:
            made = await notice(tx, point, kind=NoticeKind.DIGEST, template="digest", variables={})
            await tx.execute(
                update(Delivery)
                .where(Delivery.contact_point_id == point, Delivery.digest.is_not(None))
                .values(digest_notice_id=made)
            )
    assert await kinds(db) == {}
    async with db.transaction() as tx:
        parts = Delivery.digest_notice_id.is_not(None)
        await tx.execute(update(Delivery).where(parts).values(state="accepted"))
    assert await kinds(db) == {"state": 2}
    async with db.transaction() as tx:
        await send_all(tx)
    assert await kinds(db) == {}
    async with db.transaction() as tx:
        digest = Delivery.digest_notice_id.is_(None) & (Delivery.contact_point_id == points[0])
        await tx.execute(update(Delivery).where(digest).values(contact_point_id=points[1]))
    assert await kinds(db) == {"double": 1}


async def test_the_first_findings_are_kept_and_all_are_counted(
    db: Database, message: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "MOST_KEPT", 3)
    async with db.transaction() as tx:
        await tx.execute(update(Delivery).values(state="unknown"))
    proved = await prove(db)
    assert (proved.by_kind, len(proved.findings)) == ({Kind.STATE: 8}, 3)
    assert in_words(proved) == "8 deliveries and 1 messages read, 8 wrong (8 state)"


async def test_what_changes_while_it_is_read_accuses_nobody(
    db: Database, message: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reading finds another row torn between its two tables, as on a ledger in full work."""
    whole, torn = proof._history, iter(((0, 4), (2,)))

    async def in_between(*args: Any, **options: Any) -> History:
        found = await whole(*args, **options)
        ids = sorted(found.attempts)
        lost = {ids[each] for each in next(torn)}
        return replace(found, attempts={id_: found.attempts[id_] for id_ in ids if id_ not in lost})

    monkeypatch.setattr(proof, "_history", in_between)
    assert await kinds(db) == {}
    assert next(torn, None) is None


# --- By night ---------------------------------------------------------------------------------


def test_the_latest_hour_is_local() -> None:
    at = time(3, 30)
    assert last_due(at, datetime(2027, 7, 1, 2, 29, tzinfo=UTC), LONDON) == datetime(
        2027, 6, 30, 2, 30, tzinfo=UTC
    )
    assert last_due(at, datetime(2027, 7, 1, 2, 30, tzinfo=UTC), LONDON) == datetime(
        2027, 7, 1, 2, 30, tzinfo=UTC
    )
    assert last_due(at, datetime(2027, 1, 1, 12, tzinfo=UTC), LONDON) == datetime(
        2027, 1, 1, 3, 30, tzinfo=UTC
    )


async def run(db: Database) -> Proved | None:
    return await run_if_due(
        lambda: db.transaction(read_only=True), db.transaction, at=time(3, 30), zone=LONDON
    )


async def test_one_process_proves_it_and_what_is_wrong_alarms_until_it_is_mended(
    db: Database, message: UUID
) -> None:
    async with db.transaction() as tx:
        await state_changed(tx)
    proved = await run(db)
    assert proved is not None
    assert proved.found == 1
    assert await run(db) is None
    async with db.transaction() as tx:
        (alarm,) = await open_alarms(tx)
        assert (alarm.kind, alarm.key) == ("ledger", "state")
        assert "it says delivered, its record makes it accepted" in alarm.detail
        await tx.execute(update(Delivery).values(state="accepted"))
        await tx.execute(update(Run).values(started_at=tx.now - timedelta(days=1, minutes=1)))
    assert await run(db) is not None
    async with db.transaction() as tx:
        assert await open_alarms(tx) == []
        assert (await tx.scalar(select(Run.result))).startswith("8 deliveries and 1 messages read, every")


async def test_a_run_that_was_lost_is_found_again(db: Database, message: UUID) -> None:
    at = {"at": time(3, 30), "zone": LONDON}
    async with db.transaction() as tx:
        begun = await begin(tx, **at)  # type: ignore[arg-type]
        assert begun is not None
        assert await begin(tx, **at) is None  # type: ignore[arg-type]
    async with db.transaction() as tx:
        await tx.execute(update(Run).values(started_at=tx.now - timedelta(minutes=61)))
    async with db.transaction() as tx:
        again = await begin(tx, **at)  # type: ignore[arg-type]
        assert again is not None
    async with db.transaction() as tx:
        await finish(tx, begun, Proved())  # the lost one comes back, and does not end the other's run
        assert await tx.scalar(select(Run.finished_at)) is None
        await finish(tx, again, Proved())
        assert await tx.scalar(select(Run.finished_at)) is not None


async def test_a_worker_proves_the_ledger_when_its_hour_has_come(
    db: Database, worker: Worker, message: UUID
) -> None:
    async with db.transaction() as tx:
        await state_changed(tx)
    proving = Proving(worker.service)
    await proving.look()
    await proving.look()
    async with db.transaction() as tx:
        (alarm,) = await open_alarms(tx)
        last = await last_run(tx)
    assert alarm.detail.startswith("1 found, first: message ")
    assert last is not None
    assert last.result == "8 deliveries and 1 messages read, 1 wrong (1 state)"
