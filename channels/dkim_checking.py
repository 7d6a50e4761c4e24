"""Whether a mail's DKIM signatures hold, against the keys that DNS gives for them.

Pure; `notifier doctor email` asks it about mail of ours before it leaves. Sources: RFC 6376 §6 (verifying), 8301
(SHA-1 is no proof, nor is a key under 1,024 bits), 8463 (Ed25519).
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

LEAST_BITS = 1024
MOST_SIGNATURES = 10

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\r\n]|\r\n[ \t])*)\r\n")
_OWN_VALUE = re.compile(rb"((?:^|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_DOMAIN = re.compile(r"[A-Za-z0-9._-]{4,253}")
_SPACE = re.compile(rb"[ \t\r\n]+")

Key = rsa.RSAPublicKey | ed25519.Ed25519PublicKey


class NoKey(ValueError):
    """The record in DNS holds no key that a signature can be checked with."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One DKIM-Signature header, read but not checked. tags: its values by name, without white space."""

    tags: Mapping[str, str]
    line: bytes
    value: bytes

    @property
    def record_name(self) -> str:
        """Where in DNS its key stands."""
        return f"{self.tags.get('s', '')}._domainkey.{self.tags.get('d', '')}"

    @property
    def covered(self) -> Sequence[str]:
        """The names of the headers it binds, in lower case."""
        return [name.lower() for name in self.tags.get("h", "").split(":") if name]


def signatures_of(mail: bytes) -> list[Signature]:
    """The signatures of a mail, from the top."""
    fields, _ = _parts(mail)
    return [
        Signature(tags=_tags(value), line=line, value=value)
        for name, line, value in fields
        if name == b"dkim-signature"
    ][:MOST_SIGNATURES]


def read_key(record: str) -> Key:
    """The public key of a TXT record. NoKey says what is wrong with it."""
    tags = _tags(record.encode())
    if tags.get("v", "DKIM1") != "DKIM1":
        raise NoKey("the record is of another version")
    if not tags.get("p"):
        raise NoKey("the key has been taken back" if "p" in tags else "the record holds no key")
    try:
        octets = base64.b64decode(tags["p"], validate=True)
        if tags.get("k", "rsa") == "ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(octets)
        key = serialization.load_der_public_key(octets)
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise NoKey("the key in the record cannot be read") from error
    if not isinstance(key, rsa.RSAPublicKey) or tags.get("k", "rsa") != "rsa":
        raise NoKey("the key in the record is of another kind than it says")
    return key


def fault_of(mail: bytes, signature: Signature, record: str) -> str:
    """Why the signature does not hold with the key in that TXT record; empty where it does."""
    tags = signature.tags
    fields, body = _parts(mail)
    method, _, digest = tags.get("a", "").partition("-")
    head_form, _, body_form = tags.get("c", "simple").partition("/")
    forms = (head_form, body_form or "simple")
    if tags.get("v") != "1" or digest != "sha256" or not set(forms) <= {"simple", "relaxed"}:
        return "it is of a kind that receivers do not accept"
    if not _DOMAIN.fullmatch(signature.record_name):
        return "its key can stand nowhere in DNS"
    if "from" not in signature.covered or not _is_within(tags.get("i", ""), tags.get("d", "")):
        return "it does not cover From, or speaks for another domain"
    try:
        key = read_key(record)
        bound, signed = base64.b64decode(tags.get("bh", "")), base64.b64decode(tags.get("b", ""))
        length = int(tags["l"]) if "l" in tags else None
    except NoKey as error:
        return str(error)
    except ValueError:
        return "its values cannot be read"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_BITS:
        return f"its key has {key.key_size} bits, too few to prove anything"
    if sha256(_body(body, forms[1])[:length]).digest() != bound:
        return "the text was changed after it was signed"
    return "" if _holds(key, method, signed, _covered(fields, signature, forms[0])) else _CHANGED


_CHANGED = "the headers were changed after they were signed, or the key in DNS is another one"


def _holds(key: Key, method: str, signed: bytes, what: bytes) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signed, what, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signed, sha256(what).digest())
    except InvalidSignature:
        return False
    return method == ("rsa" if isinstance(key, rsa.RSAPublicKey) else "ed25519")


def _parts(mail: bytes) -> tuple[list[tuple[bytes, bytes, bytes]], bytes]:
    """Headers as (lower-case name, whole line, value), and the body; line ends made CRLF."""
    whole = re.sub(rb"\r?\n", b"\r\n", mail)
    head, _, body = whole.partition(b"\r\n\r\n")
    found = [(m[1].lower(), m[0], m[2]) for m in _FIELD.finditer(head + b"\r\n")]
    return found, body


def _tags(value: bytes) -> dict[str, str]:
    """`name=value; name=value` (RFC 6376 §3.2), white space taken out, as none of the values read here holds any."""
    pairs = (pair.partition(b"=") for pair in value.split(b";"))
    return {_bare(name): _bare(rest) for name, equals, rest in pairs if equals}


def _bare(octets: bytes) -> str:
    return _SPACE.sub(b"", octets).decode("utf-8", "replace")


def _is_within(identity: str, domain: str) -> bool:
    host = identity.rpartition("@")[2].lower()
    return bool(domain) and (not identity or host == domain.lower() or host.endswith(f".{domain.lower()}"))


def _covered(fields: Sequence[tuple[bytes, bytes, bytes]], signature: Signature, form: str) -> bytes:
    """What was signed of the headers: the lowest of a name first (RFC 6376 §5.4.2), the signature itself last."""
    left = [field for field in fields if field[1] != signature.line]
    chosen = []
    for name in signature.covered:
        at = next((at for at in range(len(left) - 1, -1, -1) if left[at][0] == name.encode()), None)
        if at is not None:
            chosen.append(_line(*left.pop(at), form))
    value = _OWN_VALUE.sub(rb"\1", signature.value)
    whole = signature.line.partition(b":")[0] + b":" + value + b"\r\n"
    own = _line(b"dkim-signature", whole, value, form)
    return b"".join([*chosen, own.removesuffix(b"\r\n")])


def _line(name: bytes, line: bytes, value: bytes, form: str) -> bytes:
    if form == "simple":
        return line
    return name + b":" + _SPACE.sub(b" ", value).strip() + b"\r\n"


def _body(body: bytes, form: str) -> bytes:
    if form == "relaxed":
        body = re.sub(rb" +\r\n", b"\r\n", re.sub(rb"[ \t]+", b" ", body))
    kept = body.rstrip(b"\r\n")
    if kept or form == "simple":
        return kept + b"\r\n"
    return b""
