"""Signing in, in three steps, so that no transaction is open while a password is checked:

    async with db.transaction() as tx:
        attempt = await sign_in.begin(tx, email)
    is_right = await passwords.is_right(attempt.password_hash, password)
    async with db.transaction() as tx:
        token = await sign_in.finish(tx, attempt, is_right=is_right)   # None: "email or password is wrong"

An unknown officer, a wrong password, a disabled officer and too many tries are one answer that takes
one time. Tries are counted per email typed, known or not, in the audit ledger; waiting doubles to a
minute, and no more, so that nobody is locked out for long by another's guessing.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from notifier.db import Tx
from notifier.models import AuditEvent, Officer
from notifier.staff import audit, sessions
from notifier.staff.officers import email_hash

FREE_TRIES = 5
WINDOW = timedelta(minutes=15)
LONGEST_WAIT = timedelta(minutes=1)

KIND, TRIED, DONE = "sign_in", "sign_in_tried", "signed_in"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try. password_hash: empty for nobody; checking it takes as long. may_pass: false while waiting."""

    key: str
    officer: UUID | None
    password_hash: str
    may_pass: bool


async def begin(tx: Tx, email: str) -> Attempt:
    """Count one try for an email in its normal spelling, before the password is looked at."""
    hashed = email_hash(tx, email)
    key = hashed.hex()[:40]
    tries = await _tries(tx, key)
    may_pass = may_try(tries, tx.now)
    if may_pass:
        await audit.record(tx, "anonymous", TRIED, object_kind=KIND, object_id=key)
    statement = select(Officer.id, Officer.password_hash).where(
        Officer.email_hash == hashed, Officer.disabled_at.is_(None)
    )
    row = (await tx.execute(statement)).one_or_none()
    return Attempt(
        key=key,
        officer=row.id if row else None,
        password_hash=row.password_hash if row else "",
        may_pass=may_pass,
    )


async def finish(tx: Tx, attempt: Attempt, *, is_right: bool) -> str | None:
    """The new session's token, or None."""
    if not is_right or not attempt.may_pass or attempt.officer is None:
        return None
    await audit.record(
        tx, audit.officer_actor(attempt.officer), DONE, object_kind=KIND, object_id=attempt.key
    )
    return await sessions.begin(tx, attempt.officer)


def may_try(tries: list[datetime], now: datetime) -> bool:
    """May one more password be tried, given the times of the failed ones of late (newest first)? Pure."""
    over = len(tries) - FREE_TRIES
    if over < 0:
        return True
    wait = min(timedelta(seconds=2 ** min(over, 10)), LONGEST_WAIT)
    return now - tries[0] >= wait


async def _tries(tx: Tx, key: str) -> list[datetime]:
    """Times of the tries since the last success, newest first, within the window."""
    rows = await tx.execute(
        select(AuditEvent.action, AuditEvent.at)
        .where(AuditEvent.object_kind == KIND, AuditEvent.object_id == key)
        .where(AuditEvent.at > tx.now - WINDOW)
        .order_by(AuditEvent.id.desc())
    )
    tries: list[datetime] = []
    for row in rows:
        if row.action == DONE:
            break
        tries.append(row.at)
    return tries
