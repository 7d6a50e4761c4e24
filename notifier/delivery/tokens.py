"""The signed names under which a delivery leaves the building.

A delivery's own id is a number; outside it appears only in these tokens, and comes back in a
reply address, a bounce address, a callback or a Message-ID. Every token is good for one use.
"""

from datetime import datetime
from uuid import UUID

from subscribers.signing import Keys, Use


def reply_address(keys: Keys, delivery: int, domain: str) -> str:
    """Where a reply to that delivery goes; the local part is at most 64 octets (RFC 5321 4.5.3.1.1)."""
    return f"reply+{_signed(keys, Use.REPLY, delivery)}@{domain}"


def bounce_address(keys: Keys, delivery: int, domain: str) -> str:
    """The return path of that delivery (VERP): whose mail bounced is told by the address alone."""
    return f"bounce+{_signed(keys, Use.BOUNCE, delivery)}@{domain}"


def delivery_token(keys: Keys, delivery: int) -> str:
    """The same on every try: in Message-ID and idempotency keys."""
    return _signed(keys, Use.DELIVERY, delivery)


def attempt_token(keys: Keys, delivery: int, number: int) -> str:
    """Of one try: in callback addresses."""
    return keys.token(Use.ATTEMPT, delivery.to_bytes(8) + number.to_bytes(4))


def read_reply_address(keys: Keys, address: str) -> int | None:
    """The delivery a reply address names, or None where it is not ours or was changed."""
    return _read_local(keys, Use.REPLY, "reply+", address)


def read_bounce_address(keys: Keys, address: str) -> int | None:
    """The delivery a bounce address names, or None."""
    return _read_local(keys, Use.BOUNCE, "bounce+", address)


def read_delivery_token(keys: Keys, token: str) -> int | None:
    """The delivery a token names, or None."""
    return _number(keys.read_token(Use.DELIVERY, token))


def read_attempt_token(keys: Keys, token: str) -> tuple[int, int] | None:
    """(delivery, number of the attempt), or None."""
    payload = keys.read_token(Use.ATTEMPT, token)
    if payload is None or len(payload) != 12:
        return None
    return int.from_bytes(payload[:8]), int.from_bytes(payload[8:])


def link_token(keys: Keys, use: Use, contact_point: UUID, version: int) -> str:
    """For links in messages (manage, unsubscribe): names a contact point, worthless once the version rises."""
    return keys.token(use, contact_point.bytes + version.to_bytes(2))


def read_link_token(keys: Keys, use: Use, token: str) -> tuple[UUID, int] | None:
    """(contact point, link version), or None. The caller compares the version with the subscriber's."""
    payload = keys.read_token(use, token)
    if payload is None or len(payload) != 18:
        return None
    return UUID(bytes=payload[:16]), int.from_bytes(payload[16:])


def manage_url(keys: Keys, public_url: str, contact_point: UUID, version: int) -> str:
    """The page where a person changes what they get."""
    return f"{public_url}/manage/{link_token(keys, Use.MANAGE, contact_point, version)}"


def unsubscribe_url(keys: Keys, public_url: str, contact_point: UUID, version: int) -> str:
    """The page that ends everything on that contact point; also what RFC 8058 posts to."""
    return f"{public_url}/unsubscribe/{link_token(keys, Use.UNSUBSCRIBE, contact_point, version)}"


def fresh_token(keys: Keys, contact_point: UUID, version: int, expires_at: datetime) -> str:
    """For a link asked for just now, which shows everything held; worthless after `expires_at`."""
    payload = contact_point.bytes + version.to_bytes(2) + int(expires_at.timestamp()).to_bytes(5)
    return keys.token(Use.FRESH, payload)


def read_fresh_token(keys: Keys, token: str, now: datetime) -> tuple[UUID, int] | None:
    """(contact point, link version) of a fresh link that has not run out, or None."""
    payload = keys.read_token(Use.FRESH, token)
    if payload is None or len(payload) != 23 or int.from_bytes(payload[18:]) <= now.timestamp():
        return None
    return UUID(bytes=payload[:16]), int.from_bytes(payload[16:18])


def _signed(keys: Keys, use: Use, delivery: int) -> str:
    return keys.token(use, delivery.to_bytes(8))


def _read_local(keys: Keys, use: Use, prefix: str, address: str) -> int | None:
    local = address.strip().strip("<>").rpartition("@")[0].lower()
    if not local.startswith(prefix):
        return None
    return _number(keys.read_token(use, local.removeprefix(prefix)))


def _number(payload: bytes | None) -> int | None:
    return int.from_bytes(payload) if payload is not None and len(payload) == 8 else None
