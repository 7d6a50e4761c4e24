"""What the stand-ins of mail providers share: an SMTP end that tells our hook, as its provider would, what became of a mail."""

import asyncio
import contextlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from tests.fakes.smtp import AcceptedMail, FakeSmtp


class Fate(StrEnum):
    """What may become of a mail after it was accepted, or what its reader does."""

    SENT = "sent"
    DELIVERED = "delivered"
    DELAYED = "delayed"
    BOUNCED_HARD = "bounced hard"  # 5.1.1: nobody is there
    BOUNCED_SOFT = "bounced soft"  # 5.2.2: the mailbox is full
    REJECTED = "rejected"  # for its content, 5.7.1
    SUPPRESSED = "suppressed"  # kept back by the provider, for an earlier wish to hear no more
    NOT_SENT = "not sent"
    COMPLAINED = "complained"
    LEFT = "left"  # by the provider's own link
    OPENED = "opened"
    CLICKED = "clicked"


class Call(NamedTuple):
    """One web call, as the provider makes it."""

    body: bytes
    headers: Mapping[str, str]


class FakeMailProvider(FakeSmtp):
    """`fates` says what befalls mail to an address, else `usual`; each is told to `hook_url`, where that is set.

    reach: origin to which calls are really made, where the public address is not reachable from here.
    """

    def __init__(self, *, hook_url: str = "", reach: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.hook_url, self.reach = hook_url, reach
        self.usual: Sequence[Fate] = (Fate.DELIVERED,)
        self.fates: dict[str, Sequence[Fate]] = {}
        self.calls: list[Call] = []  # all that were made
        self.answers: Counter[int] = Counter()  # what our hook said to them
        self._telling: set[asyncio.Task[None]] = set()

    @abstractmethod
    def call_of(self, fate: Fate, mail: AcceptedMail) -> Call:
        """The genuine call that tells of it."""

    @abstractmethod
    def call_with(self, mail: AcceptedMail) -> Call:
        """The genuine call that hands us a mail from outside."""

    def keep(self, sender: str, to: str, raw: bytes, options: tuple[str, ...] = ()) -> None:
        super().keep(sender, to, raw, options)
        if self.hook_url:
            mail = next(reversed(list(self.accepted)))
            task = asyncio.create_task(self._tell_all(mail, self.fates.get(to.lower(), self.usual)))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def told(self) -> None:
        """Once all that was to be told is told."""
        while self._telling:
            await asyncio.gather(*self._telling)

    async def tell(self, call: Call, *, url: str = "") -> int:
        """Make a call; the status that came back."""
        self.calls.append(call)
        where = url or self.hook_url
        if self.reach:
            real = urlsplit(self.reach)
            where = urlunsplit(urlsplit(where)._replace(scheme=real.scheme, netloc=real.netloc))
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.post(where, data=call.body, headers=dict(call.headers)) as reply,
        ):
            self.answers[reply.status] += 1
            return reply.status

    async def stop(self) -> None:
        for task in list(self._telling):
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await super().stop()

    async def _tell_all(self, mail: AcceptedMail, fates: Sequence[Fate]) -> None:
        for fate in fates:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                await self.tell(self.call_of(fate, mail))
