"""A small world, messages published to it, and the processes that are to send them: the stage of a fault.

Leases and waits are the service's own, shortened by one factor that each test states.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from notifier import config
from notifier.broadcast import approve, draft, plan, report
from notifier.db import Database
from notifier.models import Delivery, DeliveryState
from notifier.runtime import Service, channel_variables, open_service
from notifier.worker import Worker
from tests.faults.forker import Forked, Forker
from tests.faults.history import History, history, title
from tests.providers import Providers, database, free_port, until
from tests.world import World, make_people, make_places, ward

# The factors of every lease and wait. Where nothing is to run out, a busy machine must not make it:
CALM = 0.05  # 60 s become 3 s, 10 minutes 30 s
QUICK = 0.005  # where leases and doubts must run out: 60 s become 0.3 s, 10 minutes 3 s


@dataclass
class Drill:
    """A world in a database, the providers, and the messages so far (number → id)."""

    db: Database
    ends: Providers
    world: World
    messages: dict[int, UUID] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    async def publish(
        self,
        *,
        media: tuple[str, ...] = ("email", "sms"),
        wards: tuple[int, ...] = (0, 1),
        kind: str = "priority_update",
        team: int = 0,
        approved: bool = True,
    ) -> UUID:
        """Write and approve one more message; its id. Its doorbell rings in this process, where nobody listens."""
        number = next(self._numbers)
        async with self.db.transaction() as tx:
            written = draft.Draft(
                kind=kind,
                texts={"en": (title(number), "We will be in the park from 6pm.")},
                areas=tuple(ward(place) for place in wards),
                media=media,
            )
            message = await draft.save(tx, written, team=self.world.teams[team], author=None)
            if approved:
                await approve.approve(tx, message, team=self.world.teams[team], officer=None)
        self.messages[number] = message
        return message

    async def is_over(self, *messages: UUID) -> bool:
        """Whether nothing more will happen to them (to all there are, where none is named)."""
        async with self.db.transaction(read_only=True) as tx:
            for message in messages or self.messages.values():
                found = await report.progress(tx, message)
                if found is None or not found.is_over:
                    return False
        return True

    async def over(self, *messages: UUID, seconds: float = 40, said: Iterable[Forked] = ()) -> float:
        """Wait until they are over; the seconds it took."""
        began = time.monotonic()
        try:
            await until(lambda: self.is_over(*messages), seconds=seconds, what="the messages are over")
        except AssertionError as late:
            open_rows = await self._open_rows()
            words = "\n".join(process.said() for process in said)
            raise AssertionError(f"{late}\nopen: {open_rows}\n{words}") from None
        return time.monotonic() - began

    async def history(self) -> History:
        return await history(self.db, self.ends, self.world, self.messages)

    async def _open_rows(self) -> list[str]:
        async with self.db.transaction(read_only=True) as tx:
            rows = await tx.execute(
                select(Delivery.__table__)
                .where(Delivery.state.in_([s for s in DeliveryState if not s.is_terminal]))
                .limit(3)
            )
            return [str(dict(row._mapping)) for row in rows]


@asynccontextmanager
async def drill(
    url: str, ends: Providers, people: int, *, redis_url: str = "", media: tuple[str, ...] = ("email", "sms")
) -> AsyncIterator[Drill]:
    """People in two wards of the first team, and the database open as any process sees it."""
    async with database(url, redis_url) as db:
        async with db.transaction() as tx:
            world = await make_places(tx)
            await make_people(tx, world, people, wards=(0, 1), media=media)
        yield Drill(db=db, ends=ends, world=world)


@asynccontextmanager
async def published(stage: Drill, *, media: tuple[str, ...]) -> AsyncIterator[UUID]:
    """One message, published before whatever is opened next: who starts looks at once, and then every 2 s."""
    yield await stage.publish(media=media)


async def planned(stage: Drill, message: UUID) -> None:
    """Plan it here and now, without a worker."""
    done = False
    while not done:
        async with stage.db.transaction() as tx:
            done = await plan.plan_page(tx, message)


def sender(
    forker: Forker,
    ends: Providers,
    url: str,
    log: Path,
    *,
    redis_url: str = "",
    factor: float = CALM,
    **settings: str,
) -> Forked:
    """A process that sends: `notifier work`, or `notifier serve` where SQLite allows only that."""
    chosen = ends.settings(
        url,
        redis_url=redis_url,
        NOTIFIER_LISTEN=f"127.0.0.1:{free_port()}",
        **{"NOTIFIER_TIME_FACTOR": str(factor), "NOTIFIER_SLOTS": "4"} | settings,
    )
    command = "serve" if url.startswith("sqlite") and not redis_url else "work"
    return Forked(forker, chosen, command, log=log)


def server(
    forker: Forker,
    ends: Providers,
    url: str,
    log: Path,
    *,
    redis_url: str = "",
    factor: float = CALM,
    **settings: str,
) -> tuple[Forked, int]:
    """`notifier serve`, and its port: pages, API and hooks; it sends too where there is no Redis."""
    port = free_port()
    factors = {"NOTIFIER_TIME_FACTOR": str(factor), "NOTIFIER_SLOTS": "4"}
    chosen = ends.settings(
        url, redis_url=redis_url, NOTIFIER_LISTEN=f"127.0.0.1:{port}", **factors | settings
    )
    return Forked(forker, chosen, "serve", log=log), port


@asynccontextmanager
async def in_this_process(
    ends: Providers, url: str, *, redis_url: str = "", factor: float = CALM, **settings: str
) -> AsyncIterator[Service]:
    """The service with one worker in this process, for faults that kill nobody."""
    chosen = ends.settings(url, redis_url=redis_url, **{"NOTIFIER_TIME_FACTOR": str(factor)} | settings)
    async with open_service(config.build(chosen, channel_variables)) as service:
        worker = Worker(service, service.db.jobs)
        task = asyncio.create_task(worker.run())
        try:
            yield service
        finally:
            worker.stop()
            await task
