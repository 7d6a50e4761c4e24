"""A small world for tests: a borough of wards, teams that cover them, people who subscribe.

Written straight into the rows in bulk, so that a thousand people cost a tenth of a second; how
people really come in is tested where sign-up and import are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import insert

from notifier.db import Tx
from notifier.models import Team, TeamArea, TeamContactPoint, TeamKind, TeamUse
from subscribers.models import (
    Area,
    AreaKind,
    ContactPoint,
    ContactPointState,
    Frequency,
    LeastPriority,
    Subscriber,
    Subscription,
    new_id,
)
from subscribers.topics import ensure_topics

BOROUGH = "E09000099"
WARDS = ("Abbey", "Bridge", "Castle", "Dock", "Elm", "Fairfield")
TOPIC = "crime-prevention"
NUMBERS = 990  # of the thousand that Ofcom keeps for drama; the teams have the others


def ward(number: int) -> str:
    """The code of ward 0 to 5."""
    return f"E0599000{number + 1}"


@dataclass
class World:
    """Ids of what was made. teams: two wards each, in order; numbers: each team's own."""

    teams: list[UUID] = field(default_factory=list)
    central: UUID = field(default_factory=new_id)
    numbers: list[str] = field(default_factory=list)
    subscribers: list[UUID] = field(default_factory=list)
    points: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    addresses: dict[UUID, str] = field(default_factory=dict)


async def make_places(tx: Tx) -> World:
    """One borough, six wards, three teams with a number and an account each, central triage."""
    world = World()
    await ensure_topics(tx)
    borough = {
        "code": BOROUGH,
        "kind": AreaKind.BOROUGH,
        "name": "Testham",
        "served": True,
        "parent_code": None,
    }
    await tx.execute(insert(Area), borough)
    await tx.execute(
        insert(Area),
        [
            {"code": ward(i), "kind": AreaKind.WARD, "name": name, "parent_code": BOROUGH, "served": True}
            for i, name in enumerate(WARDS)
        ],
    )
    for index, slug in enumerate(("abbey-bridge", "castle-dock", "elm-fairfield")):
        await _make_team(tx, world, index, slug)
    central = {
        "id": world.central,
        "slug": "central-triage",
        "name": "Central triage",
        "kind": TeamKind.CENTRAL,
    }
    await tx.execute(insert(Team), central)
    return world


async def make_people(
    tx: Tx,
    world: World,
    count: int,
    *,
    wards: Sequence[int] = range(6),
    media: Sequence[str] = ("email", "sms"),
    frequency: Frequency = Frequency.AT_ONCE,
    second_ward: bool = False,
    language: str = "en",
) -> list[UUID]:
    """People spread over the wards, confirmed an hour ago; second_ward adds the next one to each.

    Whoever comes after the numbers that Ofcom keeps for drama are used up has mail alone.
    """
    start = len(world.subscribers)
    earlier = tx.now - timedelta(hours=1)
    ids = [new_id() for _ in range(count)]
    people = [
        {"id": id_, "language": language, "state": "active", "created_via": "test", "created_at": earlier}
        for id_ in ids
    ]
    points, subscriptions = [], []
    for offset, id_ in enumerate(ids):
        number = start + offset
        for medium in media:
            if medium == "sms" and number >= NUMBERS:
                continue
            address = f"person{number}@mail.example" if medium == "email" else f"+447700{900000 + number:06d}"
            points.append(_point(tx, medium, address, subscriber=id_))
            world.points[id_, medium] = points[-1]["id"]
            world.addresses[points[-1]["id"]] = address
        places = [wards[offset % len(wards)]]
        if second_ward:
            places.append(wards[(offset + 1) % len(wards)])
        subscriptions += [
            {
                "subscriber_id": id_,
                "area_code": ward(place),
                "topic_slug": TOPIC,
                "least_priority": LeastPriority.EVERYTHING,
                "frequency": frequency,
                "started_at": earlier,
                "source": "test",
            }
            for place in dict.fromkeys(places)
        ]
    for table, rows in ((Subscriber, people), (ContactPoint, points), (Subscription, subscriptions)):
        if rows:
            await tx.execute(insert(table), rows)
    world.subscribers += ids
    return ids


async def _make_team(tx: Tx, world: World, index: int, slug: str) -> None:
    team = new_id()
    world.teams.append(team)
    name = slug.replace("-", " and ").title().replace(" And ", " and ")
    await tx.execute(insert(Team), {"id": team, "slug": slug, "name": f"{name} team", "kind": TeamKind.SNT})
    earlier = tx.now - timedelta(days=1)
    await tx.execute(
        insert(TeamArea),
        [{"team_id": team, "area_code": ward(index * 2 + i), "since": earlier} for i in range(2)],
    )
    number = f"+44770090099{index}"
    world.numbers.append(number)
    account = _point(tx, "social", f"{slug}-account")
    sender = _point(tx, "sms", number)
    await tx.execute(insert(ContactPoint), [account, sender])
    await tx.execute(
        insert(TeamContactPoint),
        [
            {"team_id": team, "contact_point_id": account["id"], "use": TeamUse.POST},
            {"team_id": team, "contact_point_id": sender["id"], "use": TeamUse.SENDER},
        ],
    )
    world.addresses[account["id"]] = f"{slug}-account"


def _point(tx: Tx, medium: str, address: str, subscriber: UUID | None = None):  # type: ignore[no-untyped-def]
    made = new_id()
    return {
        "id": made,
        "subscriber_id": subscriber,
        "medium": medium,
        "address_sealed": tx.keys.seal("contact_points.address", made, address),
        "address_hash": tx.keys.address_hash(medium, address),
        "state": ContactPointState.ACTIVE,
        "verified_at": tx.now - timedelta(hours=1),
        "created_at": tx.now - timedelta(hours=1),
    }
