"""What stands between a claimed row and its provider: rates, breakers, limits on spending. One for a worker.

`turns`, `unused` and `heed` ask the shared counters and touch no row; `admit` and `learn` stand in the transactions
that mark and settle, `beat` in one of its own every few seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from channels.base import Failed, Outcome, Refused, Throttled
from notifier.config import Settings
from notifier.db import Tx
from notifier.delivery import spend
from notifier.delivery.alarms import AlarmKind, clear_alarm, raise_alarm
from notifier.delivery.counters import Counters
from notifier.delivery.gate import Candidate, Gate, PutBack, Result, domain_of, forget_old
from notifier.delivery.pacing import Pacer, Want, read_rates
from notifier.delivery.refusals import Refusals
from notifier.delivery.spend import Cost
from notifier.delivery.standing import live_workers
from notifier.models import Lane
from subscribers.signing import Keys

BULK = (Lane.WARD, Lane.BULLETIN)
COUNTERS_LOST = (
    "the shared counters are away: each worker keeps to its share of the rates, sign-up texts are refused"
)


@dataclass(frozen=True, kw_only=True)
class Going:
    """A row under our lease that is ready to be sent. team: an id as text, empty for what the service itself says.

    sender: the number a text is sent from, else empty. parts, pence: of one copy.
    """

    id: int
    channel: str
    lane: Lane
    address: str
    message_id: UUID | None
    sender: str = ""
    team: str = ""
    parts: int = 1
    pence: float = 0.0

    @property
    def domain(self) -> str:
        return domain_of(self.address)


class Governor:
    """Whether a row may go now, and what its outcome teaches."""

    def __init__(self, settings: Settings, keys: Keys, counters: Counters) -> None:
        self._zone, self._caps = settings.zone, spend.read_caps(settings.spend_a_day)
        self._gate = Gate(keys=keys, factor=settings.time_factor)
        self._refusals = Refusals()
        self._said_lost: bool | None = None
        self.pacer = Pacer(
            rates=read_rates(settings.rates),
            shared=counters if settings.redis_url else None,
            hide=lambda value: keys.address_hash("counter", value).hex()[:32],
            factor=settings.time_factor,
        )

    # --- The network: before the mark, and after the settle -------------------------------------

    async def turns(self, rows: Sequence[Going]) -> dict[int, float]:
        """Seconds until each row may start; 0: now, and it is counted."""
        waits = await self.pacer.take([_want(row) for row in rows])
        return {row.id: wait for row, wait in zip(rows, waits, strict=True)}

    async def unused(self, rows: Sequence[Going]) -> None:
        """Rows whose turn was now, and which did not start."""
        await self.pacer.give_back([_want(row) for row in rows])

    async def heed(self, done: Sequence[tuple[Going, Outcome]]) -> None:
        """Slow down where a provider asks for it."""
        for row, outcome in done:
            if isinstance(outcome, Throttled):
                await self.pacer.heed(_want(row), outcome)

    async def listen(self) -> None:
        """See whether the shared counters answer: before each `beat`."""
        await self.pacer.ask_whether_lost()

    # --- In the transactions that mark and settle ---------------------------------------------

    async def admit(self, tx: Tx, rows: Sequence[Going]) -> list[PutBack]:
        """The rows that may not start: behind an open breaker, or beyond the day's limit. The rest is counted."""
        admitted = await self._gate.admit(
            tx, [Candidate(id=row.id, channel=row.channel, domain=row.domain) for row in rows]
        )
        charged = await spend.charge(
            tx, [_cost(row) for row in rows if row.id in admitted.go], self._caps, self._zone
        )
        over = [PutBack(id=id_, due_at=charged.until, reason=reason) for id_, reason in charged.over.items()]
        return [*admitted.back, *over]

    async def learn(self, tx: Tx, done: Sequence[tuple[Going, Outcome]]) -> None:
        """Count the outcomes for the breakers, give back what was not spent, notice words that are refused."""
        await self._gate.learn(
            tx, [Result(channel=row.channel, domain=row.domain, outcome=outcome) for row, outcome in done]
        )
        unspent = [_cost(row) for row, outcome in done if isinstance(outcome, Failed | Refused | Throttled)]
        await spend.refund(tx, [cost for cost in unspent if cost.pence > 0], self._zone)
        await self._refusals.observe(tx, [(row.message_id, outcome) for row, outcome in done])

    async def beat(self, tx: Tx) -> None:
        """What has changed for all workers: how many there are, whether the counters answer, a new day."""
        self.pacer.workers = max(await live_workers(tx), 1)
        is_lost = self.pacer.is_lost
        if is_lost:
            await raise_alarm(tx, AlarmKind.COUNTERS, "", COUNTERS_LOST)
        elif self._said_lost is not False:
            await clear_alarm(tx, AlarmKind.COUNTERS, "")
        self._said_lost = is_lost
        await spend.clear_yesterday(tx, self._zone)

    async def tidy(self, tx: Tx) -> None:
        """Forget breakers that nobody has touched for long."""
        await forget_old(tx)


def _want(row: Going) -> Want:
    return Want(
        channel=row.channel, parts=row.parts, sender=row.sender, domain=row.domain, bulk=row.lane in BULK
    )


def _cost(row: Going) -> Cost:
    return Cost(
        id=row.id, channel=row.channel, team=row.team, lane=row.lane, parts=row.parts, pence=row.pence
    )
