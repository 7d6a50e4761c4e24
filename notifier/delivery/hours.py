"""The clock on the wall: quiet hours, the next day, the hours at which digests close. Pure.

Local time jumps twice a year, so every answer is a moment in UTC that was checked against the wall: an hour
that does not exist is passed over, and one that comes twice is looked at twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from subscribers.models import Frequency

DAY_MINUTES = 24 * 60
CLOSES = time(17, 0)
WEEKLY_ON = 4  # Friday
WAKES = time(8, 0)
LONGEST = timedelta(days=2)


@dataclass(frozen=True, kw_only=True)
class Hours:
    """From `start` until `end`, minutes after local midnight; over midnight where the end is the smaller."""

    start: int
    end: int

    def holds(self, minute: int) -> bool:
        """Does that minute of the day lie within? None does where both are the same."""
        if self.start <= self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


def hours_in(text: str) -> Hours:
    """`21:00-08:00`. Raises ValueError."""
    start, _, end = text.partition("-")
    return Hours(start=minutes_in(start), end=minutes_in(end))


def minutes_in(text: str) -> int:
    """`21:30` as minutes after midnight. Raises ValueError."""
    at = time.fromisoformat(text)
    return at.hour * 60 + at.minute


def is_quiet(hours: Sequence[Hours], at: datetime, zone: ZoneInfo) -> bool:
    """Does the wall's clock show quiet hours at that moment?"""
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    return any(each.holds(minute) for each in hours)


def end_of_quiet(hours: Sequence[Hours], at: datetime, zone: ZoneInfo) -> datetime | None:
    """The first moment from `at` on that is quiet by none of them; None where `at` itself is not.

    Where they leave no minute of the day, a moment two days on or later.
    """
    end = at
    while is_quiet(hours, end, zone) and end - at < LONGEST:
        end = max(_end_of(each, end, zone) for each in hours)
    return end if end > at else None


def first_of_day(on: date, zone: ZoneInfo) -> datetime:
    """The moment at which that day begins there."""
    return datetime.combine(on, time(), tzinfo=zone).astimezone(UTC)


def next_morning(at: datetime, hours: Sequence[Hours], zone: ZoneInfo) -> datetime:
    """When the next day's sending may begin: at the end of its quiet hours, or at 8am where night has none."""
    tomorrow = at.astimezone(zone).date() + timedelta(days=1)
    midnight = first_of_day(tomorrow, zone)
    waking = datetime.combine(tomorrow, WAKES, tzinfo=zone).astimezone(UTC)
    return end_of_quiet(hours, midnight, zone) or end_of_quiet(hours, waking, zone) or waking


def last_closing(frequency: Frequency, now: datetime, zone: ZoneInfo) -> datetime:
    """The latest hour at which digests of that kind closed, in UTC: 5pm, weekly ones on Fridays."""
    day = now.astimezone(zone).date()
    if frequency is Frequency.WEEKLY:
        day -= timedelta(days=(day.weekday() - WEEKLY_ON) % 7)
    closing = _closing(day, zone)
    if closing > now:
        closing = _closing(day - _between(frequency), zone)
    return closing


def next_closing(frequency: Frequency, now: datetime, zone: ZoneInfo) -> datetime:
    """The first closing hour after now, in UTC."""
    last = last_closing(frequency, now, zone)
    return _closing(last.astimezone(zone).date() + _between(frequency), zone)


def _between(frequency: Frequency) -> timedelta:
    return timedelta(days=7 if frequency is Frequency.WEEKLY else 1)


def _closing(on: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(on, CLOSES, tzinfo=zone).astimezone(UTC)


def _end_of(hours: Hours, at: datetime, zone: ZoneInfo) -> datetime:
    """The first moment from `at` on outside these hours.

    They end when the clock shows their last minute has passed, or when it jumps out of them.
    """
    if not is_quiet([hours], at, zone):
        return at
    today = at.astimezone(zone).date()
    wall = time(hours.end // 60 % 24, hours.end % 60)
    ends = [
        datetime.combine(today + timedelta(days=day), wall, tzinfo=zone).replace(fold=fold).astimezone(UTC)
        for day in (0, 1, 2)
        for fold in (0, 1)
    ]
    jump = _jump(at, max(ends), zone)
    ends += [jump] if jump else []
    return min(end for end in ends if end > at and not is_quiet([hours], end, zone))


def _jump(after: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """The moment between the two at which the clocks change, or None."""
    before = after.astimezone(zone).utcoffset()
    if until.astimezone(zone).utcoffset() == before:
        return None
    low, high = int(after.timestamp()), int(until.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        same = datetime.fromtimestamp(middle, zone).utcoffset() == before
        low, high = (middle, high) if same else (low, middle)
    return datetime.fromtimestamp(high, UTC)
