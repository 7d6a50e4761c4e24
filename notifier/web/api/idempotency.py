"""`Idempotency-Key`: the same call again gets the same answer, and nothing is done twice.

The key's row is written in the transaction of what it guards, before it is done: two calls at once wait
for each other on its primary key. A call that failed leaves no row, so that it may be tried again.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, select, update

from notifier.db import Tx
from notifier.errors import Conflict
from notifier.models import IdempotencyKey
from subscribers.dialects import insert_for

GOOD_FOR = timedelta(hours=24)
LONGEST = 255
OTHER_BODY = "This Idempotency-Key came before with another request. Use a new one."


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the first call was answered."""

    status: int
    response: str


def request_hash(method: str, path: str, body: bytes) -> bytes:
    """By which the same call is known again. Pure."""
    return hashlib.sha256(f"{method} {path}\n".encode() + body).digest()


def is_key(key: str) -> bool:
    """May this be a key: 1 to 255 visible ASCII characters? Pure."""
    return 0 < len(key) <= LONGEST and key.isascii() and key.isprintable() and " " not in key


async def begin(tx: Tx, owner: str, key: str, hashed: bytes) -> Kept | None:
    """Take the key, or give back what its first use was answered. Raises Conflict for another request."""
    is_it = (IdempotencyKey.owner == owner) & (IdempotencyKey.key == key)
    await tx.execute(delete(IdempotencyKey).where(is_it, IdempotencyKey.at <= tx.now - GOOD_FOR))
    taken = await tx.execute(
        insert_for(tx, IdempotencyKey)
        .on_conflict_do_nothing()
        .values(owner=owner, key=key, request_hash=hashed, status=0, response="", at=tx.now)
    )
    if taken.rowcount:
        return None
    row = (await tx.execute(select(IdempotencyKey.__table__).where(is_it))).one()
    if bytes(row.request_hash) != hashed:
        raise Conflict(OTHER_BODY)
    return Kept(status=row.status, response=row.response)


async def keep(tx: Tx, owner: str, key: str, answer: Kept) -> None:
    """Remember what a call was answered."""
    await tx.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.owner == owner, IdempotencyKey.key == key)
        .values(status=answer.status, response=answer.response)
    )
