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
MOST_SPOILT = 40  # places of a call's body
SHORT = 1.5  # a hung provider is waited for this long, so a busy machine must answer sooner


class Case(StrEnum):
    """What may befall a channel that sends."""

    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    CUT = "cut"  # taken, and the answer lost
    HANG = "hang"  # no answer at all
    GARBLED = "garbled"  # an answer that makes no sense
    WEB = "web"  # taken and answered by a 500, or sent on to another host
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
        """The next send is too fast, and may be tried again after so long."""
        raise _missing("throttle", Case.THROTTLED)

    async def unplug(self) -> None:
        """From now on nothing can be reached."""
        raise _missing("unplug", Case.UNREACHABLE)

    def cut(self) -> None:
        """The next message is taken, and the answer lost."""
        raise _missing("cut", Case.CUT)

    def hang(self) -> None:
        """The next send gets no answer."""
        raise _missing("hang", Case.HANG)

    def garble(self) -> None:
        """The next answer cannot be read, whatever became of the message."""
        raise _missing("garble", Case.GARBLED)

    def fail(self) -> None:
        """The next message is taken, and answered by a 500."""
        raise _missing("fail", Case.WEB)

    def answer(self, status: int, body: object) -> None:
        """The next send is answered so, and not taken. body: any JSON."""
        raise _missing("answer", Case.WEB)

    def send_on(self, url: str) -> None:
        """The next call is sent on to another host (307)."""
        raise _missing("send_on", Case.WEB)

    def mumble(self) -> None:
        """The next message is taken, and answered by a page for people that says 200."""
        raise _missing("mumble", Case.WEB)

    def break_down(self, *, how: int = 503) -> None:
        """From now on every call is answered by a proxy's page of a 503, or by a 200 that makes no sense."""
        raise _missing("break_down", Case.WEB)

    def refuse_address(self) -> None:
        """Nobody has the next address. The answer repeats it, if the provider's does."""
        raise _missing("refuse_address", Case.BAD_ADDRESS)

    def refuse_opted_out(self) -> None:
        """Who has the next address told the provider to stop."""
        raise _missing("refuse_opted_out", Case.OPTED_OUT)

    def hooks(self) -> Sequence[HookRequest]:
        """Genuine calls of the provider, each with at least one event; one of each kind the channel claims, and
        of one message each receipt that may follow another."""
        raise _missing("hooks", Case.HOOKS)

    def changed(self, call: HookRequest) -> Iterable[HookRequest]:
        """The call with each byte of it changed that proves whose it is. What nobody signs is left out, and said why."""
        return one_byte_changed(call)

    def unsigned(self, call: HookRequest) -> HookRequest:
        """The call without what proves whose it is: its headers, where a bench says nothing else."""
        return HookRequest(url=call.url, headers={}, body=call.body)

    def write_to_us(self, text: str) -> None:
        """Somebody writes, and the far end keeps it until it is asked (`poll`)."""
        raise NotImplementedError("a channel with `poll` needs a bench with `write_to_us`")


def _missing(method: str, case: Case) -> NotImplementedError:
    return NotImplementedError(
        f"give the bench's world `{method}`, or declare Case.{case.name} impossible, with the reason"
    )


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


def spoilt(call: HookRequest) -> Iterable[HookRequest]:
    """The call as nobody sends it: its body with a byte changed, and with a letter that is not ASCII, here and there;
    each header with such a letter, with an octet that is no UTF-8 (as aiohttp hands it on), empty, and gone."""
    places = range(0, len(call.body), max(len(call.body) // MOST_SPOILT, 1))
    yield from bytes_changed(call, places)
    for at in places:
        body = call.body[:at] + "é".encode() + call.body[at:]
        yield HookRequest(url=call.url, headers=call.headers, body=body)
    for name, value in call.headers.items():
        for odd in (f"é{value}", f"\udce9{value}", ""):
            yield HookRequest(url=call.url, headers={**call.headers, name: odd}, body=call.body)
        others = {key: kept for key, kept in call.headers.items() if key != name}
        yield HookRequest(url=call.url, headers=others, body=call.body)


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
        self,
        channel: Channel,
        *,
        number: int = 1,
        delivery: str = "deliveryx.mac",
        to: str = "",
        values: Mapping[str, str] | None = None,
    ) -> Outgoing:
        """As the service makes it: without a token of the attempt for a channel that tells it to nobody."""
        names = channel.capabilities.names_attempt
        return Outgoing(
            attempt=f"attempt{'abcdefgh'[number]}.mac" if names else "",
            delivery=delivery,
            to=to or self.to,
            prepared=channel.prepare(self.content()),
            values={"name": NAME, "link": "https://link.example/m/abc"} if values is None else values,
        )

    @property
    def expected_text(self) -> str:
        return f"Dear {NAME}, the {SECRET_WORDS} is mended. https://link.example/m/abc"
