"""The numbers our texts come from: what a team may use on a channel, and the one leased to it for each person.

A person's teams write from different numbers wherever there are enough, so that the number a reply goes to says
which team is meant. A lease is made when the first text of a team is claimed for somebody, and stays; where a team
has no choice there is none, and nothing is read or written. Called by `content`, and by drafts and notices.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Executable, Uuid, delete, exists, func, select

from channels.base import Medium
from channels.senders import of as of_addresses
from notifier.carriers import Carrier
from notifier.db import Tx
from notifier.delivery.fast import Shape, is_one_of
from notifier.models import Kind, NumberLease, TeamContactPoint, TeamUse
from subscribers.contact_points import ADDRESS
from subscribers.dialects import insert_for
from subscribers.models import ContactPoint

SMS = Medium.SMS.value


class Senders(NamedTuple):
    """What a team's texts may come from on a channel, in order. can_reply: do answers reach us?

    alone: those of the addresses that no other team has.
    """

    addresses: tuple[str, ...] = ()
    can_reply: bool = True
    alone: frozenset[str] = frozenset()

    @property
    def first(self) -> str:
        """The one that is used where nobody has to be told apart; none: the channel's own choice."""
        return self.addresses[0] if self.addresses else ""


NO_SENDERS = Senders()


class Want(NamedTuple):
    """A text, and the numbers among which its own is to be found."""

    delivery: int
    contact_point: UUID
    team: UUID
    channel: str
    among: Senders


class _Own(NamedTuple):
    """A number of a team. channel: the one it is bound to, if it is. teams: how many have it."""

    address: str
    channel: str | None
    teams: int


async def senders_of(tx: Tx, team: UUID | None, channel: str, *, default: Sequence[str] = ()) -> Senders:
    """A team's own numbers on that channel; else those of the channel that no team has; else all of the channel's.

    default: what a channel sends from that lists nothing. What takes no replies is used only where nothing else is.
    """
    carrier = tx.carriers.carrier(SMS, channel) or Carrier(channel=channel)
    own = [each for each in await _own(tx, team) if _is_usable(tx, each.address, each.channel, channel)]
    addresses = [each.address for each in own]
    if not addresses:
        addresses = [each.address for each in carrier.senders] or list(default)
        if len(addresses) > 1:
            taken = await _of_teams(tx, addresses)
            addresses = [each for each in addresses if each not in taken] or addresses
    replying = [each for each in dict.fromkeys(addresses) if _takes_replies(tx, carrier, each)]
    return Senders(
        addresses=tuple(replying or addresses),
        can_reply=bool(replying) if addresses else carrier.can_reply,
        alone=frozenset(each.address for each in own if each.teams == 1),
    )


def asks_for_replies(kind: str, reply_by: datetime | None) -> bool:
    """Does a message want an answer, so that it may only go where one can come back from? Pure."""
    return kind == Kind.CONSULTATION or reply_by is not None


async def can_ask(tx: Tx, team: UUID) -> bool:
    """May a team's texts ask for replies: do they reach us on every channel that has a share of its texts?"""
    sharing = [each for each in tx.carriers.all_of(SMS) if each.weight]
    found = [await senders_of(tx, team, each.channel) for each in sharing]
    return all(each.can_reply for each in found)


async def channel_of(tx: Tx, number: str) -> str | None:
    """The channel that sends from a number of ours, where more than one carries texts."""
    carriers = tx.carriers.all_of(SMS)
    if len(carriers) < 2 or not number:
        return None
    listed = next((each.channel for each in carriers if each.lists(number)), None)
    bound: str | None = listed or await tx.scalar(
        select(TeamContactPoint.channel)
        .join(ContactPoint, ContactPoint.id == TeamContactPoint.contact_point_id)
        .where(
            ContactPoint.medium == SMS,
            ContactPoint.address_hash == tx.keys.address_hash(SMS, number),
            TeamContactPoint.use == TeamUse.SENDER,
            TeamContactPoint.channel.in_([each.channel for each in carriers]),
        )
        .limit(1)
    )
    return bound


async def may_send_from(tx: Tx, number: str, channel: str) -> bool:
    """Can that channel send from a number of ours? Where one carries all texts, it can."""
    carriers = tx.carriers.all_of(SMS)
    return len(carriers) < 2 or (await channel_of(tx, number) or carriers[0].channel) == channel


# --- Leases ---------------------------------------------------------------------------------------


async def leased(tx: Tx, wants: Sequence[Want]) -> dict[int, str]:
    """By delivery, the number leased to its person and team on its channel; made where there is none yet.

    Safe to run twice, and in two processes at once: whoever makes one holds the contact point meanwhile. A lease of
    a number that its team may no longer use has ended, and another is made in its place.
    """
    if not wants:
        return {}
    held = await _held(tx, {want.contact_point for want in wants})
    lacking = [want for want in wants if _kept(held, want) is None]
    if lacking:
        points = sorted({want.contact_point for want in lacking})
        await tx.execute(
            select(ContactPoint.id)
            .where(ContactPoint.id.in_(points))
            .order_by(ContactPoint.id)
            .with_for_update(key_share=True)
        )
        held |= await _held(tx, points)
        await _make(tx, held, [want for want in lacking if _kept(held, want) is None])
    return {want.delivery: held[want.contact_point][want.team, want.channel] for want in wants}


