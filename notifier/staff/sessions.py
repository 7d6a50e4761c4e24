"""Signed-in browsers as rows: a new random token each time, kept as its hash, ended from here.

Times of OWASP ASVS 5.0 V7.3: 30 minutes without a click, 12 hours in all.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, insert, or_, select, update

from notifier.db import Tx
from notifier.models import Officer, Session
from notifier.staff.officers import grants_of
from notifier.staff.roles import Grant
from subscribers.signing import hash_secret, random_token

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
TOUCH_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class SignedIn:
    """Whose browser this is, with the roles they hold this moment. needs_touch: call `touch` once."""

    officer: UUID
    name: str
    grants: tuple[Grant, ...]
    needs_touch: bool


async def begin(tx: Tx, officer: UUID) -> str:
    """A new session's token, for the cookie. Never one the browser brought along."""
    token = random_token()
    await tx.execute(
        insert(Session).values(
            token_hash=hash_secret(token),
            officer_id=officer,
            created_at=tx.now,
            seen_at=tx.now,
            expires_at=tx.now + LONGEST,
        )
    )
    return token


async def read(tx: Tx, token: str) -> SignedIn | None:
    """Who is signed in with that token; None where it is unknown, idle, too old, or the officer disabled."""
    row = (
        await tx.execute(
            select(Officer.id, Officer.name, Session.seen_at)
            .join(Session, Session.officer_id == Officer.id)
            .where(Session.token_hash == hash_secret(token), Officer.disabled_at.is_(None))
            .where(Session.seen_at > tx.now - IDLE, Session.expires_at > tx.now)
        )
    ).one_or_none()
    if row is None:
        return None
    return SignedIn(
        officer=row.id,
        name=row.name,
        grants=await grants_of(tx, row.id),
        needs_touch=row.seen_at <= tx.now - TOUCH_AFTER,
    )


async def touch(tx: Tx, token: str) -> None:
    """The officer is still there."""
    await tx.execute(update(Session).where(Session.token_hash == hash_secret(token)).values(seen_at=tx.now))


async def end(tx: Tx, token: str) -> None:
    """Sign this browser out. Safe to run twice."""
    await tx.execute(delete(Session).where(Session.token_hash == hash_secret(token)))


async def end_all(tx: Tx, officer: UUID) -> None:
    """Sign the officer out everywhere."""
    await tx.execute(delete(Session).where(Session.officer_id == officer))


async def drop_old(tx: Tx) -> int:
    """Delete sessions nobody can use any more; how many went."""
    gone = await tx.execute(
        delete(Session).where(or_(Session.seen_at <= tx.now - IDLE, Session.expires_at <= tx.now))
    )
    return gone.rowcount
