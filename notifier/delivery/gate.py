"""The breakers' rows: who may start now (`admit`, at the mark) and what results teach (`learn`, at the settle).

All workers share the rows. While every breaker is clean there are none, and good results cost no statement but
one small read every half second. Called by the worker; the rules are in `breaker`.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import structlog
from sqlalchemy import Select, and_, delete, select, tuple_, update

from channels.base import Accepted, Outcome
from notifier.db import Tx
from notifier.delivery import breaker as rules
from notifier.delivery.alarms import AlarmKind, clear_alarm, raise_alarm
from notifier.delivery.breaker import GOOD, Breaker, Verdict, against_domain, against_provider
from notifier.models import IS_PENDING, BreakerRow, BreakerState, Delivery
from subscribers.dialects import insert_for
from subscribers.signing import Keys

log = structlog.get_logger()

GOOD_FOR_SECONDS = 0.5
TAKES_NOTHING = "{} takes nothing now"
KEPT_CLOSED, KEPT_OPEN = timedelta(days=1), timedelta(days=7)
# Mail hosts that so many people use that naming one says nothing of anybody.
WELL_KNOWN = frozenset(
    (
        "aol.com",
        "bt.com",
        "btinternet.com",
        "gmail.com",
        "gmx.com",
        "googlemail.com",
        "hotmail.co.uk",
        "hotmail.com",
        "icloud.com",
        "live.co.uk",
        "live.com",
        "me.com",
        "msn.com",
        "ntlworld.com",
        "outlook.com",
        "proton.me",
        "protonmail.com",
        "sky.com",
        "talktalk.net",
        "virginmedia.com",
        "yahoo.co.uk",
        "yahoo.com",
    )
)

Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A row that is about to start. domain: of an email address, else empty."""

    id: int
    channel: str
    domain: str = ""


