"""Holds what the providers took against what the ledger says: the judge of every fault test.

The providers' own logs are the oracle. Each message of a drill has a number of its own in its title, so
that a thing taken is known as one message's, for one address.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from notifier.db import Database
from notifier.delivery.proof import prove
from notifier.models import Attempt, Delivery, DeliveryEvent, DeliveryState
from tests.faults.plugin import Line
from tests.providers import Providers
from tests.world import World

Key = tuple[int, str]  # number of the message, address (or `post`)
NUMBER = re.compile(r"Drill (\d+)")
NUMBER_IN_MAIL = re.compile(rb"Drill (\d+)")

# States that say themselves that something may not have been taken, and why.
SAID = frozenset(
    {
        DeliveryState.HELD,
        DeliveryState.UNKNOWN,
        DeliveryState.SUPPRESSED,
        DeliveryState.CANCELLED,
        DeliveryState.EXPIRED,
        DeliveryState.FAILED,
    }
)


def title(number: int) -> str:
    """The title by which a message of a drill is known at the provider."""
    return f"Drill {number}"


def taken(ends: Providers) -> Counter[Key]:
    """What the providers accepted, and how often."""
    found: Counter[Key] = Counter()
    for mail in ends.mail.accepted:
        if number := NUMBER_IN_MAIL.search(mail.raw):
            found[int(number[1]), mail.to] += 1
    for text in ends.texts.accepted:
        if number_in_text := NUMBER.search(text.body):
            found[int(number_in_text[1]), text.to] += 1
    for post in ends.posts.accepted:
        if number_in_text := NUMBER.search(post.text):
            found[int(number_in_text[1]), "post"] += 1
    return found


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the ledger."""

    id: int
    state: DeliveryState
    maybe_repeat: bool
    tries: int
    attempts: int
    rescues: int


@dataclass(frozen=True, kw_only=True)
class History:
    """Ledger and oracle side by side. wrong: what the ledger's own proof finds, in words."""

    ledger: Mapping[Key, Entry]
    taken: Counter[Key]
    wrong: tuple[str, ...] = ()

    @property
    def states(self) -> Counter[str]:
        return Counter(entry.state.value for entry in self.ledger.values())

    @property
    def missed(self) -> set[Key]:
        """Planned, and never taken by a provider."""
        return set(self.ledger) - set(self.taken)

    @property
    def lost(self) -> set[Key]:
        """Missed, and the ledger does not say so: it is over, or believed to have been taken."""
        return {key for key in self.missed if self.ledger[key].state not in SAID}

    @property
    def repeats(self) -> int:
        return sum(self.taken.values()) - len(self.taken)

    @property
    def repeated(self) -> set[Key]:
        return {key for key, times in self.taken.items() if times > 1}

    @property
    def flagged(self) -> set[Key]:
        return {key for key, entry in self.ledger.items() if entry.maybe_repeat}

    @property
    def unsettled(self) -> set[Key]:
        return {key for key, entry in self.ledger.items() if not entry.state.is_terminal}

    def ended(self, *states: DeliveryState) -> set[Key]:
        return {key for key, entry in self.ledger.items() if entry.state in states}

    def judge(self, *, bound: int, missed: Iterable[Key] = ()) -> None:
        """Nothing lost, nothing open, repeats within the bound and each of them flagged, and sums that are right.

        missed: what was not to be sent. Everything else must have been taken by its provider.
        """
        assert not self.unsettled, f"still open: {self._shown(self.unsettled)}"
        assert not self.lost, f"lost: {self._shown(self.lost)}"
        assert self.missed == set(missed), f"not sent: {self._shown(self.missed ^ set(missed))}"
        assert not set(self.taken) - set(self.ledger), "taken, but never planned"
        assert self.repeats <= bound, f"{self.repeats} repeats, {bound} are the bound"
        unflagged = self.repeated - self.flagged
        assert not unflagged, f"repeated without a flag: {self._shown(unflagged)}"
        assert not self.wrong, self.wrong[:5]

    def line(self, fault: str, on: str, *, bound: int, seconds: float | None = None, note: str = "") -> Line:
        """Its line in the table."""
        return Line(
            fault=fault,
            on=on,
            planned=len(self.ledger),
            lost=len(self.lost) + len(self.unsettled),
            repeats=self.repeats,
            bound=bound,
            flagged=len(self.flagged),
            recovery_seconds=seconds,
            note=note,
        )

    def _shown(self, keys: Iterable[Key]) -> str:
        some = sorted(keys)[:5]
        return ", ".join(f"{key}: {self.ledger.get(key)}" for key in some)


async def history(db: Database, ends: Providers, world: World, messages: Mapping[int, UUID]) -> History:
    """Ledger and oracle as they stand now, for these messages of a drill (number → id)."""
    numbers = {id_: number for number, id_ in messages.items()}
    posts = {point for point in world.addresses if point not in set(world.points.values())}
    attempts = (
        select(func.count()).where(Attempt.delivery_id == Delivery.id).correlate(Delivery).scalar_subquery()
    )
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(
            select(
                Delivery.id,
                Delivery.message_id,
                Delivery.contact_point_id,
                Delivery.state,
                Delivery.maybe_repeat,
                Delivery.tries,
                Delivery.rescues,
                attempts.label("attempts"),
            ).where(Delivery.message_id.in_(list(numbers)))
        )
        ledger = {
            (
                numbers[row.message_id],
                "post" if row.contact_point_id in posts else world.addresses[row.contact_point_id],
            ): Entry(
                id=row.id,
                state=DeliveryState(row.state),
                maybe_repeat=row.maybe_repeat,
                tries=row.tries,
                attempts=row.attempts,
                rescues=row.rescues,
            )
            for row in rows
        }
    proved = await prove(lambda: db.transaction(read_only=True), refuse_repeats=("social_x",))
    mine = {key: times for key, times in taken(ends).items() if key[0] in messages}
    return History(
        ledger=ledger, taken=Counter(mine), wrong=tuple(finding.in_words for finding in proved.findings)
    )


async def story(db: Database, delivery: int) -> str:
    """Everything on record of one delivery, for the report of a test that failed."""
    async with db.transaction(read_only=True) as tx:
        row = (await tx.execute(select(Delivery.__table__).where(Delivery.id == delivery))).one()
        tries = (await tx.execute(select(Attempt.__table__).where(Attempt.delivery_id == delivery))).all()
        events = (
            await tx.execute(select(DeliveryEvent.__table__).where(DeliveryEvent.delivery_id == delivery))
        ).all()
    return "\n".join(str(dict(one._mapping)) for one in [row, *tries, *events])
