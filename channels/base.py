"""The channel contract: what every adapter promises, and the values that cross its edge.

An adapter carries one medium through one provider. It knows the provider and nothing of
the service: no database, no subscriber, no setting but the mapping handed to it.
`templates` makes `Content`, `notifier.delivery` makes `Outgoing` and decides on `Outcome`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from html import escape
from types import TracebackType
from typing import ClassVar, Protocol, Self, runtime_checkable


class Medium(StrEnum):
    """How words travel."""

    EMAIL = "email"
    SMS = "sms"
    SOCIAL = "social"
    PUSH = "push"


# --- Words, and the holes in them -------------------------------------------------------

HOLE_OPENS, HOLE_CLOSES = "\ue000", "\ue001"  # private use: text from outside is stripped of them


class Form(StrEnum):
    """How a value is written where its hole is."""

    TEXT = "text"
    HTML = "html"


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A place for one personal value, filled for each recipient."""

    name: str
    form: Form = Form.TEXT

    def write(self, value: str) -> bytes:
        """The value as bytes: one line, nothing that could open a hole, escaped where it stands in HTML."""
        flat = " ".join(value.split())
        return (escape(flat) if self.form is Form.HTML else flat).encode()


def hole(name: str) -> str:
    """The mark a template leaves where `name` will be written."""
    return f"{HOLE_OPENS}{name}{HOLE_CLOSES}"


def without_holes(text: str) -> str:
    """`text` from outside, with the two marks taken out."""
    return text.replace(HOLE_OPENS, "").replace(HOLE_CLOSES, "")


def cut(text: str, form: Form = Form.TEXT) -> tuple[bytes | Hole, ...]:
    """Split rendered text at its holes, into constant bytes (UTF-8) and holes."""
    pieces: list[bytes | Hole] = []
    head, *rest = text.split(HOLE_OPENS)
    pieces.append(head.encode())
    for part in rest:
        name, _, tail = part.partition(HOLE_CLOSES)
        pieces += [Hole(name=name, form=form), tail.encode()]
    return tuple(piece for piece in pieces if piece != b"")


@dataclass(frozen=True, kw_only=True)
class Content:
    """The words of one message in one language for one medium; all may hold holes.

    subject: email's subject line, empty on other media. text: plain text, the whole of it.
    html: email's second part, empty on other media. sender_name: who it is from, in words.
    """

    medium: Medium
    language: str
    text: str
    subject: str = ""
    html: str = ""
    sender_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Content compiled once: constant pieces with holes between them."""

    medium: Medium
    language: str
    pieces: tuple[bytes | Hole, ...]

    def fill(self, values: Mapping[str, str]) -> bytes:
        """One recipient's bytes. KeyError where a hole has no value: a fault of the caller."""
        parts = self._constants.copy()
        for at, hole in self._holes:
            parts[at] = hole.write(values[hole.name])
        return b"".join(parts)

    @cached_property
    def _constants(self) -> list[bytes]:
        """The pieces, nothing where a hole is."""
        return [piece if isinstance(piece, bytes) else b"" for piece in self.pieces]

    @cached_property
    def _holes(self) -> list[tuple[int, Hole]]:
        """Holes, and which pieces they are."""
        return [(at, piece) for at, piece in enumerate(self.pieces) if isinstance(piece, Hole)]


@dataclass(kw_only=True, slots=True)
class Outgoing:
    """One recipient, one try. Not frozen, for that takes thrice as long to make; nobody changes it.

    attempt: signed token of this try; goes into callback addresses, so that a receipt finds it. Empty for a
    channel that tells it to nobody (`names_attempt`).
    delivery: signed token of the delivery, the same on every try; makes Message-ID and idempotency keys.
    sender: the address or number it is sent from. reply_to: where a reply should go (email).
    return_path: where a bounce should go (email). headers: further email headers, names and values.
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


# --- What came of it ----------------------------------------------------------------------


class Refusal(StrEnum):
    """Why a provider will never take this."""

    BAD_ADDRESS = "bad_address"
    OPTED_OUT = "opted_out"
    CONTENT = "content"
    NOT_ALLOWED = "not_allowed"  # credentials, credit or suspension: the operator must act


class Where(StrEnum):
    """Whose trouble a passing failure is: what the breaker counts it against."""

    PROVIDER = "provider"  # connection, time-out, the service itself
    DOMAIN = "domain"  # the recipient's mail domain behind it
    RECIPIENT = "recipient"  # this one mailbox or number: says nothing of the others


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The provider has taken it; the id is the provider's name for it."""

    provider_id: str


@dataclass(frozen=True, kw_only=True)
class Throttled:
    """Not taken now: too fast. No attempt is spent."""

    after_seconds: float
    reason: str = "throttled"
    code: str = ""
    where: Where = Where.PROVIDER


@dataclass(frozen=True, kw_only=True)
class Failed:
    """Certainly not taken; another try is safe."""

    reason: str
    code: str = ""
    where: Where = Where.PROVIDER


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Certainly not taken, and never will be. provider_id: of the copy it has already, where that is why."""

    why: Refusal
    reason: str
    code: str = ""
    provider_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """It may have been taken: never retried blindly."""

    reason: str


Outcome = Accepted | Throttled | Failed | Refused | Unknown


def filled(message: Outgoing, more: Mapping[str, str] | None = None) -> bytes | Refused:
    """The recipient's bytes, or the refusal of a message that lacks a value or holds no real characters."""
    try:
        return message.prepared.fill({**message.values, **(more or {})})
    except KeyError as error:
        return Refused(why=Refusal.CONTENT, reason=f"no value for {error.args[0]!r}")
    except UnicodeEncodeError:
        return Refused(why=Refusal.CONTENT, reason="a value holds half a character")


# --- What comes back ------------------------------------------------------------------------


class Progress(StrEnum):
    """What a provider says became of an accepted message."""

    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A provider's later word on one attempt. `attempt` is our signed token, where it came back."""

    event_id: str
    provider_id: str
    attempt: str
    progress: Progress
    at: datetime | None
    raw: bytes
    code: str = ""
    permanent: bool = False


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """Words from outside: `text` is empty for mail, whose `raw` is the whole RFC 5322 message."""

    event_id: str
    medium: Medium
    sender: str
    recipient: str
    text: str
    at: datetime | None
    raw: bytes


Event = Receipt | Incoming


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
    to somebody; where it does not, none is made.
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

    def verify(self, request: HookRequest) -> bool:
        """Is the call the provider's? Constant time over the configured public address."""
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

    async def poll(self, cursor: str) -> tuple[Sequence[Event], str]: ...


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
