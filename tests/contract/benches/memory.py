"""The bench of `memory`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Incoming, Medium, Refusal, Refused, Throttled, Unknown
from channels.memory import Memory
from tests.contract.bench import OUR_NUMBER, Arrived, Bench, Case, World


class MemoryWorld(World):
    def __init__(self, channel: Memory, to: str) -> None:
        self.channel, self._memory, self._to = channel, channel, to

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=sent.to, text=sent.words.text) for sent in self._memory.sent]

    def throttle(self, seconds: int) -> None:
        self._memory.script(self._to, Throttled(after_seconds=seconds))

    def cut(self) -> None:
        self._memory.script(self._to, Unknown(reason="scripted"), taken=True)

    def refuse_address(self) -> None:
        self._memory.script(self._to, Refused(why=Refusal.BAD_ADDRESS, reason="scripted"))

    def refuse_opted_out(self) -> None:
        self._memory.script(self._to, Refused(why=Refusal.OPTED_OUT, reason="scripted"))

    def write_to_us(self, text: str) -> None:
        self._memory.receive(
            Incoming(
                event_id=text,
                medium=Medium.SMS,
                sender=self._to,
                recipient=OUR_NUMBER,
                text=text,
                at=None,
                raw=text.encode(),
            )
        )


@asynccontextmanager
async def memory_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with Memory() as channel:
        yield MemoryWorld(channel, to)


BENCH = Bench(
    name="memory",
    medium=Medium.SMS,
    to="+447700900001",
    odd_spelling=" 0044 7700-900 001",
    impossible={
        Case.UNREACHABLE: "there is no connection",
        Case.HANG: "it never waits",
        Case.GARBLED: "there is no answer to read",
        Case.WEB: "there is no connection",
        Case.HOOKS: "it is polled",
    },
    world=memory_world,
)
