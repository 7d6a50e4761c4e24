"""Amazon SNS's calls: are they signed by SNS for one of our topics, and confirming that we want them.

Called by `email_ses`. The certificate is fetched from the SNS hosts alone, once, and kept. Sources: "Verifying the
signatures of Amazon SNS messages", "Parsing message formats" and "Message delivery retries" of SNS's developer guide.
"""

import asyncio
import base64
import binascii
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import aiohttp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from channels.errors import CannotVerify
from channels.hook_fields import moment

MAX_BODY = 1_000_000  # a message has at most 256 kB, before JSON escapes it twice
MAX_CERTIFICATE = 20_000
GOOD_FOR = timedelta(minutes=65)  # SNS tries for an hour at most, always with the first time
CLOCKS_APART = timedelta(minutes=5)
FETCH_SECONDS = 5.0
KEPT_SECONDS, FAILED_SECONDS = 24 * 3600.0, 15.0
MOST_KEPT, MOST_AT_ONCE = 16, 4
SMALLEST_KEY = 2048  # bits

T = TypeVar("T")

_HOST = re.compile(r"sns\.[a-z0-9-]{3,}\.amazonaws\.com(?:\.cn)?")
_PEM = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]{1,64}\.pem")
_OWNER = re.compile(r"sns(?:[.-][a-z0-9-]+){0,2}\.amazonaws\.com(?:\.cn)?")


class _Missing(Enum):
    """Why there is no certificate."""

    THERE = "SNS has none there, or what it has is none"
    NOW = "SNS is out of reach"


class Kind(StrEnum):
    """What SNS posts."""

    NOTIFICATION = "Notification"
    CONFIRM = "SubscriptionConfirmation"
    GONE = "UnsubscribeConfirmation"


