"""How sending is doing, for whoever looks: the desk's banner, `/health/ready`, `notifier channels`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from notifier.db import Tx
from notifier.delivery.alarms import OpenAlarm, open_alarms
from notifier.models import Attempt, BreakerRow, BreakerState, Delivery, Hold, Poll, WorkerRow

HEARD_WITHIN = timedelta(seconds=15)
STATE_WORDS = {
    BreakerState.CLOSED: "working",
    BreakerState.OPEN: "out of order; tried again soon",
    BreakerState.HALF_OPEN: "out of order; being tried again",
    BreakerState.OPERATOR: "locked out; an operator must act",
}


@dataclass(frozen=True, kw_only=True)
class ChannelStanding:
    """A channel, or one mail domain behind it, that does not work as it should. since: when that began.

    domain: empty for the channel itself; its name where many use it, else "a mail domain".
    words: its state, for people. reason: what the provider said, without an address.
    """

    name: str
    domain: str
    state: BreakerState
    words: str
    since: datetime | None
    next_try: datetime | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class HoldStanding:
    """Something that is held by hand. scope: system, channel or team; key: which."""

    scope: str
    key: str
    reason: str
    by: str
    since: datetime


@dataclass(frozen=True, kw_only=True)
class SendingState:
    """Everything that keeps messages from leaving, and every open alarm. channels: only those in trouble."""

    channels: Sequence[ChannelStanding]
    holds: Sequence[HoldStanding]
    alarms: Sequence[OpenAlarm]

    @property
    def is_degraded(self) -> bool:
        return bool(self.channels or self.holds or self.alarms)

    def of_channel(self, name: str) -> ChannelStanding | None:
        """The trouble of a channel itself, not of a domain behind it."""
        return next((each for each in self.channels if each.name == name and not each.domain), None)


async def sending_state(tx: Tx) -> SendingState:
    """What stands in the rows now: three small reads."""
    breakers = await tx.execute(
        select(BreakerRow.__table__)
        .where(BreakerRow.state != BreakerState.CLOSED)
        .order_by(BreakerRow.channel, BreakerRow.domain != "", BreakerRow.opened_at)
        .limit(100)
    )
    holds = await tx.execute(select(Hold.__table__).order_by(Hold.since))
    return SendingState(
        channels=[
            ChannelStanding(
                name=row.channel,
                domain=(row.shown_domain or "a mail domain") if row.domain else "",
                state=BreakerState(row.state),
                words=STATE_WORDS[BreakerState(row.state)],
                since=row.opened_at,
                next_try=row.probe_at,
                reason=" ".join(part for part in (row.reason, f"({row.code})" if row.code else "") if part),
            )
            for row in breakers
        ],
        holds=[
            HoldStanding(scope=row.scope, key=row.key, reason=row.reason, by=row.by, since=row.since)
            for row in holds
        ],
        alarms=await open_alarms(tx),
    )


async def live_workers(tx: Tx) -> int:
    """How many workers were heard of lately."""
    return int(
        await tx.scalar(
            select(func.count()).select_from(WorkerRow).where(WorkerRow.seen_at > tx.now - HEARD_WITHIN)
        )
        or 0
    )


async def last_accepted(tx: Tx, channel: str) -> datetime | None:
    """When a provider took the newest delivery of a channel that it took."""
    found: datetime | None = await tx.scalar(
        select(Attempt.settled_at)
        .join(Delivery, Delivery.id == Attempt.delivery_id)
        .where(Delivery.channel == channel, Attempt.outcome == "accepted")
        .order_by(Attempt.delivery_id.desc(), Attempt.number.desc())
        .limit(1)
    )
    return found


async def last_polled(tx: Tx, channel: str) -> datetime | None:
    """When a channel that must be asked was last asked."""
    found: datetime | None = await tx.scalar(select(Poll.polled_at).where(Poll.channel == channel))
    return found
