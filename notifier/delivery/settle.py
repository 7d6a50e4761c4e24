"""Decides what an outcome makes of a delivery (pure), and records it.

`decide` follows a send, `resolve` follows a look-up of a delivery in doubt. `record` writes changes
only where the fence still matches and the row still waits for them: running it twice changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from sqlalchemy import and_, bindparam, case, or_, update

from channels.base import Accepted, Failed, Idempotency, Outcome, Refusal, Refused, Throttled, Unknown
from notifier.db import Tx
from notifier.delivery.record import follow_digests, note_events
from notifier.models import Attempt, Delivery, DeliveryState, Lane
from subscribers.models import ContactPoint, ContactPointState

RETRY_AFTER = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
)
DOUBT_WAIT = timedelta(minutes=10)
BETWEEN_LOOK_UPS = timedelta(minutes=5)
LOOK_UPS = 2
OPERATOR_WAIT = timedelta(minutes=15)


class Standing(StrEnum):
    """What an outcome says of the address itself."""

    BOUNCED = "bounced"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What the decision needs to know of a delivery and its latest attempt."""

    id: int
    number: int
    lane: Lane
    tries: int
    checks: int
    maybe_repeat: bool
    expires_at: datetime
    idempotency: Idempotency
    contact_point_id: UUID


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of a delivery. outcome names the attempt's end; empty where no attempt ended."""

    id: int
    number: int
    state: DeliveryState
    reason: str = ""
    code: str = ""
    outcome: str = ""
    provider_id: str = ""
    due_at: datetime | None = None
    maybe_repeat: bool = False
    spends_try: bool = True
    contact_point_id: UUID | None = None
    standing: Standing | None = field(default=None)


def decide(outcome: Outcome, tried: Tried, *, now: datetime, jitter: float, factor: float = 1.0) -> Change:
    """What a send's outcome makes of its delivery. jitter in [0, 1) spreads retries; factor shortens waits."""
    base = _Base(tried, type(outcome).__name__.lower())
    match outcome:
        case Accepted(provider_id=provider_id):
            return base.change(DeliveryState.ACCEPTED, provider_id=provider_id)
        case Throttled(after_seconds=after, reason=reason, code=code):
            due = now + timedelta(seconds=max(after, 0.0) * factor)
            return base.change(DeliveryState.PENDING, reason=reason, code=code, due_at=due, spends_try=False)
        case Failed(reason=reason, code=code):
            return _retry(base, reason, code, now=now, jitter=jitter, factor=factor)
        case Refused(code="duplicate") if tried.checks and tried.idempotency is Idempotency.CONTENT:
            # Once in doubt, and now refused as a double: the earlier try did arrive.
            return base.change(DeliveryState.ACCEPTED, reason="the provider had it already")
        case Refused(why=why, reason=reason, code=code):
            return _refused(base, why, reason, code, now=now, factor=factor)
        case Unknown(reason=reason):
            return _doubt(base, reason, now=now, factor=factor)
    assert_never(outcome)


def resolve(found: Outcome | None, tried: Tried, *, now: datetime, factor: float = 1.0) -> Change:
    """What becomes of a delivery in doubt once its wait is over. found: what the provider's look-up said.

    Evidence decides. Without any, a channel whose provider refuses duplicates is tried again freely;
    otherwise there is one more try, flagged as a possible repeat, if the words still matter then;
    after that it stays open for a person (`unknown`).
    """
    base = _Base(tried, "")
    match found:
        case Accepted(provider_id=provider_id):
            return base.change(
                DeliveryState.ACCEPTED, reason="found at the provider", provider_id=provider_id
            )
        case Failed() | Refused():
            return base.change(DeliveryState.PENDING, reason="the provider never had it", due_at=now)
        case Unknown() | Throttled() if tried.checks < LOOK_UPS:
            later = now + BETWEEN_LOOK_UPS * factor
            return base.change(DeliveryState.IN_DOUBT, reason="looked up, nothing known yet", due_at=later)
        case _:
            return _without_evidence(base, now=now)


async def record(tx: Tx, changes: Sequence[Change]) -> None:
    """Write changes and the ends of their attempts, set by set. Stale fences change nothing."""
    if not changes:
        return
    await _end_attempts(tx, [c for c in changes if c.outcome])
    await tx.execute(_UPDATE, [_values(c) for c in changes])
    resolved = [c for c in changes if not c.outcome]
    for change in resolved:
        await note_events(tx, [change.id], "resolved", f"{change.state}: {change.reason}")
    await _mark_addresses(tx, changes)
    await follow_digests(tx, [c.id for c in changes if c.state.is_terminal])


@dataclass(frozen=True)
class _Base:
    """A change half filled in."""

    tried: Tried
    outcome: str

    def change(
        self,
        state: DeliveryState,
        *,
        reason: str = "",
        code: str = "",
        provider_id: str = "",
        due_at: datetime | None = None,
        maybe_repeat: bool = False,
        spends_try: bool = True,
        standing: Standing | None = None,
    ) -> Change:
        return Change(
            id=self.tried.id,
            number=self.tried.number,
            state=state,
            reason=reason[:200],
            code=code[:40],
            outcome=self.outcome,
            provider_id=provider_id[:200],
            due_at=due_at,
            maybe_repeat=maybe_repeat or self.tried.maybe_repeat,
            spends_try=spends_try,
            contact_point_id=self.tried.contact_point_id,
            standing=standing,
        )


