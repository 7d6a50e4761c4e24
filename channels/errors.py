"""What a channel may raise, outside `send`, which never raises.

ChannelError
├── NotConfigured     a variable it needs is missing or makes no sense
├── BadAddress        the address cannot be written to on this medium
├── CannotExpress     the content asks for what this channel cannot carry
├── BadHook           a signed hook whose body cannot be read
├── CannotVerify      a hook whose signature could not be checked now
├── CannotPoll        a provider that could not be asked what came
└── UnknownChannel    no installed adapter has that name
"""


class ChannelError(Exception):
    """Something is wrong with a channel or with what it was given."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class NotConfigured(ChannelError):
    """The channel lacks a setting it needs."""

    def __init__(self, channel: str, variable: str, why: str = "is not set") -> None:
        self.channel, self.variable = channel, variable
        super().__init__(f"{channel}: {variable} {why}")


class BadAddress(ChannelError):
    """That address cannot be written to on this medium."""


class CannotExpress(ChannelError):
    """This channel cannot carry that content."""


class BadHook(ChannelError):
    """The hook is signed, but its body cannot be read."""


class CannotVerify(ChannelError):
    """Whose call it is cannot be told now, for what it is signed with could not be fetched: it may come again."""


class CannotPoll(ChannelError):
    """The provider could not be asked what came. after_seconds: when it may be asked again; 0: as usual."""

    def __init__(self, after_seconds: float = 0.0, reason: str = "the provider could not be asked") -> None:
        self.after_seconds = after_seconds
        super().__init__(reason)


class UnknownChannel(ChannelError):
    """No installed channel has that name."""
