"""What may go wrong in the service, in words an officer or an operator can act on.

ServiceError
├── NotFound          no such thing, or not yours to see
├── NotAllowed        your role does not let you do this
├── Conflict          the thing has changed since you looked
├── Invalid           some fields need mending (carries one sentence for each field)
└── Unavailable       the database or a provider cannot be reached just now
"""

from collections.abc import Mapping


class ServiceError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class NotFound(ServiceError):
    """There is nothing here by that name."""


class NotAllowed(ServiceError):
    """Your role does not let you do this."""


class Conflict(ServiceError):
    """This has changed since you looked at it. Look again before you go on."""


class Unavailable(ServiceError):
    """The service cannot do this just now. Try again in a minute."""


class Invalid(ServiceError):
    """Some answers need mending."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(" ".join(self.fields.values()))