_SIGNED = {
    Kind.NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    Kind.CONFIRM: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    Kind.GONE: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_HASHES: Mapping[str, Callable[[], hashes.HashAlgorithm]] = {"1": hashes.SHA1, "2": hashes.SHA256}
VERSIONS = tuple(_HASHES)


def fields_of(body: bytes) -> dict[str, str] | None:
    """The call's fields that are text, as all are that are signed; none where it cannot be one of SNS's."""
    if len(body) > MAX_BODY:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {name: value for name, value in found.items() if isinstance(value, str)}


def signed_text(fields: Mapping[str, str]) -> bytes | None:
    """What the signature is over: names and values, each on a line. None where a field is missing."""
    kind = fields.get("Type", "")
    if kind not in list(Kind):
        return None
    names = [name for name in _SIGNED[Kind(kind)] if name != "Subject" or name in fields]
    if any(name not in fields for name in names):
        return None
    return "".join(f"{name}\n{fields[name]}\n" for name in names).encode("utf-8", "surrogatepass")


class Sns:
    """Judges calls for a set of topics. origin: another place for the SNS hosts, for a drill and for tests."""

    def __init__(
        self,
        topics: Collection[str],
        *,
        versions: Collection[str] = ("2",),
        origin: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """versions: of signatures that are believed. Version 1 signs a SHA-1, so it is to be asked for by name."""
        self._topics, self._versions, self._now = frozenset(topics), frozenset(versions), now
        self._origin = origin.rstrip("/")
        self._certificates: OrderedDict[str, tuple[x509.Certificate, float]] = OrderedDict()
        self._failed: OrderedDict[str, tuple[float, _Missing]] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[x509.Certificate | _Missing]] = {}

    async def close(self) -> None:
        """Give up fetches under way. Safe to call twice."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def is_signed(self, fields: Mapping[str, str]) -> bool:
        """Whether SNS signed it, for a topic of ours and within the hour. CannotVerify where SNS is out of reach.

        All that costs nothing is looked at before a certificate is fetched.
        """
        signed, algorithm = signed_text(fields), fields.get("SignatureVersion", "")
        signature = _octets(fields.get("Signature", ""))
        if signed is None or not signature or algorithm not in self._versions:
            return False
        at, now = moment(fields["Timestamp"]), self._now()
        if at is None or not now - GOOD_FOR <= at <= now + CLOCKS_APART:
            return False
        if fields["TopicArn"] not in self._topics:
            return False
        certificate = await self._certificate(fields.get("SigningCertURL", ""))
        if certificate is None or not _is_good(certificate, now):
            return False
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < SMALLEST_KEY:
            return False
        try:
            key.verify(signature, signed, padding.PKCS1v15(), _HASHES[algorithm]())
        except InvalidSignature:
            return False
        return True

    async def confirm(self, fields: Mapping[str, str]) -> bool:
        """Tell SNS that we want what the topic says: a GET of the address in a confirmation that `is_signed`.

        CannotVerify where SNS is out of reach, so that it asks again.
        """
        url = fields.get("SubscribeURL", "")
        asked = parse_qs(urlsplit(url).query)
        if asked.get("Action") != ["ConfirmSubscription"] or asked.get("TopicArn") != [fields["TopicArn"]]:
            return False
        return _is_of_sns(url) and await self._get(url) is not None

    # --- Certificates ---------------------------------------------------------------------

    async def _certificate(self, url: str) -> x509.Certificate | None:
        """The certificate at an address of SNS's; fetched once however many ask at the same time."""
        if not _is_of_sns(url) or not _PEM.fullmatch(urlsplit(url).path) or urlsplit(url).query:
            return None
        kept = self._certificates.get(url)
        if kept is not None and kept[1] > time.monotonic():
            return kept[0]
        task = self._under_way.get(url)
        if task is None:
            until, failure = self._failed.get(url, (0.0, _Missing.THERE))
            if until > time.monotonic():
                return _or_raise(failure)
            if len(self._under_way) >= MOST_AT_ONCE:
                raise CannotVerify
            task = asyncio.create_task(self._fetch(url))
            self._under_way[url] = task
            task.add_done_callback(lambda _: self._under_way.pop(url, None))
        try:
            return _or_raise(await asyncio.shield(task))  # others may wait for it too
        except asyncio.CancelledError:
            if task.cancelled():  # we are closing
                raise CannotVerify from None
            raise

    async def _fetch(self, url: str) -> x509.Certificate | _Missing:
        """Raises nothing, for nobody may be left to hear it."""
        try:
            pem = await self._get(url)
            found = x509.load_pem_x509_certificate(pem) if pem else _Missing.THERE
        except CannotVerify:
            found = _Missing.NOW
        except ValueError:
            found = _Missing.THERE
        if isinstance(found, _Missing):
            _remember(self._failed, url, (time.monotonic() + FAILED_SECONDS, found))
        else:
            _remember(self._certificates, url, (found, time.monotonic() + KEPT_SECONDS))
        return found

    async def _get(self, url: str) -> bytes | None:
        """What is there, where it is there and small: no redirect is followed, nothing is unpacked.

        CannotVerify where it cannot be known.
        """
        parts, headers = urlsplit(url), {"Accept-Encoding": "identity"}
        if self._origin:
            headers["Host"] = parts.netloc
            url = f"{self._origin}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        found = b""
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                ) as session,
                session.get(url, allow_redirects=False, headers=headers) as answer,
            ):
                if answer.status >= 500 or answer.status == 429:
                    raise CannotVerify
                if answer.status != 200:
                    return None
                async for chunk in answer.content.iter_chunked(4096):
                    found += chunk
                    if len(found) > MAX_CERTIFICATE:
                        return None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CannotVerify from error
        return found


def _or_raise(found: x509.Certificate | _Missing) -> x509.Certificate | None:
    if found is _Missing.NOW:
        raise CannotVerify
    return None if found is _Missing.THERE else found


def _is_of_sns(url: str) -> bool:
    """Whether it is an https address, without port or user, of a host of SNS's."""
    if len(url) > 2000 or not url.isascii() or not url.isprintable():
        return False
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    is_plain = parts.netloc in (parts.hostname, f"{parts.hostname}:443") and not parts.fragment
    return (
        parts.scheme == "https"
        and port in (None, 443)
        and is_plain
        and bool(_HOST.fullmatch(parts.hostname or ""))
    )


def _is_good(certificate: x509.Certificate, now: datetime) -> bool:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    is_sns = len(names) == 1 and bool(_OWNER.fullmatch(str(names[0].value)))
    return is_sns and certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _octets(signature: str) -> bytes:
    """The signature's octets; none where it is not base64 in its one spelling."""
    try:
        found = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return found if base64.b64encode(found).decode() == signature else b""


def _remember(kept: OrderedDict[str, T], url: str, value: T) -> None:
    kept[url] = value
    kept.move_to_end(url)
    while len(kept) > MOST_KEPT:
        kept.popitem(last=False)
