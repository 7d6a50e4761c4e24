"""One lane of one worker: claim, prefetch, mark, send and settle, all at the same time.

A slot is one concurrent send; it holds at most M started, unsettled rows (`Capabilities.slot_rows`, 1 in the
urgent lane), so a killed worker leaves at most slots × M in doubt. Rows are marked as places come free and settled
in bulk; no transaction is open across the network, and what is held in memory does not grow with the audience.
"""

import asyncio
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog

from channels.base import Doubt, Outcome
from notifier.db import Tx
from notifier.delivery.claim import Claimed, claim, hold, put_back
from notifier.delivery.content import Contents, Key
from notifier.delivery.doubt import doubts_of
from notifier.delivery.mark import lease, mark
from notifier.delivery.policy import rules_of
from notifier.delivery.wording import Words
from notifier.models import Lane
from notifier.runtime import Service
from notifier.worker.loops import quietly, rest
from notifier.worker.seams import Held, Later, Seams, Waiting
from notifier.worker.settler import Settler
from notifier.worker.slots import Mark, Slots, rows_of

log = structlog.get_logger()

POLL_SECONDS = {Lane.URGENT: 1.0, Lane.TRANSACTIONAL: 1.0, Lane.WARD: 2.0, Lane.BULLETIN: 2.0}
RESERVED_SLOTS = {Lane.URGENT: 8, Lane.TRANSACTIONAL: 4}
MOST_CLAIMED, LEAST_CLAIMED = 500, 50
STOP_SECONDS = 25.0
SLOT = 2520  # parts of a slot: for every M up to ten, a row takes a whole number of them
NOT_HERE = "no open channel carries it here"
NOT_HERE_SECONDS = 30.0


