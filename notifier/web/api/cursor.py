"""Where the next page begins: a signed token, good for the list it was given for and no other."""

import hashlib
from collections.abc import Sequence
from typing import Protocol, TypeVar
from uuid import UUID

from notifier.web.api.strict import NotAsked
from subscribers.signing import Keys, Use


class HasId(Protocol):
    @property
    def id(self) -> UUID: ...


Item = TypeVar("Item", bound=HasId)


def write(keys: Keys, of: str, last: UUID) -> str:
    """The cursor after `last` in the list named `of` (with its filters)."""
    return keys.token(Use.CURSOR, _mark(of) + last.bytes)


def read(keys: Keys, of: str, cursor: str | None) -> UUID | None:
    """The last item of the page before, or None for the first page. Raises NotAsked (400)."""
    if cursor is None:
        return None
    payload = keys.read_token(Use.CURSOR, cursor)
    if payload is None or len(payload) != 24 or payload[:8] != _mark(of):
        raise NotAsked(400, "This cursor is not of this list.", [("/cursor", "Begin without one.")])
    return UUID(bytes=payload[8:])


def cut(keys: Keys, of: str, found: Sequence[Item], limit: int) -> tuple[Sequence[Item], str | None]:
    """A page of one more item than was asked for: the items, and the cursor where there are more."""
    shown = found[:limit]
    return shown, write(keys, of, shown[-1].id) if len(found) > limit else None


def _mark(of: str) -> bytes:
    return hashlib.sha256(of.encode()).digest()[:8]
