"""What a channel brings to the conformance suite: a world in which it can be tried, and what cannot happen to it.

A new channel adds a file to `benches/` and no test.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from channels.base import Channel, Content, HookRequest, Medium, Outgoing, hole

NAME = "Siôn <b>"
SECRET_WORDS = "lamp on Abbey Road"
BASE_URL = "https://link.example"
OUR_NUMBER = "+447700900100"
SHORT = 1.5  # a hung provider is waited for this long, so a busy machine must answer sooner


class Case(StrEnum):
    """What may befall a channel that sends."""

    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    CUT = "cut"  # taken, and the answer lost
    HANG = "hang"  # no answer at all
    GARBLED = "garbled"  # an answer that makes no sense
    BAD_ADDRESS = "bad address"
    OPTED_OUT = "opted out"
    HOOKS = "hooks"
    CHANGED = "a call's body changed on its way"
    LOOK_UP = "look-up"


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """One copy as its reader sees it."""

    to: str
    text: str


class World(ABC):
    """An open channel and the far end it talks to."""

    channel: Channel

    @abstractmethod
    def arrived(self) -> list[Arrived]:
        """Everything the far end took."""

    def throttle(self, seconds: int) -> None:
        raise NotImplementedError

    async def unplug(self) -> None:
        raise NotImplementedError

    def cut(self) -> None:
        raise NotImplementedError

    def hang(self) -> None:
        raise NotImplementedError

    def garble(self) -> None:
        """The next answer cannot be read, whatever became of the message."""
        raise NotImplementedError

    def refuse_address(self) -> None:
        raise NotImplementedError

    def refuse_opted_out(self) -> None:
        raise NotImplementedError

    def hooks(self) -> Sequence[HookRequest]:
        """Genuine calls of the provider, each with at least one event; one of each kind the channel claims."""
        raise NotImplementedError

    def changed(self, call: HookRequest) -> Iterable[HookRequest]:
        """The call with each byte of it changed that proves whose it is. What nobody signs is left out, and said why."""
        return one_byte_changed(call)

    def unsigned(self, call: HookRequest) -> HookRequest:
        """The call without what proves whose it is."""
        return HookRequest(url=call.url, headers={}, body=call.body)

    def write_to_us(self, text: str) -> None:
        """Somebody writes, and the far end keeps it until it is asked (`poll`)."""
        raise NotImplementedError


def one_byte_changed(call: HookRequest) -> Iterable[HookRequest]:
    """The call with each byte of its body changed, with a byte more, with one less, and with its signature altered."""
    body = call.body
    yield from bytes_changed(call, range(len(body)))
    yield HookRequest(url=call.url, headers=call.headers, body=body + b"x")
    yield HookRequest(url=call.url, headers=call.headers, body=body[:-1])
    for name, value in call.headers.items():
        if "signature" in name.lower():
            flipped = ("A" if value[0] != "A" else "B") + value[1:]
            yield HookRequest(url=call.url, headers={**call.headers, name: flipped}, body=body)


def bytes_changed(call: HookRequest, places: Iterable[int]) -> Iterable[HookRequest]:
    """The call with each of these bytes of its body changed, one at a time."""
    for at in places:
        changed = call.body[:at] + bytes([call.body[at] ^ 1]) + call.body[at + 1 :]
        yield HookRequest(url=call.url, headers=call.headers, body=changed)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """One channel's place in the suite.

    odd_spelling: of `to`. env: enough to build it. required: variables without which it cannot be built.
    impossible: cases that cannot occur, and why. world: opened for one test, given `to` and an empty folder.
    """

    name: str
    medium: Medium
    to: str
    odd_spelling: str
    world: Callable[[str, Path], AbstractAsyncContextManager[World]]
    env: Mapping[str, str] = field(default_factory=dict)
    required: Sequence[str] = ()
    impossible: Mapping[Case, str] = field(default_factory=dict)

    def content(
        self, words: str = f"Dear {hole('name')}, the {SECRET_WORDS} is mended. {hole('link')}"
    ) -> Content:
        is_mail = self.medium is Medium.EMAIL
        return Content(
            medium=self.medium,
            language="en",
            text=words,
            subject=f"News for {hole('name')}" if is_mail else "",
            html=f"<p>Dear {hole('name')}</p>" if is_mail else "",
            sender_name="Southmere SNT" if is_mail else "",
        )

    def outgoing(
        self, channel: Channel, *, number: int = 1, to: str = "", values: Mapping[str, str] | None = None
    ) -> Outgoing:
        return Outgoing(
            attempt=f"attempt{'abcdefgh'[number]}.mac",
            delivery="deliveryx.mac",
            to=to or self.to,
            prepared=channel.prepare(self.content()),
            values={"name": NAME, "link": "https://link.example/m/abc"} if values is None else values,
        )

    @property
    def expected_text(self) -> str:
        return f"Dear {NAME}, the {SECRET_WORDS} is mended. https://link.example/m/abc"
