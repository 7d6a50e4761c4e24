"""The channel contract: what every adapter promises, and the values that cross its edge.

An adapter carries one medium through one provider. It knows the provider and nothing of
the service: no database, no subscriber, no setting but the mapping handed to it.
`templates` makes `Content`, `notifier.delivery` makes `Outgoing` and decides on `Outcome`.
The words it carries are in `content`, what came of a try in `outcomes`, what comes back later in `events`; all are
handed on here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import TracebackType
from typing import ClassVar, Protocol, Self, runtime_checkable

from channels.content import (
    HOLE_CLOSES,
    HOLE_OPENS,
    Content,
    Form,
    Hole,
    Medium,
    Prepared,
    cut,
    hole,
    without_holes,
)
from channels.events import (
    Event,
    HookReply,
    HookRequest,
    Incoming,
    Media,
    MediaRefused,
    OptedOut,
    Progress,
    Receipt,
)
from channels.outcomes import Accepted, Failed, Outcome, Refusal, Refused, Throttled, Unknown, Where

__all__ = [
    "HOLE_CLOSES",
    "HOLE_OPENS",
    "Accepted",
    "CanBePolled",
    "CanLookUp",
    "Capabilities",
    "Channel",
    "Content",
    "Doubt",
    "Errand",
    "Estimate",
    "Event",
    "Failed",
    "FetchesMedia",
    "Form",
    "HasPublicKey",
    "HasSenders",
    "Hole",
    "HookReply",
    "HookRequest",
    "Idempotency",
    "Incoming",
    "Media",
    "MediaRefused",
    "Medium",
    "OptedOut",
    "Outcome",
    "Outgoing",
    "Prepared",
    "Progress",
    "Receipt",
    "Refusal",
    "Refused",
    "Sender",
    "SendsInRuns",
    "TakesHooks",
    "Throttled",
    "Unknown",
    "Variable",
    "Where",
    "cut",
    "filled",
    "hole",
    "without_holes",
]


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """What a look-up has to know. since: when the first try that may have arrived began; what the provider took before
    is another message's. claimed: the provider's ids that other deliveries hold."""

    since: datetime
    claimed: frozenset[str]


@dataclass(kw_only=True, slots=True)
class Outgoing:
    """One recipient, one try. Not frozen, for that takes thrice as long to make; nobody changes it.

    attempt: signed token of this try; goes into callback addresses, so that a receipt finds it. Empty for a
    channel that tells it to nobody (`names_attempt`).
    delivery: signed token of the delivery, the same on every try; makes Message-ID and idempotency keys. Either is of
    lower-case letters and digits, at most 64.
    sender: the address or number it is sent from. reply_to: where a reply should go (email).
    return_path: where a bounce should go (email). headers: further email headers, names and values.
    good_for_seconds: after which it is worth nothing to the person, from the delivery's expiry; None: not known.
    doubt: of one that may have arrived already, for a channel with `keys_kept_seconds`; else None.
    """

    attempt: str
    delivery: str
    to: str
    prepared: Prepared
    values: Mapping[str, str]
    sender: str = ""
    reply_to: str = ""
    return_path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    urgent: bool = False
    good_for_seconds: float | None = None
    doubt: Doubt | None = None


def filled(message: Outgoing, more: Mapping[str, str] | None = None) -> bytes | Refused:
    """The recipient's bytes, or the refusal of a message that lacks a value or holds no real characters."""
    try:
        return message.prepared.fill({**message.values, **(more or {})})
    except KeyError as error:
        return Refused(why=Refusal.CONTENT, reason=f"no value for {error.args[0]!r}")
    except UnicodeEncodeError:
        return Refused(why=Refusal.CONTENT, reason="a value holds half a character")


# --- What a channel can do ----------------------------------------------------------------


