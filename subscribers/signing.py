"""The key ring: seals columns, hashes addresses, signs tokens. Everything secret goes through here.

One secret (newest first, for rotation) gives a separate key for each use by HKDF (RFC 5869), so
that no key ever serves two ends. The key for address hashes is the exception: it is made once,
kept in `data_keys` wrapped by the ring, and never rotated, because the hashes of erased people
could not be made again.
"""

import hashlib
import hmac
import secrets
from base64 import b32decode
from binascii import Error as NotBase32
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_ID_BYTES, NONCE_BYTES = 4, 12


class Use(StrEnum):
    """What a token is good for; a token of one use is nothing at another."""

    REPLY = "reply"
    BOUNCE = "bounce"
    ATTEMPT = "attempt"
    DELIVERY = "delivery"
    MANAGE = "manage"
    UNSUBSCRIBE = "unsubscribe"
    FRESH = "fresh"
    FORM = "form"
    CURSOR = "cursor"


# Reply addresses must fit 64 octets with their prefix, so their MAC is 80 bits; all others have 120.
MAC_BYTES = {use: 10 if use in (Use.REPLY, Use.BOUNCE, Use.DELIVERY) else 15 for use in Use}
# Uses whose tokens are made together have one MAC in common, of which each has a part of its own.
FAMILIES = (
    (Use.DELIVERY, Use.REPLY, Use.BOUNCE),
    (Use.MANAGE, Use.UNSUBSCRIBE),
    *((use,) for use in (Use.ATTEMPT, Use.FRESH, Use.FORM, Use.CURSOR)),
)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Which part of its family's MAC a use has."""

    family: tuple[Use, ...]
    octets: int  # of the whole MAC
    place: slice


def _parts() -> dict[Use, _Part]:
    found = {}
    for family in FAMILIES:
        ends = list(accumulate(MAC_BYTES[use] for use in family))
        for use, end in zip(family, ends, strict=True):
            place = slice(end - MAC_BYTES[use], end)
            found[use] = _Part(family=family, octets=ends[-1], place=place)
    return found


_PARTS = _parts()


class CannotOpen(Exception):
    """A sealed value does not open: a key is missing from the ring, or the bytes were moved or changed."""