@dataclass(frozen=True, kw_only=True)
class PutBack:
    """A row that may not start now, when it may be looked at again, and why in words."""

    id: int
    due_at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """Ids of the rows that may start; the others go back to pending, and no try is spent."""

    go: frozenset[int]
    back: Sequence[PutBack] = ()


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one send."""

    channel: str
    outcome: Outcome
    domain: str = ""


@dataclass
class Gate:
    """One for a worker. It may be lost at any time: the rows are the truth."""

    keys: Keys
    factor: float = 1.0
    random: Random = field(default_factory=Random)
    _known: dict[Key, Breaker] = field(default_factory=dict)
    _read_at: float = float("-inf")

    @property
    def is_calm(self) -> bool:
        """No breaker has a row: good results teach nothing."""
        return not self._known

    async def has_shut(self, tx: Tx) -> bool:
        """Whether some rows may have to wait: not every breaker is closed."""
        await self._refresh(tx)
        return not all(known.is_closed for known in self._known.values())

    async def admit(self, tx: Tx, rows: Sequence[Candidate]) -> Admitted:
        """Which rows may start. Behind an open breaker that is one probe at a time, whichever worker asks."""
        if not await self.has_shut(tx):
            return Admitted(go=frozenset(row.id for row in rows))
        self._read_at = float("-inf")  # while something is open, each look is a fresh one
        shut = {key: known for key, known in self._known.items() if not known.is_closed}
        blocked = {row.id: [key for key in self._keys_of(row) if key in shut] for row in rows}
        asking = _who_probes(blocked, shut, tx.now)
        wanted = sorted({key for id_ in asking for key in blocked[id_]})
        taken = {key for key in wanted if await self._take_probe(tx, key, shut[key])}
        go = {
            id_
            for id_, keys in blocked.items()
            if not keys or (id_ in asking and all(key in taken for key in keys))
        }
        back = [self._put_back(id_, keys, shut, tx.now) for id_, keys in blocked.items() if id_ not in go]
        return Admitted(go=frozenset(go), back=back)

    async def learn(self, tx: Tx, results: Sequence[Result]) -> None:
        """Count results. Opens, keeps open or closes breakers, and tells the operator where one must act."""
        if self.is_calm and all(isinstance(result.outcome, Accepted) for result in results):
            return
        verdicts = self._verdicts(results)
        if not verdicts:
            return
        self._read_at = float("-inf")
        places = sorted(verdicts)
        shown = {self._hashed(result.domain): result.domain for result in results if result.domain}
        await tx.execute(
            insert_for(tx, BreakerRow).on_conflict_do_nothing(),
            [
                {
                    "channel": channel,
                    "domain": domain,
                    "shown_domain": shown.get(domain, "") if shown.get(domain) in WELL_KNOWN else "",
                    "state": BreakerState.CLOSED,
                }
                for channel, domain in places
            ],
        )
        rows = await tx.execute(
            _read()
            .where(tuple_(BreakerRow.channel, BreakerRow.domain).in_(places))
            .order_by(BreakerRow.channel, BreakerRow.domain)
            .with_for_update()
        )
        for row in rows.all():
            key = (row.channel, row.domain)
            was = _breaker(row)
            now_is = rules.after(was, verdicts[key], now=tx.now, factor=self.factor)
            await _write(tx, key, now_is)
            await _tell(tx, key, row.shown_domain, was, now_is)

    def _verdicts(self, results: Sequence[Result]) -> dict[Key, list[Verdict]]:
        """What is worth a row: faults, and good results where a row stands."""
        faulty = {result.domain for result in results if _is_fault(against_domain(result.outcome))}
        providers = {result.channel for result in results if _is_fault(against_provider(result.outcome))}
        has_domains = any(domain for _, domain in self._known)
        found: dict[Key, list[Verdict]] = {}
        for result in results:
            provider, domain = against_provider(result.outcome), against_domain(result.outcome)
            key = (result.channel, "")
            if provider and (result.channel in providers or key in self._known):
                found.setdefault(key, []).append(provider)
            if not domain or not result.domain or not (has_domains or result.domain in faulty):
                continue
            key = (result.channel, self._hashed(result.domain))
            if result.domain in faulty or key in self._known:
                found.setdefault(key, []).append(domain)
        return found

    async def _refresh(self, tx: Tx) -> None:
        if time.monotonic() - self._read_at > GOOD_FOR_SECONDS:
            rows = await tx.execute(_read())
            self._known = {(row.channel, row.domain): _breaker(row) for row in rows}
            self._read_at = time.monotonic()

    async def _take_probe(self, tx: Tx, key: Key, known: Breaker) -> bool:
        """Claim the right to this probe: of all who saw that it is time, one gets it."""
        probed = rules.probing(known, now=tx.now, factor=self.factor)
        taken = await tx.execute(
            update(BreakerRow)
            .where(_is(key), BreakerRow.state != BreakerState.CLOSED, BreakerRow.probe_at <= tx.now)
            .values(state=probed.state, probe_at=probed.probe_at)
        )
        return bool(taken.rowcount)

    def _put_back(
        self, id_: int, blocking: Sequence[Key], shut: Mapping[Key, Breaker], now: datetime
    ) -> PutBack:
        """Until the next probe; rows of a shut domain spread over its wait, for the claim cannot pass them over."""
        due, reason = now, ""
        for key in blocking:
            known = shut[key]
            next_probe = now + timedelta(seconds=rules.PROBE_SECONDS * self.factor)
            probe_at = known.probe_at if known.probe_at and known.probe_at > now else next_probe
            spread = self.random.random() * known.wait_seconds if key[1] else 0.0
            due = max(due, probe_at + timedelta(seconds=spread))
            reason = "their mail provider takes nothing now" if key[1] else TAKES_NOTHING.format(key[0])
        return PutBack(id=id_, due_at=due, reason=reason)

    def _keys_of(self, row: Candidate) -> list[Key]:
        keys = [(row.channel, "")]
        return [*keys, (row.channel, self._hashed(row.domain))] if row.domain else keys

    def _hashed(self, domain: str) -> str:
        return hashed_domain(self.keys, domain)


async def try_again(tx: Tx, channel: str, *, factor: float = 1.0) -> bool:
    """A channel was just seen to work: let its next probe go at once, and what was put back until then be due.

    False where it was not shut.
    """
    row = (await tx.execute(_read().where(_is((channel, ""))).with_for_update())).first()
    was = _breaker(row) if row else rules.CLEAN
    if was.is_closed:
        return False
    now_is = rules.mended(was, now=tx.now, factor=factor)
    await _write(tx, (channel, ""), now_is)
    await _tell(tx, (channel, ""), "", was, now_is)
    await tx.execute(
        update(Delivery)
        .where(
            IS_PENDING,
            Delivery.channel == channel,
            Delivery.due_at > tx.now,
            Delivery.reason == TAKES_NOTHING.format(channel),
        )
        .values(due_at=tx.now)
        .execution_options(synchronize_session=False)
    )
    tx.on_commit("wake")
    return True


def shut_channels(now: Any) -> Select[Any]:
    """Names of the channels that nothing may be claimed for now: for the claim. now: a time, or its parameter."""
    return select(BreakerRow.channel).where(
        BreakerRow.domain == "", BreakerRow.state != BreakerState.CLOSED, BreakerRow.probe_at > now
    )


def domain_of(address: str) -> str:
    """The mail domain of an address in its one spelling; empty for numbers and accounts."""
    name, _, domain = address.rpartition("@")
    return domain.lower() if name else ""


def hashed_domain(keys: Keys, domain: str) -> str:
    """How a mail domain is kept: a rare one would name a person."""
    return keys.address_hash("domain", domain).hex()


async def forget_old(tx: Tx) -> None:
    """Drop what has not been touched for long: a few faults once, a domain nobody writes to any more."""
    for state_is, kept in (
        (BreakerRow.state == BreakerState.CLOSED, KEPT_CLOSED),
        (and_(BreakerRow.state != BreakerState.CLOSED, BreakerRow.domain != ""), KEPT_OPEN),
    ):
        await tx.execute(delete(BreakerRow).where(state_is, BreakerRow.probe_at < tx.now - kept))


def _who_probes(
    blocked: Mapping[int, Sequence[Key]], shut: Mapping[Key, Breaker], now: datetime
) -> frozenset[int]:
    """One row for each breaker whose time has come. A row behind two needs both."""
    asking, spoken_for = set(), set[Key]()
    for id_, keys in blocked.items():
        if keys and all(key not in spoken_for and rules.may_probe(shut[key], now) for key in keys):
            asking.add(id_)
            spoken_for.update(keys)
    return frozenset(asking)


def _is_fault(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict is not GOOD


def _is(key: Key) -> Any:
    return and_(BreakerRow.channel == key[0], BreakerRow.domain == key[1])


def _read() -> Select[Any]:
    return select(BreakerRow.__table__)


def _breaker(row: Any) -> Breaker:
    return Breaker(
        state=BreakerState(row.state),
        recent=(rules.GOOD_MARK * rules.KEPT + row.recent)[-rules.KEPT :],
        wait_seconds=row.wait_seconds,
        opened_at=row.opened_at,
        probe_at=row.probe_at,
        reason=row.reason,
        code=row.code,
    )


async def _write(tx: Tx, key: Key, breaker: Breaker) -> None:
    """A clean breaker has no row. A closed one keeps in probe_at when it was last touched."""
    if breaker.is_clean:
        await tx.execute(delete(BreakerRow).where(_is(key)))
        return
    await tx.execute(
        update(BreakerRow)
        .where(_is(key))
        .values(
            state=breaker.state,
            recent=breaker.recent,
            wait_seconds=breaker.wait_seconds,
            opened_at=breaker.opened_at,
            probe_at=tx.now if breaker.is_closed else breaker.probe_at,
            reason=breaker.reason,
            code=breaker.code,
        )
    )


async def _tell(tx: Tx, key: Key, shown: str, was: Breaker, now_is: Breaker) -> None:
    if was.state is now_is.state:
        return
    channel, domain = key
    log.warning("breaker", channel=channel, domain=shown or domain[:8], state=now_is.state, code=now_is.code)
    if now_is.state is BreakerState.OPERATOR:
        why = ": ".join(part for part in (now_is.code, now_is.reason) if part)
        await raise_alarm(
            tx, AlarmKind.CHANNEL, channel, f"{channel} does not let us in, and sends nothing ({why})"
        )
    elif was.state is BreakerState.OPERATOR:
        await clear_alarm(tx, AlarmKind.CHANNEL, channel)
        tx.on_commit("wake")
