"""A service to measure: a database with people in it, workers as processes, and a message held back until the clock runs.

Planning, imports and the start of processes are outside the measured time: the whole system is on hold (`holds`)
until the workers are ready, and what is measured begins when the hold is lifted.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from sqlalchemy import delete, exists, func, insert, select

from benchmarks import population
from benchmarks.machine import Cost, Sink, cpu_seconds, memory_mib, python
from benchmarks.population import Population
from notifier import migrations
from notifier.broadcast import approve, draft, plan
from notifier.db import Database
from notifier.delivery import nightly
from notifier.models import Delivery, DeliveryState, Hold, HoldScope, Message, Run
from tests.processes import outside_the_loop
from tests.providers import DOMAIN, SECRET, database
from tests.servers import Postgres, RedisServer, private_postgres, private_redis

TITLE = "What we did about parking by the school"
BODY = "\n\n".join(
    f"**Point {number}.** You told us that cars stop on the zigzag lines when the school day ends. We walked there "
    "with the head teacher, counted the cars, and asked the council to move the barrier. Come and see it with us."
    for number in range(1, 9)
)
OPEN_STATES = [state for state in DeliveryState if not state.is_terminal]


@dataclass
class Stage:
    """A migrated database, and what workers need to serve it."""

    url: str
    redis_url: str
    folder: Path
    postgres: Postgres | None

    def settings(self, sink: Sink, *, slots: int, **more: str) -> dict[str, str]:
        """The environment of a worker that sends to the sink."""
        return {
            "NOTIFIER_DATABASE_URL": self.url,
            "NOTIFIER_REDIS_URL": self.redis_url,
            "NOTIFIER_SECRET_KEYS": SECRET,
            "NOTIFIER_CHANNELS": "email_smtp",
            "NOTIFIER_SMTP_URL": sink.url,
            "NOTIFIER_SMTP_CONNECTIONS": str(slots),
            "NOTIFIER_MAIL_DOMAIN": DOMAIN,
            "NOTIFIER_SLOTS": str(slots),
            "NOTIFIER_CANARY_ABOVE": "0",
            **more,
        }

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Database]:
        async with database(self.url, self.redis_url) as db:
            yield db

    def servers_cpu(self) -> float:
        if self.postgres is None or self.postgres.process is None:
            return 0.0
        return cpu_seconds(self.postgres.process.pid, with_children=True)


@contextmanager
def postgres_stage() -> Iterator[Stage]:
    """PostgreSQL with fsync on, as in production, and Redis; both private."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        postgres = stack.enter_context(private_postgres(durable=True))
        redis = stack.enter_context(private_redis())
        yield _migrated(postgres.create_database(), redis, folder, postgres)


@contextmanager
def sqlite_stage() -> Iterator[Stage]:
    """An SQLite file, no Redis."""
    with TemporaryDirectory(prefix="bench-") as folder:
        yield _migrated(f"sqlite:///{folder}/notifier.db", None, Path(folder), None)


def _migrated(url: str, redis: RedisServer | None, folder: Path, postgres: Postgres | None) -> Stage:
    outside_the_loop(lambda: migrations.upgrade(url))
    return Stage(url=url, redis_url=redis.url if redis else "", folder=folder, postgres=postgres)


async def people(stage: Stage, db: Database, number: int) -> Population:
    """So many people of a whole force, each of whom wants everything at once."""
    made = await population.make(stage.url, db.keys, number, eager=True)
    async with db.transaction() as tx:
        proved = {"name": nightly.NAME, "started_at": tx.now, "finished_at": tx.now, "result": "today's"}
        await tx.execute(
            insert(Run), proved
        )  # or the first worker would prove the ledger while it is measured
    return made


async def publish(db: Database, team: UUID, area: str, *, kind: str = "news") -> tuple[UUID, int]:
    """A message by email, approved and planned; its id and the number of its deliveries."""
    message = await approved(db, team, area, kind=kind)
    done = False
    while not done:
        async with db.transaction() as tx:
            done = await plan.plan_page(tx, message)
    async with db.transaction(read_only=True) as tx:
        planned: int = await tx.scalar(select(Message.audience_count).where(Message.id == message))
    return message, planned


async def approved(db: Database, team: UUID, area: str, *, kind: str) -> UUID:
    """A message by email, approved: the workers plan it."""
    words = draft.Draft(kind=kind, texts={"en": (TITLE, BODY)}, areas=(area,), media=("email",))
    async with db.transaction() as tx:
        message = await draft.save(tx, words, team=team, author=None)
        await approve.approve(tx, message, team=team, officer=None)
    return message


async def hold(db: Database) -> None:
    """Nothing starts while this stands."""
    async with db.transaction() as tx:
        row = {
            "scope": HoldScope.SYSTEM,
            "key": "",
            "reason": "the clock",
            "by": "benchmark",
            "since": tx.now,
        }
        await tx.execute(insert(Hold), row)


async def lift(db: Database) -> None:
    """Let it go."""
    async with db.transaction() as tx:
        await tx.execute(delete(Hold))
        tx.on_commit("wake")


async def settled(db: Database, message: UUID, *, seconds: float) -> None:
    """Wait until no delivery of the message is open. AssertionError when it takes too long."""
    deadline = time.monotonic() + seconds
    is_open = exists().where(Delivery.message_id == message, Delivery.state.in_(OPEN_STATES))
    while time.monotonic() < deadline:
        async with db.transaction(read_only=True) as tx:
            if not await tx.scalar(select(is_open)):
                return
        await asyncio.sleep(0.1)
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(
            select(Delivery.state, func.count().label("number"))
            .where(Delivery.message_id == message)
            .group_by(Delivery.state)
        )
        raise AssertionError(f"not over in {seconds:.0f} s: {[tuple(row) for row in rows]}")


class Workers:
    """`notifier work` processes (or one `serve` on SQLite), their CPU and memory."""

    def __init__(self, stage: Stage, settings: Mapping[str, str], commands: Sequence[Sequence[str]]) -> None:
        self._stage, self._settings, self._commands = stage, settings, commands
        self._stack = ExitStack()
        self.ids: list[int] = []

    def __enter__(self) -> "Workers":
        for words in self._commands:
            code = "from notifier.cli import main; main()"
            process = self._stack.enter_context(python("-c", code, *words, settings=self._settings))
            self.ids.append(process.pid)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def ready(self) -> None:
        """Wait until they have nothing left to do but to poll: their CPU stands still."""
        last, since = -1.0, time.monotonic()
        while time.monotonic() - since < 60:
            await asyncio.sleep(0.7)
            now = cpu_seconds(*self.ids)
            if now > 0.5 * len(self.ids) and now - last < 0.12 * len(self.ids):
                return
            last = now
        raise AssertionError("the workers did not come to rest")

    def cost(self) -> Cost:
        return Cost(ours=cpu_seconds(*self.ids), servers=self._stage.servers_cpu())

    def memory_mib(self) -> float:
        return memory_mib(*self.ids)
