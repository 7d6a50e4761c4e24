"""Officers' passwords: argon2id, in a thread, few at a time. Touches no rows.

A hash costs 64 MB and a tenth of a second on purpose (RFC 9106, second recommended option); without
a bound a hundred sign-ins at once would take the machine's memory.
"""

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 200
AT_ONCE = 2

_hasher = PasswordHasher()


class TooShort(ValueError):
    """A password needs at least 12 characters; three words in a row are easy to remember."""


class TooLong(ValueError):
    """A password has at most 200 characters."""


async def hashed(password: str) -> str:
    """The hash to keep. Raises TooShort, TooLong."""
    if len(password) < SHORTEST:
        raise TooShort(str(TooShort.__doc__))
    if len(password) > LONGEST:
        raise TooLong(str(TooLong.__doc__))
    async with _turn(asyncio.get_running_loop()):
        return await asyncio.to_thread(_hasher.hash, password)


async def is_right(password_hash: str, password: str) -> bool:
    """Does the password fit the hash? Takes as long for a hash of nobody: see `of_nobody`."""
    async with _turn(asyncio.get_running_loop()):
        return await asyncio.to_thread(_fits, password_hash, password[: LONGEST + 1])


@cache
def of_nobody() -> str:
    """A hash no password fits, for unknown officers: the answer takes as long as for known ones."""
    return _hasher.hash("nobody's password, longer than any that is taken" * 5)


def _fits(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash or of_nobody(), password) and bool(password_hash)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _turn(_loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
    return asyncio.Semaphore(AT_ONCE)
