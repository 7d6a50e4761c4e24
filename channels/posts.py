"""What channels of posts share: several accounts each with its keys, lengths of their own, and words heard in public.

For the `social_` channels. A post goes out by the account it is addressed to, so one channel serves every team.
"""

import asyncio
import html
import json
import logging
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from channels import addresses, estimates, weighted
from channels.addresses import Network
from channels.base import (
    Content,
    Estimate,
    Event,
    Failed,
    Incoming,
    Medium,
    Outcome,
    Outgoing,
    Prepared,
    Refusal,
    Refused,
    Throttled,
    Unknown,
    Where,
    cut,
    filled,
    without_holes,
)
from channels.errors import BadAddress, CannotExpress, CannotPoll, NotConfigured
from channels.http import TROUBLE, TooFast, outcome_of
from channels.one_medium import OneMedium

CLOCKS_APART = timedelta(minutes=1)
FIRST_POLL = timedelta(days=1)  # what a channel that was never asked tells: nothing older
MOST_AT_ONCE = 2  # posts under way in a process, of those that are urgent and of those that are not
LONGEST_TURN_SECONDS = 60.0
AT_A_TIME, POLL_SECONDS = 8, 40.0  # accounts asked at once; after so long no other is begun
DUPLICATE = "duplicate"
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
NO_SENSE = "an answer that cannot be read"

_LEADING_NAMES = re.compile(r"\A\s*(?:[.]?@[\w.-]+(?:@[\w.-]+)?[\s,:]+)+")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Account:
    """One account in its normal spelling, and what proves that it is ours."""

    name: str
    secret: str


@dataclass(frozen=True, kw_only=True)
class Size:
    """Length of a post in its network's own unit."""

    length: int
    limit: int


class Queue:
    """Lets few posts out at once, so that a network that hangs never holds all the places of a worker.

    Others of the channel are told when to come back, each at a time of its own.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._out, self._takes_seconds, self._next = now, 0, 0.5, 0.0

    @property
    def is_full(self) -> bool:
        return self._out >= MOST_AT_ONCE

    def a_later_turn(self) -> float:
        """Seconds until the turn of one more, behind those who were told of theirs."""
        now = self._now()
        self._next = min(
            max(now, self._next) + self._takes_seconds / MOST_AT_ONCE, now + LONGEST_TURN_SECONDS
        )
        return self._next - now

    @contextmanager
    def turn(self) -> Iterator[None]:
        began, self._out = self._now(), self._out + 1
        try:
            yield
        finally:
            self._out -= 1
            self._takes_seconds = (self._takes_seconds * 3 + self._now() - began) / 4


class Posts(OneMedium):
    """A channel that posts as one of several accounts. network: how their names are spelt."""

    medium, called = Medium.SOCIAL, "posts"
    network: ClassVar[Network]

    def __init__(self, accounts: Mapping[str, str]) -> None:
        self._accounts = {name: Account(name=name, secret=secret) for name, secret in accounts.items()}

        self._queues = {False: Queue(), True: Queue()}

    @abstractmethod
    def size(self, text: str) -> Size:
        """What `text` measures on this network. Pure."""

    @abstractmethod
    async def post(self, account: Account, words: str, message: Outgoing) -> Outcome:
        """Post once. May raise what the session raises, and what reading an answer does."""

    def normalise(self, address: str, medium: Medium) -> str:
        if medium is not self.medium:
            raise BadAddress(f"{self.name} carries {self.called} alone")
        return addresses.account(address, self.network)

    def estimate(self, content: Content) -> Estimate:
        found = self.size(without_holes(content.text))
        over = found.length - found.limit
        return Estimate(
            parts=1,
            encoding="UTF-8",
            cost_pence=self.pence(content.text),
            length=found.length,
            limit=found.limit,
            notes=(f"{over} characters too long for a post on {self.network}",) if over > 0 else (),
        )

    def pence(self, text: str) -> float:
        """What posting `text` costs. Most networks ask for nothing."""
        return 0

    def require_fit(self, content: Content) -> None:
        if content.medium is not self.medium:
            raise CannotExpress(f"{self.name} carries {self.called} alone")
        estimates.require_room(content, self.estimate(content))

    def prepare(self, content: Content) -> Prepared:
        self.require_fit(content)
        return Prepared(medium=content.medium, language=content.language, pieces=cut(content.text))

    async def send(self, message: Outgoing) -> Outcome:
        words, account = self.words_of(message), self.account_of(message)
        if isinstance(words, Refused):
            return words
        if isinstance(account, Refused):
            return account
        queue = self._queues[message.urgent]
        if queue.is_full:
            return Throttled(
                after_seconds=queue.a_later_turn(), reason="its turn is later", where=Where.RECIPIENT
            )
        with queue.turn():
            try:
                return await self.post(account, words, message)
            except TROUBLE as trouble:
                return self.outcome_of(trouble)
            except UNREADABLE:
                return Unknown(reason=NO_SENSE)

    # --- What each needs ------------------------------------------------------------------

    @property
    def whose(self) -> Where:
        """Whose trouble it is when an account is turned away: its own, where there are others beside it."""
        return Where.RECIPIENT if len(self._accounts) > 1 else Where.PROVIDER

    def words_of(self, message: Outgoing) -> str | Refused:
        """The recipient's words, if they can be posted."""
        copy = filled(message)
        if isinstance(copy, Refused):
            return copy
        words = copy.decode().strip()
        found = self.size(words)
        if found.length > found.limit:
            return Refused(why=Refusal.CONTENT, reason="too long for a post")
        return words

    def account_of(self, message: Outgoing) -> Account | Refused:
        """The account a post goes out by. One that has no keys here is nobody's fault but its own."""
        found = self._accounts.get(message.to)
        if found is None:
            reason = "there are no keys for that account"
            return Refused(why=Refusal.NOT_ALLOWED, reason=reason, where=Where.RECIPIENT)
        return found

    def outcome_of(self, trouble: BaseException) -> Outcome:
        """What a broken call means; limits of pace are each account's own."""
        found = outcome_of(trouble)
        return replace(found, where=self.whose) if isinstance(found, Throttled) else found

    def turned_away(self, status: int, whys: Mapping[int, Refusal], *, code: str = "") -> Outcome:
        """A status that is no success: a refusal by table, CONTENT where it is not in it."""
        if status < 300:
            return Unknown(reason=NO_SENSE)
        why = whys.get(status, Refusal.NOT_ALLOWED if status < 400 else Refusal.CONTENT)
        reason = f"{self.network} answered {status}"
        return Refused(why=why, reason=reason, code=code or str(status), where=self._where_of(why))

    def refused(self, why: Refusal, reason: str, code: str) -> Refused:
        return Refused(why=why, reason=reason, code=code, where=self._where_of(why))

    def _where_of(self, why: Refusal) -> Where:
        return self.whose if why is Refusal.NOT_ALLOWED else Where.PROVIDER


