"""Signing mail with DKIM as it leaves, for `email_smtp`. Most relays sign themselves; this is for those that do not.

Pure but for reading the key. Sources: RFC 6376 (relaxed/relaxed), 8301 (no SHA-1, keys of 2,048 bits), 8463 (Ed25519),
8058 §4 (the two unsubscribe headers must be covered). The key is read once and the mails are our own, so a signature
costs little more than its arithmetic: about 30 µs by Ed25519, half a millisecond by RSA.
"""

import base64
import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

LEAST_BITS = 2048
# What is signed where it is there, in this order. Nothing that a relay writes or alters on its way.
COVERED = (
    *("from", "to", "subject", "date", "message-id", "reply-to", "in-reply-to", "references"),
    *("list-unsubscribe", "list-unsubscribe-post", "list-id", "feedback-id", "auto-submitted"),
    *("content-language", "mime-version", "content-type", "content-transfer-encoding"),
)
# Signed once more than they are there, so that none can be added (RFC 6376 §8.15).
CLOSED = ("from", "to", "cc", "subject", "date", "reply-to", "content-type")

_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_FOLDED = 72
_RUNS = re.compile(rb"[ \t]+")
_TRAILING = re.compile(rb" +\r\n")

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class Signer:
    """Signs for one domain with one key."""

    def __init__(self, domain: str, selector: str, key: PrivateKey) -> None:
        """domain: the one in From, so that DMARC finds the two aligned. ValueError for names that cannot be looked up."""
        for name in (domain, selector):
            if not _DOMAIN.fullmatch(name):
                raise ValueError("is no name that can stand in DNS")
        self.domain, self.selector, self._key = domain, selector, key
        method = "rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ed25519-sha256"
        self._begins = f"v=1; a={method}; c=relaxed/relaxed;\r\n d={domain}; s={selector};"

    @classmethod
    def of_file(cls, domain: str, selector: str, path: str) -> Self:
        """With the private key in a PEM file. ValueError says what is wrong with it, and nothing of the key."""
        try:
            key = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError("holds no private key in PEM form without a password") from error
        if isinstance(key, rsa.RSAPrivateKey) and key.key_size < LEAST_BITS:
            raise ValueError(f"holds an RSA key of {key.key_size} bits; receivers want {LEAST_BITS}")
        if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
            raise ValueError("holds a key that is neither RSA nor Ed25519")  # noqa: TRY004 - of what a file holds
        return cls(domain, selector, key)

    @property
    def record(self) -> str:
        """What must stand in DNS as TXT at SELECTOR._domainkey.DOMAIN."""
        public = self._key.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            octets, kind = public.public_bytes_raw(), "ed25519"
        else:
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            octets, kind = public.public_bytes(serialization.Encoding.DER, form), "rsa"
        return f"v=DKIM1; k={kind}; p={base64.b64encode(octets).decode()}"

    def signed(self, mail: bytes) -> bytes:
        """The same mail, its signature before it. Whole CRLF lines, each header once, as `mime` writes them."""
        head, _, body = mail.partition(b"\r\n\r\n")
        fields = _fields(head)
        names, covered = _covered(tuple(fields))
        bound = base64.b64encode(sha256(_relaxed_body(body)).digest()).decode()
        ours = f"{self._begins}\r\n h={covered};\r\n bh={bound};\r\n b="
        lines = [name + b":" + fields[name] for name in names]
        lines.append(b"dkim-signature:" + ours.replace("\r\n ", " ").encode())
        signature = base64.b64encode(self._sign(b"\r\n".join(lines))).decode()
        return f"DKIM-Signature: {ours}{_folded(signature)}\r\n".encode() + mail

    def _sign(self, what: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(what, padding.PKCS1v15(), hashes.SHA256())
        return self._key.sign(sha256(what).digest())  # RFC 8463 §3: of the digest


@lru_cache(maxsize=64)
def _covered(there: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], str]:
    """Which headers are signed, of those that are there; and the names as the signature lists them, folded."""
    names = [name for name in COVERED if name.encode() in there]
    lines = [""]
    for name in [*names, *CLOSED]:
        lines[-1] += f"{name}:"
        if len(lines[-1]) > _FOLDED - 26:  # the longest name
            lines.append("")
    return tuple(name.encode() for name in names), "\r\n ".join(line for line in lines if line).removesuffix(
        ":"
    )


def _fields(head: bytes) -> dict[bytes, bytes]:
    """Header lines in relaxed form, by name: unfolded, single spaces, nothing at the ends (RFC 6376 §3.4.2)."""
    unfolded = head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    found = {}
    for line in unfolded.split(b"\r\n"):
        name, _, value = line.partition(b":")
        found[name.lower()] = b" ".join(value.split())
    return found


def _relaxed_body(body: bytes) -> bytes:
    """In relaxed form (RFC 6376 §3.4.4). Most of what we write is that already, and looking is quick."""
    if b"  " in body or b"\t" in body or b" \r\n" in body:
        body = _TRAILING.sub(b"\r\n", _RUNS.sub(b" ", body))
    kept = body.rstrip(b"\r\n")
    return kept + b"\r\n" if kept else b""


def _folded(signature: str) -> str:
    """The last value on several lines; how it is folded is not part of what is signed (RFC 6376 §3.5)."""
    return "\r\n ".join(signature[at : at + _FOLDED] for at in range(0, len(signature), _FOLDED))
