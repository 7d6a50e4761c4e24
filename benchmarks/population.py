"""Makes up a force's subscribers: as many as wanted, the same for the same seed, written straight into the rows.

One force of 32 boroughs of 21 wards each on a square of the National Grid; postcodes of the fictional area QV with their
place; people with a sealed name, address and home, who follow their ward (one in eight a second one) for some topics
or for all. Addresses are of the domains kept for examples, the first thousand people also have a number kept for
dramas. PostgreSQL takes the rows by COPY, its foreign keys unchecked and the service's indexes set aside meanwhile;
SQLite by executemany.
"""

import argparse
import asyncio
import random
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import asyncpg

from subscribers.grid import cell_of
from subscribers.models import AreaKind, Frequency, LeastPriority
from subscribers.postcodes import FICTIONAL_AREA
from subscribers.signing import Keys
from subscribers.topics import DEFAULT_TOPICS
from tests.providers import database

FORCE, FORCE_NAME = "E23000099", "Testshire"
BOROUGHS, WARDS_EACH, POSTCODES_EACH = 32, 21, 147
WARD_METRES, ACROSS = 1_500, 26  # wards stand in a square of 26 by 26
CORNER = (500_000, 160_000)  # easting, northing
MOST_PHONES = 1_000
BATCH_ROWS = 20_000
TEAM = UUID("01900000-0000-7000-8000-000000000001")
BEGAN = datetime(2023, 1, 9, 9, tzinfo=UTC)
LETTERS = "ABDEFGHJLNPQRSTUWXYZ"  # of a postcode's last two places

LANGUAGES = (("en", 880), ("cy", 10), ("bn", 25), ("pl", 20), ("ur", 20), ("so", 15), ("es", 15), ("pt", 15))
FREQUENCIES = ((Frequency.AT_ONCE, 70), (Frequency.DAILY, 20), (Frequency.WEEKLY, 10))
PRIORITIES = (
    (LeastPriority.EVERYTHING, 75),
    (LeastPriority.PRIORITY, 18),
    (LeastPriority.URGENT, 7),
)
ALL_TOPICS_PERCENT, SECOND_WARD_PERCENT, ENDED_PERCENT, STOPPED_PERCENT, NAMED_PERCENT = 40, 12, 3, 2, 60

Rows = list[tuple[Any, ...]]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "areas": ("code", "kind", "name", "parent_code", "served"),
    "topics": ("slug", "labels"),
    "postcodes": ("postcode", "ward_code", "borough_code", "easting", "northing"),
    "teams": ("id", "slug", "name", "kind"),
    "team_areas": ("team_id", "area_code", "since"),
    "subscribers": (
        "id",
        "name_sealed",
        "postcode_sealed",
        "home_area_code",
        "language",
        "state",
        "link_version",
        "created_via",
        "created_at",
        "postcode_hash",
        "cell_east",
        "cell_north",
    ),
    "contact_points": (
        "id",
        "subscriber_id",
        "medium",
        "address_sealed",
        "address_hash",
        "state",
        "verified_at",
        "stopped_at",
        "can_reply",
        "bounce_score",
        "created_at",
    ),
    "subscriptions": (
        "subscriber_id",
        "area_code",
        "topic_slug",
        "least_priority",
        "frequency",
        "started_at",
        "ended_at",
        "source",
    ),
}
PEOPLE_TABLES = ("subscribers", "contact_points", "subscriptions")


@dataclass(frozen=True, kw_only=True)
class Home:
    """One postcode with its place. sealed only with a person's id, so not here."""

    postcode: str
    ward: str
    hashed: bytes
    cell: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Population:
    """What was made. team covers the whole force; a borough's and a ward's code, and a postcode, for criteria."""

    people: int
    team: UUID
    force: str
    borough: str
    ward: str
    postcode: str
    seconds: float


def borough(number: int) -> str:
    """The code of a borough, from 0."""
    return f"E09000{100 + number}"


def ward(number: int) -> str:
    """The code of a ward, from 0; each borough has the next 21."""
    return f"E05{90_000 + number:06d}"