class Pipeline:
    """`run` serves the lane until `stop`: what is started is then finished; what is leased is left to the caller."""

    def __init__(self, service: Service, lane: Lane, owner: str, *, contents: Contents, seams: Seams) -> None:
        self.lane, self.bell, self.stopping = lane, asyncio.Event(), asyncio.Event()
        self.cut_off = False  # the database has not heard of us for long: claim nothing
        self._service, self._owner, self._contents, self._seams = service, owner, contents, seams
        self._rules, self._factor = rules_of(service.settings), service.settings.time_factor
        self.slots = slots_of(lane, service.settings.slots)
        self._rows = {name: rows_of(lane, c.capabilities.slot_rows) for name, c in service.channels.items()}
        self._timeouts = {name: c.capabilities.timeout_seconds for name, c in service.channels.items()}
        self._good = {
            name: lease(self._timeouts, name, self._factor).total_seconds() for name in self._timeouts
        }
        places = self.slots * max(self._rows.values(), default=1)
        self._batch = min(max(2 * places, LEAST_CLAIMED), MOST_CLAIMED)
        self._free, self._turn = self.slots * SLOT, 0
        self._marking, self._flying, self._unsettled = False, 0, 0
        self._forgetful = {
            name for name, c in service.channels.items() if c.capabilities.keys_kept_seconds is not None
        }
        self._sizes = {name: -(-SLOT // rows) for name, rows in self._rows.items()}
        self._ahead: deque[Held] = deque()
        self._lately: set[UUID] = set()  # messages of which the latest claim took rows
        self._nudge, self._room = asyncio.Event(), asyncio.Event()
        self._sending = Slots(service.channels, contents, lane, number=self.slots, ended=self._ended)
        self._settler = Settler(service, lane, seams, enough=max(places // 2, 1), freed=self._give_room)

    @property
    def holding(self) -> list[int]:
        """Ids of the rows leased ahead, whose leases a heartbeat prolongs."""
        return [held.row.id for held in self._ahead]

    def stop(self) -> None:
        """Claim and mark no more. Safe to call twice."""
        self.stopping.set()
        for event in (self.bell, self._nudge, self._room):
            event.set()

    def abandon(self) -> None:
        """Forget what is only leased: by now others may have it."""
        self._ahead.clear()
        self._room.set()

    async def run(self, *, until_idle: bool = False) -> None:
        """Serve the lane. until_idle: only until nothing more is due, and everything is settled."""
        sending = asyncio.create_task(self._sending.run())
        settling = asyncio.create_task(self._settler.run())
        marking = asyncio.create_task(self._mark_loop())
        try:
            await self._claim_loop(until_idle=until_idle)
            self.stop()
            await marking
            self._sending.end()
            await asyncio.wait([sending], timeout=STOP_SECONDS)
            self._settler.end()
            await asyncio.wait([settling], timeout=STOP_SECONDS / 5)
        finally:
            rest_of = [marking, settling, sending]
            for task in rest_of:
                task.cancel()
            await asyncio.gather(*rest_of, return_exceptions=True)

    # --- claim, up to two batches ahead ------------------------------------------------------------

    async def _claim_loop(self, *, until_idle: bool) -> None:
        while not self.stopping.is_set():
            if len(self._ahead) >= self._batch or (until_idle and self._is_busy()):
                self._room.clear()
                await self._room.wait()
                continue
            self.bell.clear()
            if until_idle:
                rows: list[Held] | None = await self._claim()
            else:
                rows = None if self.cut_off else await quietly(self._claim(), "claim", self.stopping)
            if rows:
                self._ahead.extend(rows)
                self._nudge.set()
            elif until_idle and not self._is_busy():
                return
            elif not until_idle:
                await rest(self.bell, POLL_SECONDS[self.lane])

    def _is_busy(self) -> bool:
        return bool(self._ahead or self._unsettled)

    async def _claim(self) -> list[Held]:
        """One batch, its words compiled. Rows whose words cannot be made are held, and hold up nobody."""
        self._turn += 1
        rows, words, numbers, doubts, at = await self._service.db.attempt(
            self._take, point="C3", by_index=True
        )
        made = self._contents.compiled(rows, words)
        poison: dict[str, list[int]] = {}
        ready = []
        for row, personal in zip(rows, self._contents.personal(rows, numbers, at=at), strict=True):
            found = made[row.id]
            if isinstance(found, str):
                poison.setdefault(found, []).append(row.id)
            else:
                doubt = doubts.get(row.id)
                ready.append(Held(row, found, personal._replace(doubt=doubt) if doubt else personal))
        for reason, ids in poison.items():
            log.error("held", lane=self.lane.name.lower(), deliveries=len(ids), reason=reason)
            await self._service.db.attempt(partial(hold, ids=ids, owner=self._owner, reason=reason))
        return ready

    async def _take(
        self, tx: Tx
    ) -> tuple[list[Claimed], dict[Key, Words | str], Mapping[int, str], Mapping[int, Doubt], datetime]:
        rows = await claim(
            tx,
            self.lane,
            self._batch,
            self._owner,
            factor=self._factor,
            turn=self._turn,
            without=self._seams.without(self.lane),
            lately=self._lately,
        )
        self._lately = {row.message_id for row in rows if row.message_id}
        strange = [Later(row.id, NOT_HERE_SECONDS, NOT_HERE) for row in rows if row.channel not in self._rows]
        await self._put_back(tx, strange)
        rows = [row for row in rows if row.channel in self._rows]
        words = await self._contents.load(tx, rows)
        numbers = await self._contents.numbers(tx, rows, words)
        doubts = await doubts_of(tx, [row for row in rows if row.channel in self._forgetful])
        return rows, words, numbers, doubts, tx.now

    # --- mark, as places come free -------------------------------------------------------------------

    async def _mark_loop(self) -> None:
        while not self.stopping.is_set():
            rows = self._next()
            if rows:
                await quietly(self._start(rows), "mark", self.stopping)
            else:
                self._nudge.clear()
                await self._nudge.wait()

    def _next(self) -> list[Held]:
        """The rows there are places for; each takes its part of a slot."""
        taken = []
        while self._ahead and self._free >= (size := self._sizes[self._ahead[0].row.channel]):
            self._free -= size
            taken.append(self._ahead.popleft())
        if len(self._ahead) < self._batch:
            self._room.set()
        return taken

    async def _start(self, rows: Sequence[Held]) -> None:
        """Write their attempts and hand them to the slots. Whatever does not start frees its place at once."""
        self._unsettled += len(rows)
        self._marking = True
        marked: list[Claimed] = []
        try:
            later = await self._seams.pace(rows)
            marks = {name: Mark(seconds) for name, seconds in self._good.items()}
            marked = await self._service.db.attempt(
                lambda tx: self._mark(tx, rows, later), point="C4", by_index=True
            )
        finally:
            self._marking = False
            started, left = _parted(rows, marked)
            self._give_room(left)
        self._flying += len(started)
        self._sending.put(started, marks)

    async def _mark(self, tx: Tx, rows: Sequence[Held], later: Collection[Later]) -> list[Claimed]:
        await self._put_back(tx, later)
        waiting = {each.id for each in later}
        by_id = {held.row.id: held for held in rows}

        async def admit(tx: Tx, going: Sequence[Claimed]) -> Collection[Waiting]:
            return await self._seams.admit(tx, [by_id[row.id] for row in going])

        return await mark(
            tx,
            [held.row for held in rows if held.row.id not in waiting],
            self._owner,
            timeout_seconds=self._timeouts,
            factor=self._factor,
            rules=self._rules,
            admit=admit,
        )

    async def _put_back(self, tx: Tx, later: Collection[Later]) -> None:
        soon = [Waiting(row, tx.now + timedelta(seconds=after), reason) for row, after, reason in later]
        await put_back(tx, soon, self._owner)

    def _give_room(self, rows: Sequence[Claimed]) -> None:
        self._free += sum([self._sizes[row.channel] for row in rows])
        self._unsettled -= len(rows)
        self._nudge.set()
        self._room.set()

    # --- settle ----------------------------------------------------------------------------------------

    def _ended(self, row: Claimed, outcome: Outcome | None) -> None:
        """A slot is done with a row."""
        self._flying -= 1
        is_wanted = bool(self._ahead) and self._sending.waiting <= self.slots // 2
        is_last = not (self._flying or self._marking)  # or what is being marked soon brings more
        self._settler.take((row, outcome), is_last=is_last, is_wanted=is_wanted)


def _parted(rows: Sequence[Held], marked: Sequence[Claimed]) -> tuple[Sequence[Held], Sequence[Claimed]]:
    """Those that were marked, and the rows of the others. Pure. A row may stand there twice, under two claims."""
    if len(marked) == len(rows):
        return rows, ()
    going = {(row.id, row.fence) for row in marked}
    started = [held for held in rows if (held.row.id, held.row.fence) in going]
    return started, [held.row for held in rows if (held.row.id, held.row.fence) not in going]


def slots_of(lane: Lane, bulk: int) -> int:
    """Concurrent sends of a lane: alerts have at least as many as bulk, answers a few of their own. Pure."""
    if lane is Lane.URGENT:
        return max(RESERVED_SLOTS[lane], bulk)
    return RESERVED_SLOTS.get(lane, bulk)
