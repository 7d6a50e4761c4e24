"""Texts found in Twilio's list: how far it was read, and each text as its hook would have told it.

Pure. Called by `sms_twilio`, whose `poll` reads the list.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from channels import addresses
from channels.base import Incoming, Medium
from channels.twilio_log import ListedText

ID_ENDS = 8  # letters of an id that are kept: enough among the texts of some minutes
MOST_TOLD = 2_000


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How far the list was read. at: time of the newest text. told: ends of the ids told of the minutes before."""

    cursor: str
    at: datetime
    told: frozenset[str]

    def was_told(self, text: ListedText) -> bool:
        return text.sid[-ID_ENDS:] in self.told


def read_mark(cursor: str, *, first: datetime) -> Mark:
    """The mark a cursor stands for. first: from when to read where there is none, or one that cannot be read."""
    when, *told = cursor.split()[: 1 + MOST_TOLD] or [""]
    try:
        at = datetime.fromisoformat(when)
    except ValueError:
        return Mark(cursor="", at=first, told=frozenset())
    return Mark(cursor=cursor, at=at if at.tzinfo else at.replace(tzinfo=UTC), told=frozenset(told))


def mark_after(
    mark: Mark, texts: Sequence[ListedText], overlap: timedelta, *, until: datetime | None = None
) -> str:
    """The cursor once `texts`, oldest first, are told; the same where there is nothing new.

    until: to where the list was read, where that is not its end.
    """
    if mark.cursor and until is None and all(mark.was_told(text) for text in texts):
        return mark.cursor
    newest = until or max([mark.at, *(text.at for text in texts)])
    told = [text.sid[-ID_ENDS:] for text in texts if text.at >= newest - overlap][-MOST_TOLD:]
    return " ".join([newest.astimezone(UTC).isoformat(), *told])


def event_of(text: ListedText, account_sid: str, pictures: Sequence[str]) -> Incoming:
    """The text as its hook would have told it; the same id, so that one of the two is a repeat."""
    fields = {
        "AccountSid": account_sid,
        "MessageSid": text.sid,
        "From": text.sender,
        "To": text.to,
        "Body": text.body,
        "NumMedia": str(len(pictures)),
        **{f"MediaUrl{at}": url for at, url in enumerate(pictures)},
    }
    return Incoming(
        event_id=text.sid,
        medium=Medium.SMS,
        sender=addresses.incoming_number(text.sender),
        recipient=addresses.incoming_number(text.to),
        text=text.body,
        at=text.at,
        raw=urlencode(fields).encode(),
        media=tuple(pictures),
    )
