"""A browser's push subscription in one spelling: where its push service is, and the keys only that browser can read with.

Pure. An endpoint is an address that strangers hand us and our servers call, so it must name a push service that
browsers are known to use; anything else would let them aim our calls at whatever they like.
Sources: RFC 8030 section 5 (the endpoint), RFC 8291 section 3 (p256dh: a point of P-256, 65 octets; auth: 16 octets).
"""

import base64
import binascii
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from cryptography.hazmat.primitives.asymmetric import ec

from channels.errors import BadAddress

ENTER_A_SUBSCRIPTION = "Enter a push subscription as a browser gives it: an https:// address and its two keys"
NOT_A_PUSH_SERVICE = "That browser uses a push service that we do not know"

# Of Chrome, Edge on Android, Opera and Samsung's browser; of Firefox; of Edge on Windows; of Safari. `*.` is any host below.
PUSH_SERVICES = (
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "*.notify.windows.com",
    "web.push.apple.com",
)
LONGEST_ENDPOINT, LONGEST_INPUT = 1024, 2048
POINT_BYTES, SECRET_BYTES = 65, 16

_HOST = re.compile(r"(?=.{4,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]+(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")
_BASE64URL = re.compile(r"[A-Za-z0-9_+/-]{1,120}={0,2}")


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """Where a push goes, and what it is encrypted for. endpoint: an https address; p256dh, auth: base64url, unpadded."""

    endpoint: str
    p256dh: str
    auth: str

    @property
    def origin(self) -> str:
        """Of the push service: whom a VAPID token is for (RFC 8292 section 2)."""
        return f"https://{urlsplit(self.endpoint).hostname}"

    def __str__(self) -> str:
        return f"{self.endpoint}#p256dh={self.p256dh}&auth={self.auth}"


def read(address: str, services: Collection[str] = PUSH_SERVICES) -> Subscription:
    """The subscription in our own spelling, or in JSON as the browser's `toJSON()` gives it. Raises BadAddress."""
    text = address.strip()
    if not text.isascii() or not text.isprintable() or len(text) > LONGEST_INPUT:
        raise BadAddress(ENTER_A_SUBSCRIPTION)
    endpoint, p256dh, auth = _of_json(text) if text.startswith("{") else _of_spelling(text)
    return Subscription(
        endpoint=_endpoint(endpoint, services),
        p256dh=_key(p256dh, POINT_BYTES),
        auth=_key(auth, SECRET_BYTES),
    )


def is_service(host: str, services: Collection[str]) -> bool:
    """Is it one of the push services? `*.example.net` stands for every host below example.net, and not for itself."""
    return any(host.endswith(each[1:]) if each.startswith("*.") else host == each for each in services)


def _of_spelling(text: str) -> tuple[str, str, str]:
    endpoint, _, keys = text.partition("#")
    found = dict(parse_qsl(keys.replace("+", "%2B"), max_num_fields=4)) if keys.count("&") < 4 else {}
    return endpoint, found.get("p256dh", ""), found.get("auth", "")


def _of_json(text: str) -> tuple[str, str, str]:
    try:
        value = json.loads(text)
        found = value["endpoint"], value["keys"]["p256dh"], value["keys"]["auth"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadAddress(ENTER_A_SUBSCRIPTION) from error
    if not all(isinstance(each, str) for each in found):
        raise BadAddress(ENTER_A_SUBSCRIPTION)
    return found


def _endpoint(text: str, services: Collection[str]) -> str:
    """Host in lower case, without the port that https has anyway; nothing but scheme, host and path."""
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise BadAddress(ENTER_A_SUBSCRIPTION) from error
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    is_plain = (
        parts.scheme == "https" and not parts.fragment and "@" not in parts.netloc and port in (None, 443)
    )
    if not is_plain or len(text) > LONGEST_ENDPOINT or not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        raise BadAddress(ENTER_A_SUBSCRIPTION)
    if not is_service(host, services):
        raise BadAddress(NOT_A_PUSH_SERVICE)
    return f"https://{host}{path}"


def _key(text: str, size: int) -> str:
    """One spelling of the octets: base64url without padding. A point must lie on the curve."""
    if not _BASE64URL.fullmatch(text):
        raise BadAddress(ENTER_A_SUBSCRIPTION)
    bare = text.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        octets = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
        if size == POINT_BYTES:
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), octets)
    except (binascii.Error, ValueError) as error:
        raise BadAddress(ENTER_A_SUBSCRIPTION) from error
    if len(octets) != size:
        raise BadAddress(ENTER_A_SUBSCRIPTION)
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