async def make(url: str, keys: Keys, people: int, *, seed: int = 1, eager: bool = False) -> Population:
    """Fill a migrated, empty database. keys: the opened ring, with the key of address hashes.

    eager: everybody wants everything at once; else some want digests, or only what matters.
    """
    began = time.monotonic()
    homes = list(_homes(keys, random.Random(seed)))
    tables = [*_places(homes), ("teams", [(TEAM, "whole-force", f"{FORCE_NAME} team", "snt")])]
    tables.append(("team_areas", [(TEAM, FORCE, BEGAN)]))
    batches = _people(keys, homes, people, random.Random(seed + 1), eager=eager)
    if url.startswith("sqlite"):
        await asyncio.to_thread(_fill_sqlite, url.partition("///")[2], tables, batches)
    else:
        await _fill_postgres(url, tables, batches)
    middle = homes[len(homes) // 2]
    return Population(
        people=people,
        team=TEAM,
        force=FORCE,
        borough=borough(BOROUGHS // 2),
        ward=middle.ward,
        postcode=middle.postcode,
        seconds=time.monotonic() - began,
    )


# --- Places -------------------------------------------------------------------------------------


def _places(homes: Sequence[Home]) -> list[tuple[str, Rows]]:
    areas: Rows = [(FORCE, AreaKind.FORCE.value, FORCE_NAME, None, True)]
    areas += [(borough(b), AreaKind.BOROUGH.value, f"Borough {b + 1}", FORCE, True) for b in range(BOROUGHS)]
    areas += [
        (ward(w), AreaKind.WARD.value, f"Ward {w + 1}", borough(w // WARDS_EACH), True)
        for w in range(BOROUGHS * WARDS_EACH)
    ]
    postcodes: Rows = []
    for home in homes:
        number = int(home.ward[3:]) - 90_000
        east, north = (250 * cell + 125 for cell in home.cell)
        postcodes.append((home.postcode, home.ward, borough(number // WARDS_EACH), east, north))
    topics: Rows = [
        (slug, f'{{"en": "{english}", "cy": "{welsh}"}}') for slug, (english, welsh) in DEFAULT_TOPICS.items()
    ]
    return [("areas", areas), ("topics", topics), ("postcodes", postcodes)]


def _homes(keys: Keys, chance: random.Random) -> Iterator[Home]:
    units = _units()
    for number in range(BOROUGHS * WARDS_EACH):
        corner_east = CORNER[0] + (number % ACROSS) * WARD_METRES
        corner_north = CORNER[1] + (number // ACROSS) * WARD_METRES
        for postcode in islice(units, POSTCODES_EACH):
            east = corner_east + chance.randrange(WARD_METRES)
            north = corner_north + chance.randrange(WARD_METRES)
            yield Home(
                postcode=postcode,
                ward=ward(number),
                hashed=keys.postcode_hash(postcode),
                cell=cell_of(east, north),
            )


def _units() -> Iterator[str]:
    for district in range(1, 100):
        for sector in range(10):
            for first in LETTERS:
                for second in LETTERS:
                    yield f"{FICTIONAL_AREA}{district} {sector}{first}{second}"


# --- People -------------------------------------------------------------------------------------


def _people(
    keys: Keys, homes: Sequence[Home], number: int, chance: random.Random, *, eager: bool
) -> Iterator[dict[str, Rows]]:
    """Their rows by table, some thousand people at a time, the first to join first."""
    for start in range(0, number, BATCH_ROWS):
        batch: dict[str, Rows] = {table: [] for table in PEOPLE_TABLES}
        for each in range(start, min(start + BATCH_ROWS, number)):
            _person(keys, homes, each, number, chance, batch, eager=eager)
        yield batch


def _person(
    keys: Keys,
    homes: Sequence[Home],
    number: int,
    of: int,
    chance: random.Random,
    batch: dict[str, Rows],
    *,
    eager: bool,
) -> None:
    joined = BEGAN + timedelta(days=1_000) * (number / of)
    id_ = _id_at(joined, chance)
    home = homes[int(chance.random() * len(homes))]
    name = keys.seal("subscribers.name", id_, f"Person {number}") if _in(chance, NAMED_PERCENT) else None
    sealed = keys.seal("subscribers.postcode", id_, home.postcode)
    language = _pick(chance, LANGUAGES)
    batch["subscribers"].append(
        (id_, name, sealed, home.ward, language, "active", 0, "web", joined, home.hashed, *home.cell)
    )
    stopped = joined + timedelta(days=9) if _in(chance, STOPPED_PERCENT) else None
    addresses = [("email", f"person{number}@mail{number % 7}.example")]
    if number < MOST_PHONES:
        addresses.append(("sms", f"+447700{900_000 + number}"))
    for medium, address in addresses:
        point = _id_at(joined, chance)
        batch["contact_points"].append(
            (
                point,
                id_,
                medium,
                keys.seal("contact_points.address", point, address),
                keys.address_hash(medium, address),
                "stopped" if stopped else "active",
                joined,
                stopped,
                True,
                0.0,
                joined,
            )
        )
    frequency, priority = _pick(chance, FREQUENCIES).value, _pick(chance, PRIORITIES).value
    if eager:
        frequency, priority = Frequency.AT_ONCE.value, LeastPriority.EVERYTHING.value
    ended = joined + timedelta(days=5) if _in(chance, ENDED_PERCENT) else None
    for code in _followed(home.ward, chance):
        for slug in _topics(chance):
            batch["subscriptions"].append((id_, code, slug, priority, frequency, joined, ended, "web"))


def _followed(home: str, chance: random.Random) -> list[str]:
    if not _in(chance, SECOND_WARD_PERCENT):
        return [home]
    other = (int(home[3:]) - 90_000 + 1 + int(chance.random() * 20)) % (BOROUGHS * WARDS_EACH)
    return [home, ward(other)]


def _topics(chance: random.Random) -> Sequence[str]:
    slugs = tuple(DEFAULT_TOPICS)
    if _in(chance, ALL_TOPICS_PERCENT):
        return slugs
    first = int(chance.random() * len(slugs))
    return [slugs[(first + more) % len(slugs)] for more in range(1 + int(chance.random() * 3))]


def _id_at(moment: datetime, chance: random.Random) -> UUID:
    """A version 7 UUID of that moment."""
    stamp, bits = int(moment.timestamp() * 1000), chance.getrandbits(74)
    return UUID(int=(stamp << 80) | (7 << 76) | (bits >> 62) << 64 | (2 << 62) | (bits & (2**62 - 1)))


def _in(chance: random.Random, percent: int) -> bool:
    return chance.random() * 100 < percent


def _pick(chance: random.Random, weighted: Sequence[tuple[Any, int]]) -> Any:
    left = chance.random() * sum(weight for _, weight in weighted)
    for value, weight in weighted:
        left -= weight
        if left < 0:
            return value
    return weighted[-1][0]


# --- Writing ------------------------------------------------------------------------------------


async def _fill_postgres(
    url: str, tables: Iterable[tuple[str, Rows]], batches: Iterable[Mapping[str, Rows]]
) -> None:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg:", "postgresql:"))
    try:
        await connection.set_type_codec(
            "json", encoder=str.encode, decoder=bytes.decode, schema="pg_catalog", format="binary"
        )
        await connection.execute("SET session_replication_role = replica")  # no look-up of each foreign key
        await connection.execute("SET maintenance_work_mem = '512MB'")
        await connection.execute("SET synchronous_commit = off")
        for table, rows in tables:
            await connection.copy_records_to_table(table, records=rows, columns=COLUMNS[table])
        indexes = await connection.fetch(
            "SELECT indexname AS name, indexdef AS made FROM pg_indexes WHERE tablename = ANY($1)"
            " AND indexname NOT LIKE 'pk_%'",
            list(PEOPLE_TABLES),
        )
        for index in indexes:
            await connection.execute(f'DROP INDEX "{index["name"]}"')
        for batch in batches:
            for table, rows in batch.items():
                await connection.copy_records_to_table(table, records=rows, columns=COLUMNS[table])
        for index in indexes:
            await connection.execute(index["made"])
        await connection.execute("SET session_replication_role = DEFAULT")
        for table in (*PEOPLE_TABLES, "areas", "postcodes"):
            await connection.execute(f"VACUUM (ANALYZE) {table}")
    finally:
        await connection.close()


def _fill_sqlite(
    path: str, tables: Iterable[tuple[str, Rows]], batches: Iterable[Mapping[str, Rows]]
) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA foreign_keys=OFF")
        for group in ([dict(tables)], batches):
            for batch in group:
                connection.execute("BEGIN")
                for table, rows in batch.items():
                    names, marks = ", ".join(COLUMNS[table]), ", ".join("?" * len(COLUMNS[table]))
                    connection.executemany(
                        f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - names of ours
                        (tuple(map(_for_sqlite, row)) for row in rows),
                    )
                connection.execute("COMMIT")
        connection.execute("ANALYZE")
    finally:
        connection.close()


def _for_sqlite(value: Any) -> Any:
    """As SQLAlchemy would store it."""
    if isinstance(value, UUID):
        return value.hex
    return value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value


async def _main(url: str, people: int, seed: int) -> None:
    async with database(url) as db:
        made = await make(url, db.keys, people, seed=seed)
    print(f"{made.people:,} people in {made.seconds:.1f} s")


if __name__ == "__main__":
    wanted = argparse.ArgumentParser(description="Fill a migrated, empty database with made-up people.")
    wanted.add_argument("url")
    wanted.add_argument("people", type=int)
    wanted.add_argument("--seed", type=int, default=1)
    given = wanted.parse_args(sys.argv[1:])
    asyncio.run(_main(given.url, given.people, given.seed))