class Idempotency(StrEnum):
    """What stops a second try from arriving twice."""

    KEY = "key"
    CLIENT_ID = "client_id"
    CONTENT = "content"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What the service may rely on.

    slot_rows: *M*, most started and unsettled rows of one slot (bulk). names_attempt: it tells the attempt's token
    to somebody; where it does not, none is made. keys_kept_seconds: after which the provider may take a second try for
    a new message, so that `send` has to look for the first one before; None: it knows keys and ids for ever.
    """

    media: frozenset[Medium]
    replies: bool
    receipts: bool
    html: bool
    max_text: int | None
    idempotency: Idempotency
    slot_rows: int = 1
    timeout_seconds: float = 30
    names_attempt: bool = True
    keys_kept_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What one copy costs to send: parts (texts), encoding, whole pence, and what made it dearer."""

    parts: int
    encoding: str
    cost_pence: float
    length: int
    limit: int | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A setting a channel reads."""

    name: str
    meaning: str
    default: str | None = None
    secret: bool = False
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class Sender:
    """A number or name that a channel may send from, and whether an answer to it reaches us."""

    address: str
    takes_replies: bool


class Channel(ABC):
    """One adapter. Made by `from_env`, opened and closed as an async context manager."""

    name: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    variables: ClassVar[Sequence[Variable]] = ()

    @classmethod
    @abstractmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Built from the settings it declares. NotConfigured names the first one missing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back connections. Safe to call twice, and while a send is under way."""
        return

    @abstractmethod
    def normalise(self, address: str, medium: Medium) -> str:
        """The one spelling of an address. BadAddress says what to enter instead."""

    @abstractmethod
    def estimate(self, content: Content) -> Estimate:
        """What one copy costs. Pure."""

    @abstractmethod
    def prepare(self, content: Content) -> Prepared:
        """Compile once for a message in a language. Pure. CannotExpress where it must be refused."""

    @abstractmethod
    async def send(self, message: Outgoing) -> Outcome:
        """One recipient, one try. Never raises, save when cancelled."""


class Errand(Protocol):
    """A message on its way, and who is to be told how it ended."""

    @property
    def message(self) -> Outgoing: ...

    def ended(self, outcome: Outcome) -> None:
        """Told once. Never raises."""
        ...


@runtime_checkable
class SendsInRuns(Protocol):
    """A channel that sends several messages one after the other at less than their single cost."""

    async def run(self, following: Callable[[], Errand | None], *, urgent: bool = False) -> None:
        """Take errand after errand, each when it can go; return when there is none, or when others want their turn.

        Each that was taken is ended exactly as `send` would have. Never raises, save when cancelled.
        """
        ...


@runtime_checkable
class TakesHooks(Protocol):
    """A channel whose provider calls us."""

    async def verify(self, request: HookRequest) -> bool:
        """Is the call the provider's? Constant time over the configured public address.

        It may fetch what the provider signs with, from the provider's own hosts alone. CannotVerify where that is
        out of reach, so that the call is asked for again and not lost; it raises nothing else.
        """
        ...

    def parse(self, request: HookRequest) -> Sequence[Event]:
        """What it says. BadHook where it cannot be read."""
        ...

    def answer(self) -> HookReply:
        """What the provider wants to hear once the events are safe."""
        ...


@runtime_checkable
class CanBePolled(Protocol):
    """A channel that can be asked what came since a cursor."""

    async def poll(self, cursor: str) -> tuple[Sequence[Event], str]:
        """What came after `cursor`, oldest first, and the cursor to ask with next time.

        cursor: what the last call gave and the caller kept, once the events were safe; empty at first. Asked again
        with the same one it tells the same events, with the same ids, and perhaps newer ones. One call may tell only
        some of what waits: the next, with the new cursor, tells more. Nothing new: no events, and the same cursor.
        Raises CannotPoll, with the seconds to wait where the provider names a time; nothing else, save when cancelled.
        """
        ...


@runtime_checkable
class CanLookUp(Protocol):
    """A channel that can be asked whether an attempt in doubt was taken.

    Accepted: it was. Failed: it certainly was not. Unknown: no evidence either way. Throttled: it could not be
    asked now, so nothing is known, and after that time it may be asked again.
    since: when the first attempt in doubt began; what the provider took before is another message's.
    claimed: the provider's ids that other deliveries hold, so that two with the same words are not taken for one.
    """

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome: ...


@runtime_checkable
class HasSenders(Protocol):
    """A channel that sends from numbers or names of its own. Others send from one address that needs no choice."""

    @property
    def senders(self) -> Sequence[Sender]:
        """Never empty; the first is used where a message names none."""
        ...


@runtime_checkable
class FetchesMedia(Protocol):
    """A channel that can fetch what came with words from outside (`Incoming.media`)."""

    async def fetch(self, url: str) -> Media | MediaRefused:
        """From the provider's own hosts alone, capped in size, kind and time. Never raises, save when cancelled."""
        ...


@runtime_checkable
class HasPublicKey(Protocol):
    """A channel whose addresses are made by a reader's own device, for a key of ours."""

    @property
    def public_key(self) -> str:
        """What the device must be told, in the spelling it wants: of push, RFC 8292 section 3.2 in base64url."""
        ...
