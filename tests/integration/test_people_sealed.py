"""A dump of the database shows no address, name or postcode."""

from pathlib import Path

import pytest
from sqlalchemy import MetaData, select

from notifier.broadcast import welcome
from notifier.broadcast.welcome import Confirmed
from notifier.db import Database
from tests.integration.people import PHONE, URL, joined, last_code
from tests.world import make_places

EMAIL, NAME, POSTCODE = "zebedee.quartz@mail.example", "Zebedee Quartz", "SE5 9ZQ"
MARKERS = (EMAIL, "zebedee", NAME, "Quartz", POSTCODE, "SE59ZQ", PHONE, "7700900123")


async def _write_a_subscriber(db: Database) -> None:
    async with db.transaction() as tx:
        await make_places(tx)
    await joined(db, email=EMAIL, phone=PHONE, name=NAME, postcode=POSTCODE)
    code = await last_code(db)
    async with db.transaction() as tx:
        assert isinstance(await welcome.confirm_code(tx, PHONE, code, public_url=URL), Confirmed)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_database_file_holds_no_word_of_a_person(db: Database, database_url: str) -> None:
    await _write_a_subscriber(db)
    file = Path(database_url.removeprefix("sqlite:///"))
    bytes_on_disk = b"".join(each.read_bytes() for each in file.parent.glob(f"{file.name}*"))
    assert b"confirm_email" in bytes_on_disk  # what is not sealed is found, so the search works
    for marker in MARKERS:
        assert marker.encode().lower() not in bytes_on_disk.lower()


async def test_no_row_holds_a_word_of_a_person(db: Database) -> None:
    await _write_a_subscriber(db)
    everything = b""
    async with db.transaction(read_only=True) as tx:
        dump = MetaData()
        await tx.connection.run_sync(dump.reflect)
        for table in dump.sorted_tables:
            for row in await tx.execute(select(table)):
                everything += b"\n".join(
                    value if isinstance(value, bytes) else str(value).encode() for value in row
                )
    assert b"confirm_email" in everything
    for marker in MARKERS:
        assert marker.encode().lower() not in everything.lower()
