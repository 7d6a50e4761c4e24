"""The signed names under which a delivery leaves the building.

A delivery's own id is a number; outside it appears only in these tokens, and comes back in a
reply address, a bounce address, a callback or a Message-ID. Every token is good for one use.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from subscribers.signing import FAMILIES, Keys, Use

# Sizes of payloads, in octets. Those made several at a time are multiples of five (`Keys.tokens`).
DELIVERY_BYTES, NUMBER_BYTES, ID_BYTES, VERSION_BYTES, TIME_BYTES = 10, 5, 16, 4, 5
REPLY, BOUNCE = "reply+", "bounce+"
_NAMES, _LINKS, *_ = FAMILIES


class Names(NamedTuple):
    """What a delivery is called outside. delivery: the same on every try, in Message-ID and idempotency keys.

    reply: where a reply to it goes; the local part is at most 64 octets (RFC 5321 4.5.3.1.1). bounce: the return
    path (VERP), which tells by itself whose mail came back.
    """

    delivery: str
    reply: str
    bounce: str


def names_of(keys: Keys, deliveries: Sequence[int], domain: str) -> list[Names]:
    """The names of each delivery. Those of many cost a third of as many single ones."""
    tokens = keys.tokens(_NAMES, [delivery.to_bytes(DELIVERY_BYTES) for delivery in deliveries])
    at = f"@{domain}"
    return [Names(own, REPLY + reply + at, BOUNCE + bounce + at) for own, reply, bounce in tokens]


def links_of(keys: Keys, public_url: str, owners: Sequence[tuple[UUID, int]]) -> list[dict[str, str]]:
    """By the names of their holes, for each (contact point, link version): the page where a person changes what they
    get, and the one that ends everything on that contact point, which RFC 8058 posts to. Both are worthless once the
    version rises."""
    payloads = [point.bytes + version.to_bytes(VERSION_BYTES) for point, version in owners]
    manage, unsubscribe = f"{public_url}/manage/", f"{public_url}/unsubscribe/"
    return [
        {"manage_url": manage + to_manage, "unsubscribe_url": unsubscribe + to_end}
        for to_manage, to_end in keys.tokens(_LINKS, payloads)
    ]


def reply_address(keys: Keys, delivery: int, domain: str) -> str:
    """Where a reply to that delivery goes."""
    return names_of(keys, [delivery], domain)[0].reply


def bounce_address(keys: Keys, delivery: int, domain: str) -> str:
    """The return path of that delivery."""
    return names_of(keys, [delivery], domain)[0].bounce


def delivery_token(keys: Keys, delivery: int) -> str:
    """What it is called in Message-ID and idempotency keys."""
    return keys.token(Use.DELIVERY, delivery.to_bytes(DELIVERY_BYTES))


def attempt_token(keys: Keys, delivery: int, number: int) -> str:
    """Of one try: in callback addresses."""
    return keys.token(Use.ATTEMPT, delivery.to_bytes(DELIVERY_BYTES) + number.to_bytes(NUMBER_BYTES))


def read_reply_address(keys: Keys, address: str) -> int | None:
    """The delivery a reply address names, or None where it is not ours or was changed."""
    return _read_local(keys, Use.REPLY, REPLY, address)


def read_bounce_address(keys: Keys, address: str) -> int | None:
    """The delivery a bounce address names, or None."""
    return _read_local(keys, Use.BOUNCE, BOUNCE, address)


def read_delivery_token(keys: Keys, token: str) -> int | None:
    """The delivery a token names, or None."""
    return _number(keys.read_token(Use.DELIVERY, token))


def read_attempt_token(keys: Keys, token: str) -> tuple[int, int] | None:
    """(delivery, number of the attempt), or None."""
    payload = keys.read_token(Use.ATTEMPT, token)
    if payload is None or len(payload) != DELIVERY_BYTES + NUMBER_BYTES:
        return None
    return int.from_bytes(payload[:DELIVERY_BYTES]), int.from_bytes(payload[DELIVERY_BYTES:])


def read_link_token(keys: Keys, use: Use, token: str) -> tuple[UUID, int] | None:
    """(contact point, link version), or None. The caller compares the version with the subscriber's."""
    payload = keys.read_token(use, token)
    if payload is None or len(payload) != ID_BYTES + VERSION_BYTES:
        return None
    return UUID(bytes=payload[:ID_BYTES]), int.from_bytes(payload[ID_BYTES:])


def manage_url(keys: Keys, public_url: str, contact_point: UUID, version: int) -> str:
    """The page where a person changes what they get."""
    return links_of(keys, public_url, [(contact_point, version)])[0]["manage_url"]


def unsubscribe_url(keys: Keys, public_url: str, contact_point: UUID, version: int) -> str:
    """The page that ends everything on that contact point."""
    return links_of(keys, public_url, [(contact_point, version)])[0]["unsubscribe_url"]


def fresh_token(keys: Keys, contact_point: UUID, version: int, expires_at: datetime) -> str:
    """For a link asked for just now, which shows everything held; worthless after `expires_at`."""
    until = int(expires_at.timestamp()).to_bytes(TIME_BYTES)
    return keys.token(Use.FRESH, contact_point.bytes + version.to_bytes(VERSION_BYTES) + until)


def read_fresh_token(keys: Keys, token: str, now: datetime) -> tuple[UUID, int] | None:
    """(contact point, link version) of a fresh link that has not run out, or None."""
    payload = keys.read_token(Use.FRESH, token)
    named = ID_BYTES + VERSION_BYTES
    if payload is None or len(payload) != named + TIME_BYTES:
        return None
    if int.from_bytes(payload[named:]) <= now.timestamp():
        return None
    return UUID(bytes=payload[:ID_BYTES]), int.from_bytes(payload[ID_BYTES:named])


def _read_local(keys: Keys, use: Use, prefix: str, address: str) -> int | None:
    local = address.strip().strip("<>").rpartition("@")[0].lower()
    if not local.startswith(prefix):
        return None
    return _number(keys.read_token(use, local.removeprefix(prefix)))


def _number(payload: bytes | None) -> int | None:
    return int.from_bytes(payload) if payload is not None and len(payload) == DELIVERY_BYTES else None
