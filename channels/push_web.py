"""Notifications in browsers, on phones and computers (Web Push), encrypted by pywebpush and sent over our own session.

The words are readable to the device alone (RFC 8291, aes128gcm); push services know us by a key (VAPID, RFC 8292).
A second try of one delivery replaces the first: at the push service by its Topic (RFC 8030 section 5.4), on the
device by the notification's tag, so that its reader has it once. The extra `push` brings pywebpush.
"""

import base64
import hashlib
import importlib
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Self

from aiohttp import ClientResponse
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from channels import addresses, estimates, push_address, vapid
from channels.base import (
    Accepted,
    Capabilities,
    Content,
    Estimate,
    Failed,
    Hole,
    Idempotency,
    Medium,
    Outcome,
    Outgoing,
    Prepared,
    Refusal,
    Refused,
    Throttled,
    Variable,
    filled,
)
from channels.errors import BadAddress, CannotExpress, NotConfigured
from channels.http import DEFAULT_WAIT_SECONDS, TROUBLE, Session, outcome_of
from channels.one_medium import OneMedium
from channels.push_address import PUSH_SERVICES, Subscription
from channels.words import joined, json_pieces

# A push service need take no body above 4,096 octets (RFC 8030 section 7.2), of which encryption takes 103.
LONGEST_PAYLOAD, LONGEST_TEXT = 3993, 3000
TOKEN_GOOD_FOR, TOKEN_RENEWED = (
    12 * 3600,
    3600,
)  # seconds; a service refuses what is good for more than 24 hours
ALERT_SECONDS, OTHER_SECONDS = 6 * 3600, 24 * 3600  # how long a service keeps it for a device that is off

# A push service's status → what it means for us. A 4xx that is not here: the words.
REFUSALS = {
    400: Refusal.CONTENT,
    401: Refusal.NOT_ALLOWED,
    403: Refusal.NOT_ALLOWED,
    404: Refusal.BAD_ADDRESS,
    410: Refusal.BAD_ADDRESS,  # gone: switched off in the browser, or the browser itself
    413: Refusal.CONTENT,
}
THROTTLED = 406  # so Windows says it
# A subscription made for another key than ours says nothing of our key: Chrome's, Firefox's and Apple's words for it.
_OF_ANOTHER_KEY = re.compile(r"do(?:es)? not correspond|key mismatch|VapidPkHashMismatch", re.IGNORECASE)
_LONGEST_ID = 200


class PushWeb(OneMedium):
    """Pushes to the subscriptions that browsers made for our key."""

    name = "push_web"
    medium, called = Medium.PUSH, "push messages"
    capabilities = Capabilities(
        media=frozenset({Medium.PUSH}),
        replies=False,
        receipts=False,
        html=False,
        max_text=LONGEST_TEXT,
        idempotency=Idempotency.CLIENT_ID,
        slot_rows=5,
        timeout_seconds=15,
        names_attempt=False,
    )
    variables = (
        Variable(
            name="NOTIFIER_PUSH_VAPID_KEY",
            meaning="Our private key for push services; `notifier push-key` makes one",
            secret=True,
            required=True,
        ),
        Variable(
            name="NOTIFIER_PUSH_CONTACT",
            meaning="Whom a push service writes to about us: mailto:NAME@DOMAIN or https://…",
            required=True,
        ),
        Variable(
            name="NOTIFIER_PUSH_SERVICES",
            meaning="Hosts of push services that may be called, separated by commas; *. is any host below",
            default=",".join(PUSH_SERVICES),
        ),
        Variable(
            name="NOTIFIER_PUSH_URL",
            meaning="Where every push goes instead, for a drill against a stand-in",
        ),
    )

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        contact: str,
        *,
        services: Collection[str] = PUSH_SERVICES,
        url: str = "",
        timeout_seconds: float = 15,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._services, self._contact, self._clock = tuple(services), contact, clock
        self._session = Session(url, total_seconds=timeout_seconds, connect_seconds=timeout_seconds / 2)
        self._tokens: dict[str, tuple[str, float]] = {}
        self._encrypt, self._signer = _library(key)
        self.public_key = vapid.public_key(key)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        for variable in cls.variables:
            if variable.required and not env.get(variable.name):
                raise NotConfigured(cls.name, variable.name)
        try:
            key = vapid.read_key(env["NOTIFIER_PUSH_VAPID_KEY"])
        except vapid.BadKey as error:
            raise NotConfigured(
                cls.name, "NOTIFIER_PUSH_VAPID_KEY", "is no key of `notifier push-key`"
            ) from error
        contact = env["NOTIFIER_PUSH_CONTACT"].strip()
        if not vapid.is_contact(contact):
            raise NotConfigured(cls.name, "NOTIFIER_PUSH_CONTACT", "must be mailto:NAME@DOMAIN or https://…")
        hosts = [host.strip().lower() for host in env.get("NOTIFIER_PUSH_SERVICES", "").split(",")]
        services = [host for host in hosts if host]
        return cls(key, contact, services=services or PUSH_SERVICES, url=env.get("NOTIFIER_PUSH_URL", ""))

    async def close(self) -> None:
        await self._session.close()

    def normalise(self, address: str, medium: Medium) -> str:
        if medium is not self.medium:
            raise BadAddress(f"{self.name} carries {self.called} alone")
        return addresses.endpoint(address, self._services)

    def estimate(self, content: Content) -> Estimate:
        return estimates.estimate(content)

    def prepare(self, content: Content) -> Prepared:
        """One JSON object, which the service worker of the pages shows."""
        self.require_fit(content)
        over = len(content.text.strip().encode()) - LONGEST_TEXT
        if over > 0:
            raise CannotExpress(f"{over} bytes too long for a push message")
        pieces = joined(_payload(content))
        if sum(len(piece) for piece in pieces if isinstance(piece, bytes)) > LONGEST_PAYLOAD:
            raise CannotExpress("Too long for a push message")
        return Prepared(medium=content.medium, language=content.language, pieces=pieces)

    async def send(self, message: Outgoing) -> Outcome:
        topic = topic_of(message.delivery)
        words = filled(message)
        if isinstance(words, Refused):
            return words
        copy = _with_tag(words, topic, urgent=message.urgent)
        if len(copy) > LONGEST_PAYLOAD:
            return Refused(why=Refusal.CONTENT, reason="too long for a push message")
        try:
            to = push_address.read(message.to, self._services)
            body = self._encrypt(to, copy)
        except (BadAddress, ValueError):
            return Refused(why=Refusal.BAD_ADDRESS, reason="no subscription of a push service that we know")
        where = URL(to.endpoint, encoded=True)  # as the browser gave it: its spelling is its name
        headers = {
            "Authorization": self._token(to.origin),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(_seconds_kept(message)),
            "Urgency": "high" if message.urgent else "normal",
            "Topic": topic,
        }
        try:
            async with self._session.request("POST", where, data=body, headers=headers) as response:
                return await _outcome(response, topic)
        except TROUBLE as trouble:
            return outcome_of(trouble)

    def _token(self, origin: str) -> str:
        """The header that says who we are: one for each push service, kept for some hours."""
        token, until = self._tokens.get(origin, ("", 0.0))
        now = self._clock()
        if until - now < TOKEN_RENEWED:
            until = now + TOKEN_GOOD_FOR
            token = self._signer({"aud": origin, "sub": self._contact, "exp": int(until)})
            self._tokens[origin] = token, until
        return token


