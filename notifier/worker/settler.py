"""Settles what the slots have done, many rows in one transaction (commit point C6).

A flush comes when half of the lane's places are done, or a quarter and the slots soon have nothing to do, after
a tenth of a second, or when nothing else is under way; an alert is settled at once. What cannot be written while
the database is away is written when it is back: nothing new is started meanwhile, since the places stay taken.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from random import SystemRandom

import structlog

from channels.base import Accepted, Outcome
from notifier.db import Tx, is_away
from notifier.delivery.canary import Canaries
from notifier.delivery.claim import Claimed
from notifier.delivery.receipts import match_orphans
from notifier.delivery.send import tried
from notifier.delivery.settle import decide, provider_name, taken, unsent
from notifier.delivery.settled import Named, record, record_taken
from notifier.models import DeliveryState, Lane
from notifier.runtime import Service
from notifier.worker.loops import rest
from notifier.worker.seams import Done, Seams

log = structlog.get_logger()

FLUSH_SECONDS = 0.1
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.1, 1.0

Sent = tuple[Claimed, Outcome | None]


class Settler:
    """Of one lane. freed: told of the rows whose places are free again."""

    def __init__(
        self,
        service: Service,
        lane: Lane,
        seams: Seams,
        *,
        enough: int,
        freed: Callable[[Sequence[Claimed]], None],
    ) -> None:
        self._service, self._lane, self._seams, self._freed = service, lane, seams, freed
        self._enough, self._factor = enough, service.settings.time_factor
        self._done: list[Sent] = []
        self._some, self._full, self._ending = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._random, self._canaries = SystemRandom(), Canaries()
        self._receipted = {name for name, c in service.channels.items() if c.capabilities.receipts}

    def take(self, ended: Sent, *, is_last: bool, is_wanted: bool = False) -> None:
        """A send ended. is_last: nothing else is under way just now. is_wanted: its place is waited for."""
        self._done.append(ended)
        self._some.set()
        if is_last or len(self._done) >= (self._enough // 2 if is_wanted else self._enough):
            self._full.set()

    def end(self) -> None:
        """No more will come: settle what is there, and `run` returns."""
        self._ending.set()
        self._some.set()
        self._full.set()

    async def run(self) -> None:
        """Settle until `end`."""
        while True:
            await self._some.wait()
            if not self._done:
                return
            if self._lane is not Lane.URGENT:
                await rest(self._full, FLUSH_SECONDS)
            batch, self._done = self._done, []
            if not self._ending.is_set():
                self._some.clear()
                self._full.clear()
            await self._settle(batch)

    async def _settle(self, batch: Sequence[Sent]) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                await self._write(batch)
            except Exception as error:
                log.warning("settle_failed", rows=len(batch), error=type(error).__name__)
                if not is_away(error):
                    await self._one_by_one(batch)
                    return
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_DELAY_SECONDS)
            else:
                self._freed([row for row, _ in batch])
                return

    async def _one_by_one(self, batch: Sequence[Sent]) -> None:
        """One row that cannot be written must not hold up the others; it stays started, and will be in doubt."""
        if len(batch) > 1:
            for each in batch:
                await self._settle([each])
            return
        log.error("not_settled", delivery=batch[0][0].id, attempt=batch[0][0].number)
        self._freed([batch[0][0]])

    async def _write(self, batch: Sequence[Sent]) -> None:
        async def write(tx: Tx) -> list[Done]:
            done = [self._decided(tx, row, outcome) for row, outcome in batch]
            moved = await record(tx, [each.change for each in done])
            await self._match_receipts(tx, done)
            await self._seams.settled(tx, done, moved)
            await self._watch(tx, done)
            again = any(
                each.change.state is DeliveryState.PENDING and each.change.due_at == tx.now for each in done
            )
            if again:
                tx.on_commit("wake", lane=self._lane.name.lower())
            return done

        plain = self._plain(batch)
        if plain:
            await self._service.db.attempt_alone(lambda lone: record_taken(lone, plain), point="C6")
        else:
            done = await self._service.db.attempt(write, point="C6", by_index=True)
            await self._seams.heed(done)
        for name, number in Counter(type(outcome).__name__ for _, outcome in batch).items():
            say = log.debug if name == Accepted.__name__ else log.info
            say("tried", lane=self._lane.name.lower(), outcome=name, deliveries=number)

    def _plain(self, batch: Sequence[Sent]) -> list[Named] | None:
        """What is all there is to write, where everything was taken and nobody else takes part: as nearly always."""
        if self._service.db.is_sqlite or not self._seams.is_settled():
            return None
        named = []
        for row, outcome in batch:
            if type(outcome) is not Accepted or row.notice_id or row.channel in self._receipted:
                return None
            named.append((row.id, row.fence, provider_name(outcome)))
        return named if self._canaries.are_over({row.message_id for row, _ in batch}) else None

    def _decided(self, tx: Tx, row: Claimed, outcome: Outcome | None) -> Done:
        if type(outcome) is Accepted:
            return Done(row, outcome, taken(outcome, row))
        facts = tried(row, self._service.channels[row.channel].capabilities.idempotency)
        if outcome is None:
            return Done(row, outcome, unsent(facts, now=tx.now))
        change = decide(outcome, facts, now=tx.now, jitter=self._random.random(), factor=self._factor)
        return Done(row, outcome, change)

    async def _watch(self, tx: Tx, done: Sequence[Done]) -> None:
        """The first of a large message stop it where they fail."""
        ended = [(each.row.message_id, each.outcome) for each in done if each.outcome is not None]
        for message in await self._canaries.observe(tx, ended):
            log.warning("message_paused_itself", message=str(message))

    async def _match_receipts(self, tx: Tx, done: Sequence[Done]) -> None:
        """Receipts that came before this settle, with nothing but the provider's id on them."""
        by_channel: dict[str, dict[str, tuple[int, int]]] = {}
        for each in done:
            row, change = each.row, each.change
            if row.channel in self._receipted and change.provider_id:
                by_channel.setdefault(row.channel, {})[change.provider_id] = (row.id, row.number)
        for channel, names in by_channel.items():
            await match_orphans(tx, channel, names)