class Listens(Posts):
    """A channel of posts that is asked what was said to its accounts."""

    _turn = 0  # whose it is to be asked first

    @abstractmethod
    async def heard(self, account: Account, mark: str) -> tuple[Sequence[Incoming], str]:
        """What was said to one account after `mark` (empty: never asked), and the new mark.

        May raise what the session raises, and what reading an answer does.
        """

    async def poll(self, cursor: str) -> tuple[Sequence[Event], str]:
        """Some accounts at a time. One that cannot be asked keeps its mark, and does not stop the others.

        Those for which there was no time left are asked first in the next call.
        """
        marks = _marks(cursor)
        names = list(self._accounts)
        names = names[self._turn :] + names[: self._turn]
        ends = time.monotonic() + POLL_SECONDS
        gate = asyncio.Semaphore(AT_A_TIME)

        async def ask(name: str) -> _Heard | None:
            async with gate:
                return await self._ask(name, marks.get(name, "")) if time.monotonic() < ends else None

        asked = [heard for heard in await asyncio.gather(*map(ask, names)) if heard]
        self._turn = (self._turn + len(asked)) % max(len(names), 1)
        waits = [heard.wait for heard in asked if heard.wait is not None]
        if waits and len(waits) == len(asked):
            raise CannotPoll(min(waits))
        marks |= {heard.name: heard.mark for heard in asked if heard.mark}
        now = datetime.now(UTC)
        events = sorted((event for heard in asked for event in heard.events), key=lambda each: each.at or now)
        return events, json.dumps(marks, sort_keys=True) if marks else cursor

    async def _ask(self, name: str, mark: str) -> "_Heard":
        try:
            events, mark = await self.heard(self._accounts[name], mark)
        except self.trouble as trouble:
            _log.warning("an account of %s could not be asked: %s", self.name, type(trouble).__name__)
            return _Heard(name=name, wait=trouble.after_seconds if isinstance(trouble, TooFast) else 0.0)
        return _Heard(name=name, events=events, mark=mark)

    @property
    def trouble(self) -> tuple[type[Exception], ...]:
        """What asking may raise."""
        return (Away, *TROUBLE, *UNREADABLE)


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """What one account was told. wait: seconds until it may be asked, where it could not be."""

    name: str
    events: Sequence[Incoming] = ()
    mark: str = ""
    wait: float | None = None


class Away(Exception):
    """The provider turned a question away."""


def _marks(cursor: str) -> dict[str, str]:
    """Account → how far it was read. A cursor that makes no sense is none."""
    try:
        found = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return {str(name): str(mark) for name, mark in found.items()} if isinstance(found, dict) else {}


def read_accounts(
    channel: str, variable: str, text: str, network: Network, *, parts: int = 1
) -> dict[str, str]:
    """`ACCOUNT=SECRET` by spaces or commas → account in its normal spelling → its secret.

    parts: of each secret, with colons between. NotConfigured, without the secret, for what is not written so.
    """
    found: dict[str, str] = {}
    for number, pair in enumerate(re.split(r"[\s,]+", text.strip()), start=1):
        name, _, secret = pair.partition("=")
        try:
            spelt = addresses.account(name, network)
        except BadAddress as error:
            raise NotConfigured(channel, variable, f"names no {network} account in entry {number}") from error
        if not secret or not all(secret.split(":", parts - 1)) or secret.count(":") < parts - 1:
            raise NotConfigured(channel, variable, f"has no whole secret for entry {number}")
        found[spelt] = secret
    return found


def comparable(text: str) -> str:
    """The words of a post without its links, which networks rewrite, and without spacing."""
    at, kept = 0, []
    for start, end in weighted.links(text):
        kept.append(text[at:start])
        at = end
    return " ".join("".join([*kept, text[at:]]).split())


def without_names(text: str) -> str:
    """An answer without the accounts it begins with; the whole of it where it holds nothing else."""
    return _LEADING_NAMES.sub("", f"{text} ", count=1).strip() or text.strip()


def plain(text: str) -> str:
    """Text in which a network wrote &, < and > as entities."""
    return html.unescape(text)


def not_found(network: Network) -> Failed:
    return Failed(reason=f"it is not among the latest posts on {network}")