class Keys:
    """The opened ring. `secrets` newest first; the address key is set once the database is open."""

    def __init__(self, ring: Sequence[str]) -> None:
        if not ring or any(len(secret) < 16 for secret in ring):
            raise ValueError("each secret key needs at least 16 characters")
        self._ring = [secret.encode() for secret in ring]
        self._aes = {_derive(s, "key id")[:KEY_ID_BYTES]: AESGCM(_derive(s, "seal")) for s in self._ring}
        self._newest = next(iter(self._aes))
        self._token_keys = {
            family: [_derive(s, f"token {' '.join(family)}") for s in self._ring] for family in FAMILIES
        }
        self._address_key = b""

    # --- sealed columns -------------------------------------------------------------------

    def seal(self, place: str, row: UUID | int | str, value: str | bytes) -> bytes:
        """Key id, nonce and AES-256-GCM of a value; `place` (table.column) and row id are bound to it."""
        plain = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        nonce = secrets.token_bytes(NONCE_BYTES)
        return self._newest + nonce + self._aes[self._newest].encrypt(nonce, plain, _bound(place, row))

    def open(self, place: str, row: UUID | int | str, sealed: bytes) -> bytes:
        """The value sealed at that place. Raises CannotOpen."""
        key = self._aes.get(bytes(sealed[:KEY_ID_BYTES]))
        if key is None:
            raise CannotOpen(f"no key in the ring opens {place}")
        nonce, rest = sealed[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES], sealed[KEY_ID_BYTES + NONCE_BYTES :]
        try:
            return key.decrypt(bytes(nonce), bytes(rest), _bound(place, row))
        except InvalidTag as error:
            raise CannotOpen(f"{place} of another row, or changed") from error

    def open_text(self, place: str, row: UUID | int | str, sealed: bytes) -> str:
        """The text sealed at that place. Raises CannotOpen."""
        return self.open(place, row, sealed).decode("utf-8", "surrogatepass")

    def is_newest(self, sealed: bytes) -> bool:
        """Was it sealed by the newest secret, so that older ones may leave the ring?"""
        return bytes(sealed[:KEY_ID_BYTES]) == self._newest

    # --- address hashes ---------------------------------------------------------------------

    def use_address_key(self, key: bytes) -> None:
        """Set the one key of address hashes, opened from `data_keys`."""
        self._address_key = key

    def address_hash(self, medium: str, address: str) -> bytes:
        """32 bytes by which an address is found and kept unique. The address is in its normal spelling."""
        if not self._address_key:
            raise CannotOpen("the address key is not loaded: open the database first")
        return hmac.digest(self._address_key, f"{medium}\0{address}".encode(), "sha256")

    def postcode_hash(self, postcode: str) -> bytes:
        """32 bytes by which a home is found without opening it. The postcode is in its canonical form.

        The key is that of addresses; the word before the value, which no medium bears, keeps the two apart.
        """
        return self.address_hash("postcode", postcode)

    # --- tokens -----------------------------------------------------------------------------

    def token(self, use: Use, payload: bytes) -> str:
        """A signed token, lower-case base32 without padding: it survives case folding in mail."""
        part = _PARTS[use]
        return _base32(payload + _mac(self._token_keys[part.family][0], part.octets, payload)[part.place])

    def tokens(self, family: tuple[Use, ...], payloads: Sequence[bytes]) -> list[list[str]]:
        """For each payload a token of each use of a family, made together. All are of one size, a multiple of five.

        So every payload, like each MAC, fills whole letters, and is written once for all of its tokens.
        """
        if not payloads:
            return []
        octets, key = _PARTS[family[0]].octets, self._token_keys[family][0]
        letters = _base32(b"".join([payload + _mac(key, octets, payload) for payload in payloads]))
        ends = [len(payloads[0]) // 5 * 8]
        for use in family:
            ends.append(ends[-1] + MAC_BYTES[use] // 5 * 8)
        places = list(pairwise(ends))
        found = []
        for start in range(0, len(letters), ends[-1]):
            own = letters[start : start + ends[-1]]
            same = own[: ends[0]]
            found.append([same + own[at:to] for at, to in places])
        return found

    def read_token(self, use: Use, token: str) -> bytes | None:
        """The payload of a token of that use, or None. Constant time in the MAC; any key of the ring."""
        if len(token) > 256 or not token.isascii():
            return None
        try:
            whole = b32decode(token.upper() + "=" * (-len(token) % 8))
        except (NotBase32, ValueError):
            return None
        part, size = _PARTS[use], MAC_BYTES[use]
        payload, mac = whole[:-size], whole[-size:]
        macs = [_mac(key, part.octets, payload)[part.place] for key in self._token_keys[part.family]]
        good = [hmac.compare_digest(each, mac) for each in macs]
        if not any(good) or _base32(whole) != token.lower():
            return None
        return payload


def hash_secret(token: str) -> bytes:
    """How a random token (session, confirmation) is kept: its SHA-256, since it has full entropy."""
    return hashlib.sha256(token.encode()).digest()


def random_token() -> str:
    """256 random bits for a link, a session or an API."""
    return _base32(secrets.token_bytes(32))


def wrap_key(keys: Keys, purpose: str, row: UUID, key: bytes) -> bytes:
    """A data key, sealed by the newest secret of the ring."""
    return keys.seal(f"data_keys.{purpose}", row, key)


def unwrap_key(keys: Keys, purpose: str, row: UUID, wrapped: bytes) -> bytes:
    """A data key, opened by whichever secret wrapped it. Raises CannotOpen."""
    return keys.open(f"data_keys.{purpose}", row, wrapped)


def _mac(key: bytes, octets: int, payload: bytes) -> bytes:
    """BLAKE2b with a key (RFC 7693): any part of it is a MAC, and tells nothing of the other parts."""
    return hashlib.blake2b(payload, digest_size=octets, key=key).digest()


def _spreads(octets: int) -> list[tuple[int, int, int]]:
    """How a number of so many octets (5 × a power of two) is spread until each of its fives has an octet.

    (mask of lower halves, mask of upper halves, places the upper ones move), for each time everything is halved.
    """
    found = []
    filled, place, places = octets * 8, octets * 8 // 5 * 8, 1
    while filled > 5:
        half = filled // 2
        lower = sum(((1 << half) - 1) << (at * place) for at in range(places))
        found.append((lower, lower << half, place // 2 - half))
        filled, place, places = half, place // 2, places * 2
    return found


_BLOCK = 640  # octets at a time: the longer, the less each costs, up to a point
_SPREADS = {octets: _spreads(octets) for octets in (20, 40, 80, _BLOCK)}
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567".ljust(256, b"-")


def _base32(octets: bytes) -> str:
    """Lower-case base32 (RFC 4648) without padding. A mail has five such words: b32encode takes thrice as long."""
    size = len(octets)
    if size > _BLOCK:
        return "".join([_base32(octets[at : at + _BLOCK]) for at in range(0, size, _BLOCK)])
    width = 20 if size <= 20 else 40 if size <= 40 else 80 if size <= 80 else _BLOCK
    number = int.from_bytes(octets) << (width - size) * 8
    for lower, upper, places in _SPREADS[width]:
        number = (number & lower) | ((number & upper) << places)
    return number.to_bytes(width * 8 // 5).translate(_LETTERS)[: -(-size * 8 // 5)].decode()


def _derive(secret: bytes, use: str) -> bytes:
    info = b"notifier " + use.encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def _bound(place: str, row: UUID | int | str) -> bytes:
    return place.encode() + b"\0" + (row.bytes if isinstance(row, UUID) else str(row).encode())