async def teams_leasing(tx: Tx, contact_point: UUID, numbers: Collection[str]) -> set[UUID]:
    """The teams whose texts come to that contact point from one of these numbers, and may still do so."""
    rows = await tx.execute(
        select(NumberLease.team_id, NumberLease.channel, NumberLease.number).where(
            NumberLease.contact_point_id == contact_point, NumberLease.number.in_(list(numbers))
        )
    )
    found = set()
    for row in rows.all():
        known = (await senders_of(tx, row.team_id, row.channel)).addresses
        if not known or row.number in known:
            found.add(row.team_id)
    return found


async def numbers_leased(tx: Tx, contact_point: UUID, team: UUID) -> set[str]:
    """The numbers from which a team's texts come to that contact point."""
    rows = await tx.execute(
        select(NumberLease.number).where(
            NumberLease.contact_point_id == contact_point, NumberLease.team_id == team
        )
    )
    return set(rows.scalars())


async def forget(tx: Tx, contact_points: Collection[UUID]) -> None:
    """Their owner is gone."""
    await tx.execute(delete(NumberLease).where(NumberLease.contact_point_id.in_(list(contact_points))))


def choose(among: Senders, taken: Collection[str], contact_point: UUID) -> str:
    """A number for a person's new team: free, and no other team's, where there is such a one. Pure.

    Of several the person's id decides, so that all numbers have about as much to do.
    """
    free = [each for each in among.addresses if each not in taken]
    best = [each for each in free if each in among.alone] or free or list(among.addresses)
    return best[contact_point.int % len(best)]


Held = dict[UUID, dict[tuple[UUID, str], str]]  # contact point → (team, channel) → number


def _kept(held: Held, want: Want) -> str | None:
    """The lease that stands, if its number may still be used."""
    number = held.get(want.contact_point, {}).get((want.team, want.channel))
    return number if number in want.among.addresses else None


async def _held(tx: Tx, points: Iterable[UUID]) -> Held:
    found: Held = {}
    for row in await _LEASES.rows(tx, points=list(points)):
        found.setdefault(row[0], {})[row[1], row[2]] = row[3]
    return found


async def _make(tx: Tx, held: Held, wants: Sequence[Want]) -> None:
    """Lease what is lacking, one after the other, and put it among what is held."""
    rows: dict[tuple[UUID, UUID, str], dict[str, Any]] = {}
    for want in wants:
        of_person = held.setdefault(want.contact_point, {})
        key = (want.contact_point, want.team, want.channel)
        if key in rows:
            continue
        taken = {number for (team, _), number in of_person.items() if team != want.team}
        number = choose(want.among, taken, want.contact_point)
        of_person[want.team, want.channel] = number
        rows[key] = {
            "contact_point_id": want.contact_point,
            "team_id": want.team,
            "channel": want.channel,
            "number": number,
            "since": tx.now,
        }
    if rows:
        made = insert_for(tx, NumberLease)
        await tx.execute(
            made.on_conflict_do_update(
                index_elements=["contact_point_id", "team_id", "channel"],
                set_={"number": made.excluded.number, "since": made.excluded.since},
            ),
            list(rows.values()),
        )


def _leases(of: str) -> Executable:
    return select(
        NumberLease.contact_point_id, NumberLease.team_id, NumberLease.channel, NumberLease.number
    ).where(is_one_of(NumberLease.contact_point_id, "points", of, Uuid))


_LEASES = Shape(_leases)


# --- What a team has ------------------------------------------------------------------------------


async def _own(tx: Tx, team: UUID | None) -> list[_Own]:
    """The numbers of a team, in the order they were given."""
    if team is None:
        return []
    others = TeamContactPoint.__table__.alias("others")
    number_of_teams = (
        select(func.count()).where(others.c.contact_point_id == ContactPoint.id).scalar_subquery()
    )
    rows = await tx.execute(
        select(
            ContactPoint.id,
            ContactPoint.address_sealed,
            TeamContactPoint.channel,
            number_of_teams.label("teams"),
        )
        .join(TeamContactPoint, TeamContactPoint.contact_point_id == ContactPoint.id)
        .where(
            TeamContactPoint.team_id == team,
            TeamContactPoint.use == TeamUse.SENDER,
            ContactPoint.medium == SMS,
        )
        .order_by(ContactPoint.id)
    )
    return [
        _Own(tx.keys.open_text(ADDRESS, row.id, row.address_sealed), row.channel, row.teams) for row in rows
    ]


async def _of_teams(tx: Tx, addresses: Sequence[str]) -> set[str]:
    """Those of the addresses that are some team's own."""
    by_hash = {tx.keys.address_hash(SMS, each): each for each in addresses}
    rows = await tx.execute(
        select(ContactPoint.address_hash).where(
            ContactPoint.medium == SMS,
            ContactPoint.address_hash.in_(list(by_hash)),
            exists().where(
                TeamContactPoint.contact_point_id == ContactPoint.id, TeamContactPoint.use == TeamUse.SENDER
            ),
        )
    )
    return {by_hash[bytes(found)] for found in rows.scalars()}


def _is_usable(tx: Tx, address: str, bound: str | None, channel: str) -> bool:
    """May that channel send from a team's number? It is its own, or nobody's and it is the first of them."""
    carriers = tx.carriers.all_of(SMS)
    owners = [bound] if bound else [each.channel for each in carriers if each.lists(address)]
    if not owners:
        return not carriers or channel == carriers[0].channel or len(carriers) == 1
    return channel in owners


def _takes_replies(tx: Tx, carrier: Carrier, address: str) -> bool:
    for each in (carrier, *tx.carriers.all_of(SMS)):
        for sender in each.senders:
            if sender.address == address:
                return sender.takes_replies
    return carrier.can_reply and of_addresses(address)[0].takes_replies
