"""The breakers' rows on both databases: shared by workers, one probe at a time, nothing written while all is well."""

import asyncio
from datetime import timedelta

from sqlalchemy import event, select, update

from channels.base import Accepted, Failed, Outcome, Refusal, Refused, Unknown, Where
from notifier.db import Database
from notifier.delivery import gate
from notifier.delivery.alarms import open_alarms
from notifier.delivery.gate import Admitted, Candidate, Gate, Result
from notifier.delivery.standing import sending_state
from notifier.models import BreakerRow, BreakerState

GOOD = Accepted(provider_id="1")
AWAY = Failed(reason="no connection", code="connection")
BUSY = Failed(reason="try later", code="451", where=Where.DOMAIN)
LOCKED = Refused(why=Refusal.NOT_ALLOWED, reason="Twilio error 20003", code="20003")


def gates(db: Database, count: int = 1) -> list[Gate]:
    return [Gate(keys=db.keys) for _ in range(count)]


async def learn(db: Database, worker: Gate, *outcomes: Outcome, domain: str = "") -> None:
    async with db.transaction() as tx:
        await worker.admit(tx, [])
        await worker.learn(
            tx, [Result(channel="mail", outcome=outcome, domain=domain) for outcome in outcomes]
        )


async def admit(db: Database, worker: Gate, count: int, domain: str = "") -> Admitted:
    async with db.transaction() as tx:
        return await worker.admit(
            tx, [Candidate(id=number, channel="mail", domain=domain) for number in range(count)]
        )


async def time_for_a_probe(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            update(BreakerRow).values(
                probe_at=tx.now - timedelta(seconds=1), opened_at=tx.now - timedelta(hours=1)
            )
        )


async def rows(db: Database) -> list[tuple[str, str, str]]:
    async with db.transaction(read_only=True) as tx:
        found = await tx.execute(select(BreakerRow.channel, BreakerRow.shown_domain, BreakerRow.state))
        return sorted((row.channel, row.shown_domain, row.state) for row in found)


async def test_while_all_is_well_nothing_is_written(db: Database) -> None:
    (worker,) = gates(db)
    statements: list[str] = []
    event.listen(
        db.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: statements.append(statement),
    )
    for _ in range(5):
        assert len((await admit(db, worker, 40)).go) == 40
        await learn(db, worker, *[GOOD] * 40, domain="gmail.com")
    assert not [s for s in statements if s.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert len([s for s in statements if "breakers" in s]) <= 2


async def test_every_worker_sees_an_open_breaker_and_one_of_them_probes(db: Database) -> None:
    one, other = gates(db, 2)
    await learn(db, one, *[AWAY] * 5)
    turned_away = await admit(db, other, 3)
    assert turned_away.go == frozenset()
    assert {back.reason for back in turned_away.back} == {"mail takes nothing now"}
    async with db.transaction() as tx:
        assert (await tx.execute(gate.shut_channels(tx.now))).scalars().all() == ["mail"]
        waits = {(back.due_at - tx.now).total_seconds() for back in turned_away.back}
    assert all(28 < wait <= 30 for wait in waits)

    await time_for_a_probe(db)
    async with db.transaction() as tx:
        assert (await tx.execute(gate.shut_channels(tx.now))).scalars().all() == []
    tried = await asyncio.gather(*(admit(db, worker, 5) for worker in (one, other)))
    assert sum(len(each.go) for each in tried) == 1
    await learn(db, one, GOOD)
    assert await rows(db) == []
    assert len((await admit(db, other, 5)).go) == 5


async def test_a_failed_probe_keeps_it_shut_for_longer(db: Database) -> None:
    (worker,) = gates(db)
    await learn(db, worker, *[AWAY] * 5)
    await time_for_a_probe(db)
    assert len((await admit(db, worker, 2)).go) == 1
    await learn(db, worker, Unknown(reason="timed out"))
    (back,) = (await admit(db, worker, 1)).back
    async with db.transaction() as tx:
        assert 55 < (back.due_at - tx.now).total_seconds() <= 60


async def test_a_shut_domain_holds_up_no_other_and_is_named_only_where_many_use_it(db: Database) -> None:
    (worker,) = gates(db)
    await learn(db, worker, *[BUSY] * 5, domain="gmail.com")
    await learn(db, worker, *[BUSY] * 5, domain="rare.example")
    assert await rows(db) == [("mail", "", "open"), ("mail", "gmail.com", "open")]
    assert (await admit(db, worker, 3, "gmail.com")).go == frozenset()
    assert len((await admit(db, worker, 3, "other.example")).go) == 3
    async with db.transaction() as tx:
        assert (await tx.execute(gate.shut_channels(tx.now))).scalars().all() == []
        state = await sending_state(tx)
        assert not (
            await tx.execute(select(BreakerRow.domain).where(BreakerRow.domain.contains("rare")))
        ).all()
    assert sorted(each.domain for each in state.channels) == ["a mail domain", "gmail.com"]
    assert state.is_degraded
    assert state.of_channel("mail") is None


async def test_recipients_faults_never_open_it(db: Database) -> None:
    (worker,) = gates(db)
    await learn(
        db,
        worker,
        *[Refused(why=Refusal.BAD_ADDRESS, reason="550 5.1.1")] * 30,
        *[Refused(why=Refusal.CONTENT, reason="554")] * 30,
        *[Failed(reason="mailbox full", where=Where.RECIPIENT)] * 30,
        domain="gmail.com",
    )
    assert await rows(db) == []


async def test_refused_credentials_raise_an_alarm_until_a_probe_is_accepted(db: Database) -> None:
    (worker,) = gates(db)
    await learn(db, worker, LOCKED, LOCKED)
    async with db.transaction() as tx:
        (alarm,) = await open_alarms(tx)
        state = await sending_state(tx)
    assert (alarm.kind, alarm.key) == ("channel", "mail")
    assert "20003" in alarm.detail
    (standing,) = state.channels
    assert (standing.state, standing.words) == (
        BreakerState.OPERATOR,
        "locked out; an operator must act",
    )
    assert (await admit(db, worker, 5)).go == frozenset()
    await time_for_a_probe(db)
    assert len((await admit(db, worker, 5)).go) == 1
    await learn(db, worker, GOOD)
    async with db.transaction() as tx:
        assert await open_alarms(tx) == []


async def test_many_workers_learn_at_once_without_losing_a_fault(db: Database) -> None:
    workers = gates(db, 4)
    await asyncio.gather(*(learn(db, worker, AWAY) for worker in workers))
    async with db.transaction() as tx:
        assert await tx.scalar(select(BreakerRow.recent)) == "." * 16 + "xxxx"
    await learn(db, workers[0], *[GOOD] * 20)
    assert await rows(db) == []


async def test_what_was_not_touched_for_long_is_forgotten(db: Database) -> None:
    (worker,) = gates(db)
    await learn(db, worker, BUSY, domain="once.example")
    await learn(db, worker, *[BUSY] * 5, domain="gone.example")
    await learn(db, worker, *[AWAY] * 5)
    async with db.transaction() as tx:
        await tx.execute(update(BreakerRow).values(probe_at=tx.now - timedelta(days=8)))
        await gate.forget_old(tx)
    assert await rows(db) == [("mail", "", "open")]
