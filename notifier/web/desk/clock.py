"""A date and a time as an officer typed them, made one moment. Pure; called by the compose page and the commands.

Local time has gaps and doubles: when the clocks go forward an hour does not exist, and the next real
time is offered; when they go back an hour comes twice, and the officer says which. A program that cannot
ask takes the next real time, and the first of two.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from notifier.web.times import read_date, read_time
from templates.dates import long_date

NEXT, FIRST, SECOND = "next", "first", "second"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """at: in UTC, where all is well. wrong: a sentence. choices: (value, words) among which to choose."""

    at: datetime | None = None
    wrong: str = ""
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Settled:
    """at: in UTC. note: a sentence where the clocks change, else empty."""

    at: datetime
    note: str = ""


def settle(naive: datetime, zone: ZoneInfo) -> Settled:
    """The moment of a time on the wall, where nobody can be asked: the next real one, and the first of two."""
    first = naive.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first <= naive.replace(tzinfo=zone, fold=1).astimezone(UTC):
        return Settled(at=first, note=note(first, zone))
    after = _end_of_gap(naive, zone)
    words = f"The clocks go forward then, so that time does not exist: it is {long_date(after, zone)}."
    return Settled(at=after, note=words)


def note(at: datetime, zone: ZoneInfo) -> str:
    """What to say beside a moment's date and time where the wall shows them twice; else nothing."""
    local = at.astimezone(zone)
    other = local.replace(fold=1 - local.fold)
    if local.utcoffset() == other.utcoffset():
        return ""
    which = "second time, after they have gone back" if local.fold else "first time, before they go back"
    return f"The clocks go back then, so that time comes twice: it is the {which} ({local.tzname()})."


def read(day: str, at: str, zone: ZoneInfo, *, choice: str = "") -> Moment:
    """The moment of a date and a time in that zone. choice: what was chosen where the clocks change."""
    on = read_date(day)
    if on is None:
        return Moment(wrong="Enter a real date, for example 27 3 2027.")
    clock = read_time(at)
    if clock is None:
        return Moment(wrong="Enter a real time, for example 6:30pm or 18:30.")
    return _on_the_clock(datetime.combine(on, clock), zone, choice)


def _on_the_clock(naive: datetime, zone: ZoneInfo, choice: str) -> Moment:
    try:
        first = naive.replace(tzinfo=zone).astimezone(UTC)
        second = naive.replace(tzinfo=zone, fold=1).astimezone(UTC)
    except OverflowError:
        return Moment(wrong="Enter a date within the next year.")
    if first == second:
        return Moment(at=first)
    if first > second:  # skipped: the earlier offset carries it past the gap
        after = _end_of_gap(naive, zone)
        if choice == NEXT:
            return Moment(at=after, choices=((NEXT, long_date(after, zone)),))
        return Moment(
            wrong="The clocks go forward then, so that time does not exist. Choose the next real time, or another.",
            choices=((NEXT, long_date(after, zone)),),
        )
    choices = (
        (FIRST, f"The first time, before the clocks go back ({_name(first, zone)})"),
        (SECOND, f"The second time, after the clocks have gone back ({_name(second, zone)})"),
    )
    chosen = {FIRST: first, SECOND: second}.get(choice)
    if chosen:
        return Moment(at=chosen, choices=choices)
    return Moment(
        wrong="The clocks go back then, so that time comes twice. Say which you mean.", choices=choices
    )


def _end_of_gap(naive: datetime, zone: ZoneInfo) -> datetime:
    """The first real minute after a time that does not exist."""
    after = naive
    while True:
        after += timedelta(minutes=1)
        moment = after.replace(tzinfo=zone).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == after:
            return moment


def _name(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return local.tzname() or local.strftime("%z")
