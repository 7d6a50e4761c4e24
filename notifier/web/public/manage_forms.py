"""What the preferences page asks, checked; and what stands in its fields before anything is typed."""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from channels.errors import BadAddress
from notifier.broadcast.preferences import Preferences
from notifier.delivery.hours import Hours
from notifier.web import addresses
from notifier.web.forms import Form, Says
from notifier.web.public.sign_up import MOST_AREAS, Language, Topics
from notifier.web.times import in_words, read_time
from subscribers.models import Frequency, LeastPriority

MOST_A_WEEK = 50
WEEKLY_CHOICES = (1, 2, 3, 5, 7, 10, 15)


def _time(text: str | None) -> str | None:
    if text and read_time(text) is None:
        raise ValueError("Enter a time of day, for example 9pm or 21:30")
    return text


def _minutes(text: str) -> int:
    at = read_time(text)
    return at.hour * 60 + at.minute if at else 0


class Wishes(Form):
    """What the preferences page sends."""

    area: tuple[str, ...] = ()
    topic: Topics = ()
    least_priority: Annotated[LeastPriority, Says(sentence="Choose how much you want to hear")]
    frequency: Annotated[Frequency, Says(sentence="Choose how often")]
    language: Language = "en"
    quiet_from: Annotated[str | None, AfterValidator(_time)] = None
    quiet_until: Annotated[str | None, AfterValidator(_time)] = None
    weekly_limit: Annotated[
        int | None, Field(ge=0, le=MOST_A_WEEK), Says(sentence="Choose how many messages a week")
    ] = None

    @field_validator("quiet_until")
    @classmethod
    def _ends(cls, value: str | None, info: ValidationInfo) -> str | None:
        start = info.data.get("quiet_from")
        if bool(start) != bool(value) and "quiet_from" in info.data:
            raise ValueError("Enter both times of your quiet hours, or leave both empty")
        if start and value and read_time(start) == read_time(value):
            raise ValueError("Enter two different times, or leave both empty")
        return value

    @property
    def quiet_hours(self) -> Hours | None:
        """None where the page did not ask; hours that hold no minute where none are wanted."""
        if self.quiet_from is None or self.quiet_until is None:
            return None
        return Hours(start=_minutes(self.quiet_from), end=_minutes(self.quiet_until))

    @field_validator("area")
    @classmethod
    def _some_areas(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("Choose at least one area. To get nothing more, use the stop button below")
        if len(value) > MOST_AREAS:
            raise ValueError(f"Choose {MOST_AREAS} areas at most")
        return value


class NewAddress(Form):
    """One more email address or mobile number. Context: our own mail domain."""

    medium: str = "email"
    address: str = ""

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str, info: ValidationInfo) -> str:
        try:
            if info.data.get("medium") == "sms":
                return addresses.mobile(value)
            return addresses.email(value, our_domain=str(info.context))
        except BadAddress as error:
            raise ValueError(str(error)) from error


class AskForLink(NewAddress):
    """An address to send a fresh link to: which of the two it is, is seen from it."""

    @field_validator("medium")
    @classmethod
    def _any(cls, value: str) -> str:
        return value if value in ("email", "sms") else "email"


def quiet_words(held: Preferences) -> tuple[str, str]:
    """What stands in the two fields."""
    hours = held.quiet_hours
    return (in_words(hours.start), in_words(hours.end)) if hours else ("", "")


def limits(held: Preferences, usual: int) -> list[tuple[str, str]]:
    """The choices of a weekly limit; the first leaves it to the service."""
    first = ("0", f"As usual: {usual} at most" if usual else "As many as there are")
    numbers = sorted({*WEEKLY_CHOICES, *([held.weekly_limit] if held.weekly_limit else [])})
    return [first, *((str(number), f"{number} at most") for number in numbers)]
