"""What stands between a claimed row and its provider: rates, breakers, limits on spending. One for a worker.

`pace` and `heed` ask the shared counters and touch no row; `admit` and `settled` stand in the transactions that mark
and settle. The rules are in `notifier.delivery`: `pacing`, `gate` and `breaker`, `spend`, `refusals`.
"""

import asyncio
import time
from collections.abc import Collection, Sequence

from channels.base import Accepted, Medium, Throttled, Unknown
from notifier.db import Tx
from notifier.delivery import spend
from notifier.delivery.claim import Claimed
from notifier.delivery.gate import Candidate, Gate, Result, domain_of
from notifier.delivery.pacing import Pacer, Want, read_rates
from notifier.delivery.refusals import Refusals
from notifier.delivery.spend import Cost
from notifier.models import Lane
from notifier.runtime import Service
from notifier.worker.seams import Done, Held, Later, Seams, Waiting

BULK = (Lane.WARD, Lane.BULLETIN)
ALONE_SECONDS, MIXED_SECONDS = 0.25, 0.1  # a batch waits in place: what has its turn already waits with it
LONGEST_REST_SECONDS = 5.0
PACED = "waits its turn: the provider takes only so many a second"


class Governor(Seams):
    """Whether a row may go now, and what its outcome teaches."""

    def __init__(self, service: Service) -> None:
        settings, keys = service.settings, service.db.keys
        self._zone, self._caps = settings.zone, spend.read_caps(settings.spend_a_day)
        self._gate = Gate(keys=keys, factor=settings.time_factor)
        self._refusals = Refusals()
        self._resting: dict[tuple[Lane, str], float] = {}
        self._costs: dict[int, Cost] = {}  # of the paid rows that are under way
        self.pacer = Pacer(
            rates=read_rates(settings.rates),
            shared=service.counters if settings.redis_url else None,
            hide=lambda value: keys.address_hash("counter", value).hex()[:32],
            factor=settings.time_factor,
        )

    def without(self, lane: Lane) -> Collection[str]:
        """Channels of which a whole batch had to wait just now: another would only be put back as well."""
        now = time.monotonic()
        self._resting = {place: until for place, until in self._resting.items() if until > now}
        return {channel for of, channel in self._resting if of is lane}

    async def pace(self, rows: Sequence[Held]) -> Collection[Later]:
        """Takes each row's turn. Bulk waits a moment for its own; what goes at once in other lanes is not held up."""
        bulk = rows[0].row.lane in BULK
        asked = [_want(held, bulk=bulk) for held in rows]
        turns = await self.pacer.take(asked)
        if not any(turns):
            return ()
        return await self._wait(rows, asked, turns)

    async def _wait(
        self, rows: Sequence[Held], asked: Sequence[Want], turns: Sequence[float]
    ) -> Collection[Later]:
        """Asks again for those whose turn comes soon."""
        ids = [held.row.id for held in rows]
        wants, waits = dict(zip(ids, asked, strict=True)), dict(zip(ids, turns, strict=True))
        later: dict[int, float] = {}
        until = time.monotonic() + _patience(rows)
        while any(waits.values()):
            now = time.monotonic()
            left = [id_ for id_, wait in waits.items() if wait and now + wait <= until]
            later |= {id_: wait for id_, wait in waits.items() if wait and id_ not in left}
            if left and rows[0].row.lane not in BULK and len(left) < len(rows):
                later |= {id_: waits[id_] for id_ in left}
                left = []
            if not left:
                break
            await asyncio.sleep(max(waits[id_] for id_ in left))
            waits = dict(zip(left, await self.pacer.take([wants[id_] for id_ in left]), strict=True))
        if later:
            self._rest(rows, later)
        return [Later(id_, wait, PACED) for id_, wait in later.items()]

    async def admit(self, tx: Tx, rows: Sequence[Held]) -> Collection[Waiting]:
        """Who may not start: behind an open breaker, or beyond the day's limit. The cost of the rest is counted."""
        shut: list[Waiting] = []
        if await self._gate.has_shut(tx):
            asking = [Candidate(id=row.id, channel=row.channel, domain=_domain(row)) for row, *_ in rows]
            admitted = await self._gate.admit(tx, asking)
            shut = [Waiting(back.id, back.due_at, back.reason) for back in admitted.back]
            rows = [held for held in rows if held.row.id in admitted.go]
        costs = [_cost(held) for held in rows if held.ready.pence > 0]
        if not costs:
            return shut
        charged = await spend.charge(tx, costs, self._caps, self._zone)
        self._costs |= {cost.id: cost for cost in costs if cost.id not in charged.over}
        return shut + [Waiting(id_, charged.until, why) for id_, why in charged.over.items()]

    async def settled(self, tx: Tx, done: Sequence[Done], moved: Collection[int]) -> None:
        """Counts outcomes for the breakers, gives back what was not spent, notices words that are refused."""
        if self.is_settled() and all(type(each.outcome) is Accepted for each in done):
            return  # as nearly always
        ended = [(each.row, each.outcome) for each in done if each.outcome is not None]
        await self._gate.learn(
            tx,
            [Result(channel=row.channel, domain=_domain(row), outcome=outcome) for row, outcome in ended],
        )
        unspent = [
            self._costs[each.row.id]
            for each in done
            if each.row.id in self._costs and not isinstance(each.outcome, Accepted | Unknown)
        ]
        await spend.refund(tx, unspent, self._zone)
        await self._refusals.observe(tx, [(row.message_id, outcome) for row, outcome in ended])

    def is_settled(self) -> bool:
        """No breaker has anything to learn from what went well, and nothing under way is paid for."""
        return self._gate.is_calm and not self._costs

    async def heed(self, done: Sequence[Done]) -> None:
        """Slows down where a provider asks for it."""
        for each in done:
            self._costs.pop(each.row.id, None)
            if isinstance(each.outcome, Throttled):
                row = each.row
                bulk = row.lane in BULK
                await self.pacer.heed(Want(channel=row.channel, domain=_domain(row), bulk=bulk), each.outcome)

    def _rest(self, rows: Sequence[Held], later: dict[int, float]) -> None:
        """A channel of which no row could go is left alone until the first of them can."""
        lane = rows[0].row.lane
        for channel in {held.row.channel for held in rows}:
            waits = [later.get(held.row.id, 0.0) for held in rows if held.row.channel == channel]
            if min(waits) > 0:
                self._resting[lane, channel] = time.monotonic() + min([*waits, LONGEST_REST_SECONDS])


def _patience(rows: Sequence[Held]) -> float:
    """How long a batch may wait in place."""
    return ALONE_SECONDS if len({held.row.channel for held in rows}) == 1 else MIXED_SECONDS


def _domain(row: Claimed) -> str:
    return domain_of(row.address) if row.medium == Medium.EMAIL else ""


def _want(held: Held, *, bulk: bool) -> Want:
    row, ready, personal = held
    sender = personal.sender or ready.sender
    return Want(row.channel, ready.parts, sender, domain_of(row.address) if ready.is_mail else "", bulk)


def _cost(held: Held) -> Cost:
    row, ready, _ = held
    team = str(row.team_id or "")
    return Cost(
        id=row.id, channel=row.channel, team=team, lane=row.lane, parts=ready.parts, pence=ready.pence
    )
