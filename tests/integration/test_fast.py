"""What goes to PostgreSQL past SQLAlchemy arrives as it was."""

import random

import asyncpg

from notifier.delivery.fast import list_of
from tests.servers import Postgres

ODD = [
    "a",
    "NULL",
    "null",
    "{x,y}",
    'say "hi"',
    "back\\slash",
    "\\",
    '"',
    " ",
    "é\u00a0💂",
    "two\nlines",
    "a,b",
]


async def test_an_array_is_spelled_as_postgresql_reads_it(postgres: Postgres) -> None:
    chance = random.Random(7)  # noqa: S311 - replayable
    words = ODD + ["".join(chance.choices('ab"\\,{} é\t', k=chance.randint(1, 12))) for _ in range(300)]
    numbers = [0, -1, 2**63 - 1, *range(50)]
    connection = await asyncpg.connect(postgres.create_database())
    try:
        assert await connection.fetchval("SELECT $1::text::varchar[]", list_of(words)) == words
        assert await connection.fetchval("SELECT $1::text::bigint[]", list_of(numbers)) == numbers
        assert await connection.fetchval("SELECT $1::text::varchar[]", list_of(["", "a"])) == [None, "a"]
        assert await connection.fetchval("SELECT $1::text::bigint[]", list_of([])) == []
    finally:
        await connection.close()
