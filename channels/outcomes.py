"""What may come of one try: the closed union that every channel's `send` answers with. Part of the contract, see `base`."""

from dataclasses import dataclass
from enum import StrEnum


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
    """Certainly not taken, and never will be. provider_id: of the copy it has already, where that is why.

    where: RECIPIENT where only this one of several accounts is not allowed, so that the others go on.
    """

    why: Refusal
    reason: str
    code: str = ""
    provider_id: str = ""
    where: Where = Where.PROVIDER


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """It may have been taken: never retried blindly."""

    reason: str


Outcome = Accepted | Throttled | Failed | Refused | Unknown