def _retry(base: _Base, reason: str, code: str, *, now: datetime, jitter: float, factor: float) -> Change:
    """Full jitter under a growing ceiling, until the words no longer matter."""
    ceiling = RETRY_AFTER[min(base.tried.tries - 1, len(RETRY_AFTER) - 1)]
    due = now + ceiling * jitter * factor
    if due >= base.tried.expires_at:
        return base.change(DeliveryState.FAILED, reason=reason, code=code)
    return base.change(DeliveryState.PENDING, reason=reason, code=code, due_at=due)


def _refused(base: _Base, why: Refusal, reason: str, code: str, *, now: datetime, factor: float) -> Change:
    match why:
        case Refusal.BAD_ADDRESS:
            return base.change(DeliveryState.FAILED, reason=reason, code=code, standing=Standing.BOUNCED)
        case Refusal.OPTED_OUT:
            return base.change(DeliveryState.SUPPRESSED, reason=reason, code=code, standing=Standing.STOPPED)
        case Refusal.CONTENT:
            return base.change(DeliveryState.HELD, reason=reason, code=code)
        case Refusal.NOT_ALLOWED:  # credentials, credit: an operator must act; no try is spent meanwhile
            due = now + OPERATOR_WAIT * factor
            return base.change(DeliveryState.PENDING, reason=reason, code=code, due_at=due, spends_try=False)
    assert_never(why)


def _doubt(base: _Base, reason: str, *, now: datetime, factor: float) -> Change:
    if base.tried.idempotency in (Idempotency.KEY, Idempotency.CLIENT_ID):
        return base.change(DeliveryState.PENDING, reason=reason, due_at=now)
    if base.tried.lane is Lane.URGENT and not base.tried.maybe_repeat:
        # A repeat beats silence: an alert is tried again at once, flagged.
        return base.change(DeliveryState.PENDING, reason=reason, due_at=now, maybe_repeat=True)
    return base.change(DeliveryState.IN_DOUBT, reason=reason, due_at=now + DOUBT_WAIT * factor)


def _without_evidence(base: _Base, *, now: datetime) -> Change:
    tried = base.tried
    if tried.idempotency in (Idempotency.KEY, Idempotency.CLIENT_ID, Idempotency.CONTENT):
        return base.change(DeliveryState.PENDING, reason="the provider refuses repeats", due_at=now)
    if tried.maybe_repeat or tried.expires_at <= now:
        return base.change(DeliveryState.UNKNOWN, reason="no evidence; a person may decide")
    return base.change(DeliveryState.PENDING, reason="tried once more", due_at=now, maybe_repeat=True)


# The row must still be at this attempt, and still wait: a row swept into doubt takes a late answer.
_UPDATE = (
    update(Delivery)
    .where(
        and_(
            Delivery.id == bindparam("row"),
            Delivery.fence == bindparam("number"),
            or_(Delivery.state == DeliveryState.STARTED, Delivery.state == DeliveryState.IN_DOUBT),
        )
    )
    .values(
        state=bindparam("new_state"),
        reason=bindparam("new_reason"),
        provider_id=case(
            (bindparam("new_provider_id") != "", bindparam("new_provider_id")), else_=Delivery.provider_id
        ),
        due_at=case(
            (bindparam("has_due"), bindparam("new_due_at", type_=Delivery.due_at.type)), else_=Delivery.due_at
        ),
        maybe_repeat=bindparam("repeat"),
        tries=Delivery.tries - bindparam("given_back"),
        lease_until=None,
        owner=None,
    )
    .execution_options(synchronize_session=False)
)


def _values(change: Change) -> dict[str, object]:
    return {
        "row": change.id,
        "number": change.number,
        "new_state": change.state,
        "new_reason": change.reason or None,
        "new_provider_id": change.provider_id,
        "has_due": change.due_at is not None,
        "new_due_at": change.due_at,
        "repeat": change.maybe_repeat,
        "given_back": 0 if change.spends_try else 1,
    }


async def _end_attempts(tx: Tx, changes: Sequence[Change]) -> None:
    if not changes:
        return
    await tx.execute(
        update(Attempt)
        .where(Attempt.delivery_id == bindparam("row"), Attempt.number == bindparam("of"))
        .values(
            settled_at=tx.now,
            outcome=bindparam("ended"),
            reason=bindparam("why"),
            code=bindparam("said"),
            provider_id=bindparam("name"),
        )
        .execution_options(synchronize_session=False),
        [
            {
                "row": c.id,
                "of": c.number,
                "ended": c.outcome,
                "why": c.reason or None,
                "said": c.code or None,
                "name": c.provider_id or None,
            }
            for c in changes
        ],
    )


async def _mark_addresses(tx: Tx, changes: Sequence[Change]) -> None:
    """An address that does not exist, or whose owner opted out at the provider, is not written to again."""
    for standing in Standing:
        points = [c.contact_point_id for c in changes if c.standing is standing]
        if points:
            await tx.execute(
                update(ContactPoint)
                .where(ContactPoint.id.in_(points), ContactPoint.state == ContactPointState.ACTIVE)
                .values(state=ContactPointState(standing.value), stopped_at=tx.now)
            )
