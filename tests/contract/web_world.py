"""The world of a channel whose provider is asked over HTTP: what goes wrong there goes wrong in the same way everywhere."""

from channels.base import Channel
from tests.contract.bench import World
from tests.fakes.web import Answer, FakeWeb, Trouble


class WebWorld(World):
    """key: of the stand-in's scripts about a send; the address where none is named, "" for any call."""

    def __init__(self, channel: Channel, far_end: FakeWeb, to: str, *, key: str | None = None) -> None:
        self.channel, self._far_end, self._to = channel, far_end, to
        self._key = to if key is None else key

    def next(self, answer: Answer | Trouble) -> None:
        """What the next send gets."""
        self._far_end.script(self._key, answer)

    def throttle(self, seconds: int) -> None:
        self.next(Answer(status=429, headers={"Retry-After": str(seconds)}))

    async def unplug(self) -> None:
        await self._far_end.unplug()

    def cut(self) -> None:
        self.next(Trouble.TAKE_AND_CUT)

    def hang(self) -> None:
        self.next(Trouble.HANG)

    def garble(self) -> None:
        self.next(Answer(status=200, body={"sense": None}))

    def fail(self) -> None:
        self.next(Trouble.TAKE_AND_FAIL)

    def answer(self, status: int, body: object) -> None:
        self.next(Answer(status=status, body=body))

    def send_on(self, url: str) -> None:
        self.next(Answer(status=307, headers={"Location": url}))

    def mumble(self) -> None:
        self.next(Trouble.TAKE_AND_MUMBLE)

    def break_down(self, *, how: int = 503) -> None:
        self._far_end.always("", Trouble.FAIL_AS_HTML if how == 503 else Answer(status=how, body="?"))
