"""What comes back from a provider: receipts, words from outside, and the web calls that bring them.

Part of the channel contract, and handed on by `base`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from channels.content import Medium


class Progress(StrEnum):
    """What a provider says became of an accepted message."""

    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A provider's later word on one attempt. `attempt` is our signed token, where it came back.

    permanent: nothing will ever arrive there. opted_out: because the person told the provider to stop.
    """

    event_id: str
    provider_id: str
    attempt: str
    progress: Progress
    at: datetime | None
    raw: bytes
    code: str = ""
    permanent: bool = False
    opted_out: bool = False


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """Words from outside: `text` is empty for mail, whose `raw` is the whole RFC 5322 message.

    in_reply_to: the provider's id of the message of ours it answers, where the provider says so.
    media: addresses of the pictures that came with a text, for the channel's own `fetch` and nobody else.
    """

    event_id: str
    medium: Medium
    sender: str
    recipient: str
    text: str
    at: datetime | None
    raw: bytes
    in_reply_to: str = ""
    media: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OptedOut:
    """Somebody told the provider that they want no more from us. It says nothing of any one message."""

    event_id: str
    medium: Medium
    address: str
    at: datetime | None
    raw: bytes


Event = Receipt | Incoming | OptedOut


@dataclass(frozen=True, kw_only=True)
class Media:
    """A picture that came with a text, as the provider keeps it."""

    content_type: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class MediaRefused:
    """Not fetched, and why in plain words; `again`: the trouble passes, so another try may bring it."""

    reason: str
    again: bool = False
    after_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class HookRequest:
    """A provider's web call as it came: the public address it was sent to, headers, raw body."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class HookReply:
    """What the provider wants to hear."""

    status: int = 200
    content_type: str = "text/plain"
    body: bytes = b""
