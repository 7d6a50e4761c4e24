"""What a consent is, which words it was given under, and when a sign-up may be asked or taken. Pure.

Called by the modules that keep the rows. Source of the rules: UK GDPR articles 4(11) and 7 (a clear
act, provable, as easy to withdraw as to give), and threats of sign-up forms used to flood others.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from subscribers.models import Frequency, LeastPriority

# The words shown beside the tick box live in `templates`; a change of meaning there raises this.
WORDING = "2026-11"
PUSH_WORDING = "2026-11-push"  # beside the button for notifications
PURPOSE = "neighbourhood_messages"

GOOD_FOR = timedelta(hours=48)
CODE_TRIES = 5
UNANSWERED_CODES_TO_DOUBT = 200


class ConsentAction(StrEnum):
    GIVEN = "given"
    WITHDRAWN = "withdrawn"
    CHANGED = "changed"


class SignUpState(StrEnum):
    WAITING = "waiting"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most so many in a window."""

    most: int
    window: timedelta


# A text costs money and an hour may hold a mistyped code; a mail can flood someone else's box.
ASK_LIMITS = {
    "email": (Limit(most=1, window=timedelta(hours=24)), Limit(most=3, window=timedelta(days=30))),
    "sms": (Limit(most=3, window=timedelta(hours=1)), Limit(most=10, window=timedelta(days=30))),
}
LONGEST_WINDOW = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a person wants to be told. They count once the address is confirmed.

    phone: to be asked next, once the email of the same form is confirmed. subscriber: whose record
    the address joins, where it was added by somebody already known to us.
    """

    area_codes: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    language: str = "en"
    least_priority: LeastPriority = LeastPriority.EVERYTHING
    frequency: Frequency = Frequency.AT_ONCE
    name: str | None = None
    postcode: str | None = None
    phone: str | None = None
    subscriber: UUID | None = None

    def to_json(self) -> str:
        values: dict[str, Any] = {name: value for name, value in vars(self).items() if value is not None}
        return json.dumps(values, default=str)

    @classmethod
    def from_json(cls, text: str) -> "Choices":
        values = json.loads(text)
        return cls(
            area_codes=tuple(values.pop("area_codes")),
            topics=tuple(values.pop("topics")),
            least_priority=LeastPriority(values.pop("least_priority")),
            frequency=Frequency(values.pop("frequency")),
            subscriber=UUID(values.pop("subscriber")) if "subscriber" in values else None,
            **values,
        )


def state_of(*, expires_at: datetime, confirmed_at: datetime | None, now: datetime) -> SignUpState:
    """Where a sign-up stands. Once confirmed it stays so, however late the link is followed again."""
    if confirmed_at is not None:
        return SignUpState.CONFIRMED
    return SignUpState.EXPIRED if expires_at <= now else SignUpState.WAITING


def may_ask(medium: str, asked: Sequence[datetime], now: datetime) -> bool:
    """May one more request to confirm go to this address, given when earlier ones went?"""
    return all(
        sum(now - at < limit.window for at in asked) < limit.most for limit in ASK_LIMITS.get(medium, ())
    )


def is_pumped(*, sent: int, used: int) -> bool:
    """Are codes being asked for by a script, for its share of what texts cost? Then no more are sent.

    Many of a day unanswered, and most: people who want to sign up use their codes (T1: conversion).
    """
    return sent - used >= UNANSWERED_CODES_TO_DOUBT and used * 2 < sent


def merge(followed: Choices, others: Sequence[Choices]) -> Choices:
    """One wish out of several sign-ups of one address: all areas and topics of them together.

    Everything else is taken from the sign-up whose link was followed. Above all its phone: anyone can
    type another's email beside a number of their own, and must not join that person's record by it.
    """
    every = [followed, *others]
    return replace(
        followed,
        area_codes=tuple(dict.fromkeys(code for choices in every for code in choices.area_codes)),
        topics=tuple(dict.fromkeys(slug for choices in every for slug in choices.topics)),
    )
