"""How many copies a message makes, by medium and language: what its cost is reckoned from."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import case, func, select

from notifier.broadcast.correct import people_of
from notifier.db import Tx
from notifier.models import Message, MessageText


async def copies(tx: Tx, message: UUID) -> Mapping[tuple[str, str], int]:
    """(medium, language of the words they will read) → people who get it at once, from the statement that plans."""
    row = (await tx.execute(select(Message.__table__).where(Message.id == message))).one()
    languages = (
        await tx.execute(select(MessageText.language).where(MessageText.message_id == message))
    ).scalars()
    people = (await people_of(tx, row)).subquery("people")
    language = case((people.c.language.in_(languages.all()), people.c.language), else_="en")
    rows = await tx.execute(
        select(people.c.medium, language.label("language"), func.count().label("number"))
        .where(people.c.digest.is_(None))
        .group_by(people.c.medium, language)
    )
    return {(found.medium, found.language): found.number for found in rows}
