"""What the tests of mail providers' events share: an event said in a word or three."""

from typing import Any

from channels.base import Event, Incoming, OptedOut, Receipt

TO = "sam@resident.example"


def short(events: Any) -> list[str]:
    """An event in a word or three: what, for good, code."""
    return [_short(each) for each in events]


def _short(event: Event) -> str:
    match event:
        case Receipt():
            good = " for good" if event.permanent else ""
            return f"{event.progress}{good} {event.code}".strip()
        case OptedOut():
            return f"left {event.address}"
        case Incoming():
            return "mail"
