"""Decides what an outcome makes of a delivery. Pure: `settled` writes it.

`decide` follows a send, `resolve` follows a look-up of a delivery in doubt, `unsent` a send whose turn never came.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol, assert_never
from uuid import UUID

from channels.base import Accepted, Failed, Idempotency, Outcome, Refusal, Refused, Throttled, Unknown
from notifier.delivery.replay import NOT_TAKEN
from notifier.models import DeliveryState, Lane

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
UNSENT, ACCEPTED = "unsent", "accepted"  # ends of an attempt


class Standing(StrEnum):
    """What an outcome says of the address itself."""

    BOUNCED = "bounced"
    STOPPED = "stopped"


class Taken(Protocol):
    """What is told on of a delivery that was taken. number: of the attempt. is_notice: not a message's."""

    @property
    def id(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def maybe_repeat(self) -> bool: ...
    @property
    def contact_point_id(self) -> UUID: ...
    @property
    def is_notice(self) -> bool: ...


class Tried(NamedTuple):
    """What the decision needs to know of a delivery and its latest attempt. is_notice: not a message's."""

    id: int
    number: int
    lane: Lane
    tries: int
    checks: int
    maybe_repeat: bool
    expires_at: datetime
    idempotency: Idempotency
    contact_point_id: UUID
    is_notice: bool = True


class Change(NamedTuple):
    """What becomes of a delivery. outcome names the attempt's end; empty where no attempt ended, and then
    `event` is the kind of event that says what became of the doubt."""

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
    standing: Standing | None = None
    is_notice: bool = True
    event: str = "resolved"

    @property
    def is_plain(self) -> bool:
        """Taken by the provider, and nothing else to say of it."""
        return self.outcome == ACCEPTED and not self.reason and not self.code and self.spends_try


def decide(outcome: Outcome, tried: Tried, *, now: datetime, jitter: float, factor: float = 1.0) -> Change:
    """What a send's outcome makes of its delivery. jitter in [0, 1) spreads retries; factor shortens waits."""
    base = _Base(tried, type(outcome).__name__.lower())
    match outcome:
        case Accepted():
            return taken(outcome, tried)
        case Throttled(after_seconds=after, reason=reason, code=code):
            due = now + timedelta(seconds=max(after, 0.0) * factor)
            return base.change(DeliveryState.PENDING, reason=reason, code=code, due_at=due, spends_try=False)
        case Failed(reason=reason, code=code):
            return _retry(base, reason, code, now=now, jitter=jitter, factor=factor)
        case Refused(code="duplicate", provider_id=provider_id) if (
            tried.checks or tried.maybe_repeat
        ) and tried.idempotency is Idempotency.CONTENT:
            # Once in doubt, and now refused as a double: the earlier try did arrive.
            return base.change(
                DeliveryState.ACCEPTED, reason="the provider had it already", provider_id=provider_id
            )
        case Refused(why=why, reason=reason, code=code):
            return _refused(base, why, reason, code, now=now, factor=factor)
        case Unknown(reason=reason):
            return _doubt(base, reason, now=now, factor=factor)
    assert_never(outcome)


def taken(outcome: Accepted, tried: Taken) -> Change:
    """The provider has it: nearly always."""
    return Change(
        tried.id,
        tried.number,
        DeliveryState.ACCEPTED,
        outcome=ACCEPTED,
        provider_id=provider_name(outcome),
        maybe_repeat=tried.maybe_repeat,
        contact_point_id=tried.contact_point_id,
        is_notice=tried.is_notice,
    )


def provider_name(outcome: Accepted) -> str:
    """The provider's name for what it took, fit for its column. Pure."""
    return _clean(outcome.provider_id, 200)


def unsent(tried: Tried, *, now: datetime) -> Change:
    """A started row whose turn never came while its mark was good: it did not leave, and is due again."""
    return _Base(tried, UNSENT).change(
        DeliveryState.PENDING, reason="its turn came too late", due_at=now, spends_try=False
    )


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
            change = base.change(DeliveryState.PENDING, reason="the provider never had it", due_at=now)
            return change._replace(event=NOT_TAKEN)
        case Throttled(after_seconds=after) if tried.expires_at > now:
            later = now + max(timedelta(seconds=max(after, 0.0)), BETWEEN_LOOK_UPS * factor)
            reason = "could not be looked up yet"
            return base.change(DeliveryState.IN_DOUBT, reason=reason, due_at=later, spends_try=False)
        case Unknown() if tried.checks < LOOK_UPS:
            later = now + BETWEEN_LOOK_UPS * factor
            return base.change(DeliveryState.IN_DOUBT, reason="looked up, nothing known yet", due_at=later)
        case _:
            return _without_evidence(base, now=now)


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
            reason=_clean(reason, 200),
            code=_clean(code, 40),
            outcome=self.outcome,
            provider_id=_clean(provider_id, 200),
            due_at=due_at,
            maybe_repeat=maybe_repeat or self.tried.maybe_repeat,
            spends_try=spends_try,
            contact_point_id=self.tried.contact_point_id,
            standing=standing,
            is_notice=self.tried.is_notice,
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


def _clean(said: str, longest: int) -> str:
    """What a provider said, fit for a column: PostgreSQL takes no zero byte, and half a character is none."""
    if said.isascii() and "\0" not in said:
        return said[:longest]
    return said.replace("\0", "").encode(errors="replace").decode()[:longest]
