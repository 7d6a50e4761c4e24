"""What sending costs, counted as it starts, and the limits that no day passes (NOTIFIER_SPEND_A_DAY).

Reckoned from the rows of `spending`, in the transaction that marks: two workers cannot pass a limit together. An
alert goes out all the same, and an operator is told. What was certainly not taken is given back at the settle.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import case, select, update

from notifier.db import Tx
from notifier.delivery.alarms import AlarmKind, clear_alarm, open_alarms, raise_alarm
from notifier.models import Lane, Spending
from subscribers.dialects import insert_for

PENNY = 1e-6  # of rounding


@dataclass(frozen=True, kw_only=True)
class Caps:
    """Most pence a day: by channel, and by channel for each team."""

    channels: Mapping[str, float] = field(default_factory=dict)
    teams: Mapping[str, float] = field(default_factory=dict)


NO_CAPS = Caps()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A row and what it will cost. team: an id as text, empty for what the service itself says."""

    id: int
    channel: str
    team: str
    lane: Lane
    parts: int
    pence: float


@dataclass(frozen=True, kw_only=True)
class Charged:
    """over: ids of rows that may not start today, each with the reason in words. until: when the next day begins."""

    over: Mapping[int, str]
    until: datetime


def read_caps(pairs: Iterable[str]) -> Caps:
    """NOTIFIER_SPEND_A_DAY, in pounds: `sms_twilio=500`, `sms_twilio/team=50`."""
    channels: dict[str, float] = {}
    teams: dict[str, float] = {}
    for pair in pairs:
        name, _, pounds = pair.partition("=")
        kind = teams if name.endswith("/team") else channels
        kind[name.removesuffix("/team")] = float(pounds) * 100
    return Caps(channels=channels, teams=teams)


def next_midnight(now: datetime, zone: ZoneInfo) -> datetime:
    """When the next local day begins."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)


async def charge(tx: Tx, costs: Sequence[Cost], caps: Caps, zone: ZoneInfo) -> Charged:
    """Count what starts, and say which rows may not. Free rows cost no statement.

    The first of a channel's rows of the day is held until the commit, so that limits hold across workers.
    """
    day, over = tx.now.astimezone(zone).date(), dict[int, str]()
    paid = [cost for cost in costs if cost.pence > 0]
    for channel in sorted({cost.channel for cost in paid}):
        mine = [cost for cost in paid if cost.channel == channel]
        if channel in caps.channels or channel in caps.teams:
            over |= await _over(tx, day, channel, mine, caps)
        await _add(tx, day, [cost for cost in mine if cost.id not in over])
    return Charged(over=over, until=next_midnight(tx.now, zone))


async def refund(tx: Tx, costs: Sequence[Cost], zone: ZoneInfo) -> None:
    """Give back what was counted for rows that were certainly not taken."""
    day = tx.now.astimezone(zone).date()
    for (channel, team), (parts, pence) in sorted(_sums(costs).items()):
        await tx.execute(
            update(Spending)
            .where(Spending.day == day, Spending.channel == channel, Spending.team == team)
            .values(
                parts=case((Spending.parts > parts, Spending.parts - parts), else_=0),
                pence=case((Spending.pence > pence, Spending.pence - pence), else_=0.0),
            )
        )


async def clear_yesterday(tx: Tx, zone: ZoneInfo) -> None:
    """A new day, a new limit."""
    today = tx.now.astimezone(zone).date()
    for alarm in await open_alarms(tx):
        if alarm.kind == AlarmKind.SPEND and alarm.raised_at.astimezone(zone).date() < today:
            await clear_alarm(tx, AlarmKind.SPEND, alarm.key)


async def _over(tx: Tx, day: date, channel: str, costs: Sequence[Cost], caps: Caps) -> dict[int, str]:
    """Rows that would pass a limit, in order: a smaller one behind a larger one may still fit."""
    first = {"day": day, "channel": channel, "team": "", "parts": 0, "pence": 0.0}
    await tx.execute(
        insert_for(tx, Spending).on_conflict_do_update(
            index_elements=["day", "channel", "team"], set_={"parts": Spending.parts}
        ),
        first,
    )
    rows = await tx.execute(
        select(Spending.team, Spending.pence).where(Spending.day == day, Spending.channel == channel)
    )
    of_team = {row.team: row.pence for row in rows}
    all_teams, over = sum(of_team.values()), dict[int, str]()
    for cost in costs:
        spent = of_team.get(cost.team, 0.0)
        passed = ""
        if cost.team and spent + cost.pence > caps.teams.get(channel, float("inf")) + PENNY:
            passed = f"{channel}/{cost.team}"
        if all_teams + cost.pence > caps.channels.get(channel, float("inf")) + PENNY:
            passed = channel
        if passed:
            await _tell(tx, passed, caps.channels[channel] if passed == channel else caps.teams[channel])
        if passed and cost.lane is not Lane.URGENT:
            whose = "the service's" if passed == channel else "the team's"
            over[cost.id] = f"{whose} limit for today is spent on this channel"
            continue
        of_team[cost.team] = spent + cost.pence
        all_teams += cost.pence
    return over


async def _tell(tx: Tx, key: str, cap: float) -> None:
    await raise_alarm(
        tx, AlarmKind.SPEND, key, f"{key}: the day's limit of £{cap / 100:.2f} is spent; only alerts go out"
    )


async def _add(tx: Tx, day: date, costs: Sequence[Cost]) -> None:
    for (channel, team), (parts, pence) in sorted(_sums(costs).items()):
        await tx.execute(
            insert_for(tx, Spending)
            .values(day=day, channel=channel, team=team, parts=parts, pence=pence)
            .on_conflict_do_update(
                index_elements=["day", "channel", "team"],
                set_={"parts": Spending.parts + parts, "pence": Spending.pence + pence},
            )
        )


def _sums(costs: Sequence[Cost]) -> dict[tuple[str, str], tuple[int, float]]:
    sums: dict[tuple[str, str], tuple[int, float]] = {}
    for cost in costs:
        parts, pence = sums.get((cost.channel, cost.team), (0, 0.0))
        sums[cost.channel, cost.team] = (parts + cost.parts, pence + cost.pence)
    return sums
