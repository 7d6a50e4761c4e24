"""The key pair by which push services know us (VAPID, RFC 8292): read from a setting, made by a command.

Pure. Needs no extra, so that a key can be made before anything is installed for it.
"""

import base64
import re

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

PRIVATE_BYTES = 32

_MAIL = re.compile(r"mailto:[^\s@<>]+@(?:[\w-]+\.)+[\w-]{2,}")
_PAGE = re.compile(r"https://(?:[\w-]+\.)+[\w-]{2,}(?:/\S*)?")


class BadKey(ValueError):
    """It is no private key of the curve P-256, neither in PEM nor as 32 octets in base64url."""


def read_key(text: str) -> ec.EllipticCurvePrivateKey:
    """The private key in a setting; `\\n` in a PEM may stand for the end of a line. Raises BadKey."""
    try:
        if "-----BEGIN" in text:
            pem = text.replace("\\n", "\n").strip().encode()
            key = serialization.load_pem_private_key(pem, password=None)
        else:
            octets = base64.b64decode(
                text.strip().rstrip("=") + "=" * (-len(text.strip().rstrip("=")) % 4), b"-_", validate=True
            )
            key = _from_octets(octets)
    except (ValueError, TypeError) as error:
        raise BadKey(BadKey.__doc__) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadKey(BadKey.__doc__)
    return key


def make_key() -> str:
    """A new private key, in base64url."""
    made = ec.generate_private_key(ec.SECP256R1())
    return _base64url(made.private_numbers().private_value.to_bytes(PRIVATE_BYTES))


def public_key(key: ec.EllipticCurvePrivateKey) -> str:
    """What browsers are told: the uncompressed point in base64url, which RFC 8292 section 3.2 calls `k`."""
    encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return _base64url(key.public_key().public_bytes(encoding, form))


def is_contact(text: str) -> bool:
    """Can a push service write to it? A mail address or page of a real domain: Apple's refuses `localhost`."""
    return bool(_MAIL.fullmatch(text) or _PAGE.fullmatch(text))


def _from_octets(octets: bytes) -> ec.EllipticCurvePrivateKey:
    if len(octets) != PRIVATE_BYTES:
        raise ValueError("not 32 octets")
    return ec.derive_private_key(int.from_bytes(octets), ec.SECP256R1())


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
