"""The bench of `outbox`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from channels.base import Medium
from channels.outbox import Outbox, read_box
from tests.contract.bench import Arrived, Bench, Case, World


class OutboxWorld(World):
    def __init__(self, channel: Outbox) -> None:
        self.channel, self._folder = channel, channel.folder

    def arrived(self) -> list[Arrived]:
        return [Arrived(to=kept.to, text=kept.words.text) for kept in reversed(read_box(self._folder))]

    async def unplug(self) -> None:
        self._folder.write_text("a file where the folder should be")


@asynccontextmanager
async def outbox_world(to: str, folder: Path) -> AsyncIterator[World]:
    async with Outbox(folder / "box") as channel:
        yield OutboxWorld(channel)


BENCH = Bench(
    name="outbox",
    medium=Medium.EMAIL,
    to="sam@resident.example",
    odd_spelling="\u200bSam@Resident.EXAMPLE ",
    env={"NOTIFIER_OUTBOX_DIR": "box"},
    impossible={
        Case.THROTTLED: "a folder sets no pace",
        Case.CUT: "a rename either happened or did not",
        Case.HANG: "a file is written or an error comes",
        Case.GARBLED: "there is no answer to read",
        Case.BAD_ADDRESS: "it keeps what it is given",
        Case.OPTED_OUT: "it keeps what it is given",
        Case.WEB: "there is no connection",
        Case.HOOKS: "nobody calls",
    },
    world=outbox_world,
)
