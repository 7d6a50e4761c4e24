"""Which channels carry a medium in this deployment, and which of several carries what goes to one address. Pure.

`runtime` puts it together; every transaction has it. Where several carry a medium, new deliveries are dealt to
them by their weights; an address always falls to the same one, so that its owner sees one number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, String, and_, cast, func
from sqlalchemy.orm import InstrumentedAttribute

from channels.base import Sender

Column = ColumnElement[Any] | InstrumentedAttribute[Any]

PLACES = 0x10000  # of an address's id, by its last four digits: they are random
_DIGITS, _FROM = 4, 29  # of the 32 of an id, counted from one


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """A channel that carries a medium here. weight: its share of new deliveries; 0: it only stands by.

    senders: the numbers and names it may send from, where it lists any. can_reply: does an answer reach us
    where it lists none?
    """

    channel: str
    weight: int = 0
    senders: tuple[Sender, ...] = ()
    can_reply: bool = True

    def lists(self, address: str) -> bool:
        """Is it a number of this channel's own?"""
        return any(each.address == address for each in self.senders)


class Carriers(Mapping[str, str]):
    """Medium → the channel whose rules its words are made by: the first that has a share.

    All that carry a medium, in the order they are named: `all_of`.
    """

    def __init__(self, several: Mapping[str, Sequence[Carrier]]) -> None:
        self._several = {medium: tuple(each) for medium, each in several.items() if each}
        self._first = {medium: _first(each) for medium, each in self._several.items()}
        self._bounds = {medium: _bounds(each) for medium, each in self._several.items()}

    @classmethod
    def of(cls, named: Mapping[str, str]) -> "Carriers":
        """Medium → its one channel, as `Carriers`; what is that already stays as it is."""
        if isinstance(named, cls):
            return named
        return cls({medium: [Carrier(channel=name, weight=1)] for medium, name in named.items()})

    def __getitem__(self, medium: str) -> str:
        return self._first[medium]

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def all_of(self, medium: str) -> Sequence[Carrier]:
        """Every channel that carries it here, those that only stand by as well."""
        return self._several.get(medium, ())

    def carrier(self, medium: str, channel: str) -> Carrier | None:
        """One of those that carry the medium."""
        return next((each for each in self.all_of(medium) if each.channel == channel), None)

    def with_senders(self, medium: str, senders: Mapping[str, Sequence[Sender]]) -> "Carriers":
        """The same, with what each channel says it sends that medium from."""
        told = [replace(each, senders=tuple(senders.get(each.channel, ()))) for each in self.all_of(medium)]
        return Carriers({**self._several, medium: told})

    def by_channel(self) -> dict[str, list[str]]:
        """Channel → the media it carries here."""
        found: dict[str, list[str]] = {}
        for medium, each in self._several.items():
            for carrier in each:
                found.setdefault(carrier.channel, []).append(medium)
        return found

    def channel_for(self, medium: str, contact_point: UUID) -> str:
        """Which of them carries what goes to that address. KeyError where none carries the medium."""
        place = contact_point.hex[-_DIGITS:]
        return next(name for name, below in self._bounds[medium] if not below or place < below)

    def cases(
        self, medium: Column, contact_point: Column, *, of: str
    ) -> list[tuple[ColumnElement[bool], str]]:
        """The same as conditions of a CASE, in their order. of: the database's dialect.

        Where one channel carries all of a medium, it costs what naming it costs.
        """
        found: list[tuple[ColumnElement[bool], str]] = []
        for each, bounds in self._bounds.items():
            for name, below in bounds:
                is_its = medium == each
                found.append((and_(is_its, _place(contact_point, of) < below) if below else is_its, name))
        return found


def _first(carriers: Sequence[Carrier]) -> str:
    return next((each.channel for each in carriers if each.weight), carriers[0].channel)


def _bounds(carriers: Sequence[Carrier]) -> list[tuple[str, str]]:
    """(channel, the first place that is not its own), of those with a share; the last has all that is left."""
    sharing = [each for each in carriers if each.weight] or [carriers[0]]
    total, so_far, found = sum(each.weight for each in sharing), 0, []
    for each in sharing[:-1]:
        so_far += each.weight
        found.append((each.channel, f"{PLACES * so_far // total:0{_DIGITS}x}"))
    return [*found, (sharing[-1].channel, "")]


def _place(contact_point: Column, of: str) -> ColumnElement[Any]:
    """The last digits of an id, by the order of their codes whatever the database's language."""
    digits = func.substr(func.replace(cast(contact_point, String), "-", ""), _FROM, _DIGITS)
    return digits.collate("C") if of == "postgresql" else digits
