"""Dates and times as residents read them: "Saturday 21 November 2026, 6:30pm".

Pure. English is written here; every other language by Babel's tables, loaded when first asked for.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from templates.languages import ENGLISH

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def long_date(when: datetime, zone: ZoneInfo, language: str = ENGLISH) -> str:
    """Day, date and time in that zone: "Saturday 21 November 2026, 6:30pm"."""
    return f"{day(when, zone, language)}, {_time(when.astimezone(zone), language)}"


def day(when: datetime, zone: ZoneInfo, language: str = ENGLISH) -> str:
    """The date alone: "Saturday 21 November 2026"."""
    local = when.astimezone(zone)
    if language == ENGLISH:
        return f"{_DAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]} {local.year}"
    return _by_babel(local, "EEEE d MMMM y", language)


def _time(local: datetime, language: str) -> str:
    if language != ENGLISH:
        return _by_babel(local, "HH:mm", language)
    minutes = f":{local.minute:02}" if local.minute else ""
    return f"{local.hour % 12 or 12}{minutes}{'am' if local.hour < 12 else 'pm'}"


def _by_babel(local: datetime, pattern: str, language: str) -> str:
    from babel.core import Locale, UnknownLocaleError  # noqa: PLC0415  # a tenth of a second, English never needs it
    from babel.dates import format_datetime  # noqa: PLC0415

    try:
        locale = Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        locale = Locale("en", "GB")
    return format_datetime(local, pattern, tzinfo=local.tzinfo, locale=locale)