def topic_of(delivery: str) -> str:
    """32 characters of base64url that stand for one delivery (RFC 8030 section 5.4), and tell nothing of it."""
    return base64.urlsafe_b64encode(hashlib.sha256(delivery.encode()).digest()[:24]).decode()


def _payload(content: Content) -> Iterator[bytes | Hole]:
    """title, body, lang, url, actions: with `_with_tag`, what `push-worker.js` reads."""
    yield b'{"title": '
    yield from json_pieces(content.sender_name)
    yield b', "body": '
    yield from json_pieces(content.text.strip())
    yield b', "lang": '
    yield from json_pieces(content.language)
    yield b', "url": '
    yield from json_pieces(content.link)
    yield b', "actions": ['
    for number, (words, link) in enumerate(content.actions):
        yield b', {"title": ' if number else b'{"title": '
        yield from json_pieces(words)
        yield b', "url": '
        yield from json_pieces(link)
        yield b"}"
    yield b"]}"


def _with_tag(words: bytes, tag: str, *, urgent: bool) -> bytes:
    """What differs from try to try of one recipient; the words are the message's alone."""
    return words[:-1] + f', "tag": "{tag}", "urgent": "{"yes" if urgent else ""}"}}'.encode()


def _seconds_kept(message: Outgoing) -> int:
    """As long as the words are worth something; 0 would be now or never, and whoever is out of reach misses it."""
    usual = ALERT_SECONDS if message.urgent else OTHER_SECONDS
    return max(int(usual if message.good_for_seconds is None else message.good_for_seconds), 60)


async def _outcome(response: ClientResponse, topic: str) -> Outcome:
    """What an answer below 429 means. Its words are read where they decide, and never repeated."""
    status = response.status
    if 200 <= status < 300:
        where = response.headers.get("Location", "")
        is_fit = 0 < len(where) <= _LONGEST_ID and where.isascii() and where.isprintable()
        return Accepted(provider_id=where if is_fit else topic)
    if status == THROTTLED:
        return Throttled(after_seconds=DEFAULT_WAIT_SECONDS, code=str(status))
    if status < 400:
        return Failed(reason=f"turned away with {status}", code=str(status))
    why = REFUSALS.get(status, Refusal.CONTENT)
    if status in (400, 401, 403) and _OF_ANOTHER_KEY.search(await response.text(errors="replace")):
        return Refused(why=Refusal.BAD_ADDRESS, reason="subscribed for another key", code=str(status))
    return Refused(why=why, reason=f"the push service answered {status}", code=str(status))


def _library(
    key: ec.EllipticCurvePrivateKey,
) -> tuple[Callable[[Subscription, bytes], bytes], Callable[[Mapping[str, Any]], str]]:
    """Encrypting and signing by pywebpush and its py_vapid, which are an extra: imported when a channel is made.

    ValueError where a subscription's keys are none.
    """
    try:
        library, tokens = importlib.import_module("pywebpush"), importlib.import_module("py_vapid")
        broken = (library.WebPushException, importlib.import_module("http_ece").ECEException)
    except ImportError as error:
        raise NotConfigured(
            PushWeb.name, "pywebpush", "is not installed: install the extra `push`"
        ) from error
    signer = tokens.Vapid02(private_key=key)

    def encrypt(to: Subscription, payload: bytes) -> bytes:
        keys = {"p256dh": to.p256dh, "auth": to.auth}
        try:
            found: bytes = library.WebPusher({"endpoint": to.endpoint, "keys": keys}).encode(payload)["body"]
        except broken as error:
            raise ValueError("keys that nothing can be encrypted for") from error
        return found

    def sign(claims: Mapping[str, Any]) -> str:
        return str(signer.sign(dict(claims))["Authorization"])

    return encrypt, sign
