"""Rows of sign-ups: a wish that waits until the address's owner confirms it. Called by `welcome`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, or_, select, update

from subscribers.consent import CODE_TRIES, GOOD_FOR, Choices, SignUpState, state_of
from subscribers.models import SignUp, Transaction, new_id
from subscribers.signing import Keys, hash_secret

CHOICES = "sign_ups.choices"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One sign-up. state: as of the transaction's now."""

    id: UUID
    contact_point: UUID
    choices: Choices
    code_hash: bytes | None
    tries_left: int
    wording: str
    source: str
    state: SignUpState


async def begin(
    tx: Transaction,
    contact_point: UUID,
    choices: Choices,
    *,
    token: str,
    code: str | None,
    wording: str,
    source: str,
) -> UUID:
    """Keep a wish for 48 hours. token: of its link, kept as a hash. code: six digits, as a keyed hash."""
    made = new_id()
    await tx.execute(
        insert(SignUp).values(
            id=made,
            contact_point_id=contact_point,
            choices_sealed=tx.keys.seal(CHOICES, made, choices.to_json()),
            token_hash=hash_secret(token),
            code_hash=_code_hash(tx.keys, made, code) if code else None,
            tries_left=CODE_TRIES,
            wording_version=wording,
            source=source,
            created_at=tx.now,
            expires_at=tx.now + GOOD_FOR,
        )
    )
    return made


async def by_token(tx: Transaction, token: str) -> Wish | None:
    """The sign-up whose link has that token."""
    statement = select(SignUp.__table__).where(SignUp.token_hash == hash_secret(token))
    row = (await tx.execute(statement)).one_or_none()
    return None if row is None else _wish(tx, row)


async def waiting(tx: Transaction, contact_point: UUID) -> list[Wish]:
    """The sign-ups of an address that may still be confirmed, newest first."""
    rows = await tx.execute(
        select(SignUp.__table__)
        .where(SignUp.contact_point_id == contact_point)
        .where(SignUp.confirmed_at.is_(None), SignUp.expires_at > tx.now)
        .order_by(SignUp.id.desc())
    )
    return [_wish(tx, row) for row in rows]


async def match_code(tx: Transaction, wishes: Sequence[Wish], code: str) -> Wish | None:
    """The sign-up that was sent this code. A wrong code costs each of them one of its tries."""
    tried = [wish for wish in wishes if wish.code_hash and wish.tries_left > 0]
    for wish in tried:
        if wish.code_hash and compare_digest(wish.code_hash, _code_hash(tx.keys, wish.id, code)):
            return wish
    if tried:
        await tx.execute(
            update(SignUp)
            .where(SignUp.id.in_([wish.id for wish in tried]))
            .values(tries_left=SignUp.tries_left - 1)
        )
    return None


async def mark_confirmed(tx: Transaction, wishes: Sequence[Wish]) -> None:
    """These are done. The choices went into the person's rows and are emptied here.

    All but the phone, by which a link followed again still says what it said the first time.
    """
    for wish in wishes:
        await tx.execute(
            update(SignUp)
            .where(SignUp.id == wish.id)
            .values(
                confirmed_at=tx.now,
                choices_sealed=tx.keys.seal(CHOICES, wish.id, Choices(phone=wish.choices.phone).to_json()),
            )
        )


async def forget(tx: Transaction, contact_point: UUID) -> None:
    """Drop every wish of an address."""
    await tx.execute(delete(SignUp).where(SignUp.contact_point_id == contact_point))


async def codes_of_late(tx: Transaction) -> tuple[int, int]:
    """(codes sent, codes used) in the last 24 hours."""
    recent = tx.now + GOOD_FOR / 2
    counted = select(func.count().label("sent"), func.count(SignUp.confirmed_at).label("used")).where(
        SignUp.expires_at > recent, SignUp.code_hash.is_not(None)
    )
    row = (await tx.execute(counted)).one()
    return row.sent, row.used


async def codes_since(tx: Transaction, since: datetime) -> int:
    """How many codes were sent after that moment."""
    counted = select(func.count()).where(SignUp.created_at > since, SignUp.code_hash.is_not(None))
    return int(await tx.scalar(counted))


async def drop_old(tx: Transaction, *, confirmed_before: datetime) -> int:
    """Delete the unconfirmed once they have expired, and confirmed ones of before that time."""
    gone = await tx.execute(
        delete(SignUp).where(
            or_(
                SignUp.confirmed_at.is_(None) & (SignUp.expires_at <= tx.now),
                SignUp.confirmed_at < confirmed_before,
            )
        )
    )
    return gone.rowcount


def _code_hash(keys: Keys, sign_up: UUID, code: str) -> bytes:
    """Keyed, because six digits are guessed from a bare hash in a second."""
    return keys.address_hash("code", f"{sign_up}:{code}")


def _wish(tx: Transaction, row: Any) -> Wish:
    choices = Choices.from_json(tx.keys.open_text(CHOICES, row.id, row.choices_sealed))
    return Wish(
        id=row.id,
        contact_point=row.contact_point_id,
        choices=choices,
        code_hash=bytes(row.code_hash) if row.code_hash else None,
        tries_left=row.tries_left,
        wording=row.wording_version,
        source=row.source,
        state=state_of(expires_at=row.expires_at, confirmed_at=row.confirmed_at, now=tx.now),
    )
