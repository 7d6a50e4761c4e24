"""A stand-in for push services and the browsers behind them: it checks who we are, decrypts, and shows notifications.

A device makes a subscription as a browser does; what the service takes for it is decrypted with the device's own
private key, so that a copy is `shown` only if everything from the VAPID token (RFC 8292) to the encryption (RFC 8291)
was right. A notification replaces the one of its tag. The other way round: a device that is off keeps what waits
under its topic (RFC 8030 section 5.4).
"""

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import http_ece
from aiohttp import web
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.fakes.ledger import Ledger
from tests.fakes.web import Answer, FakeWeb, Trouble, trouble

ORIGIN = "https://updates.push.services.mozilla.com"
LONGEST_BODY = 4096
GONE = Answer(status=410, body={"code": 410, "errno": 106, "message": "No such subscription"})
NOT_FOUND = Answer(status=404, body={"code": 404, "errno": 102, "message": "Invalid URL endpoint"})
TOO_LONG = Answer(status=413, body={"code": 413, "errno": 104, "message": "Data payload too large"})
MISMATCH = Answer(status=401, body={"code": 401, "errno": 109, "message": "VAPID public key mismatch"})
BAD_TOKEN = Answer(status=403, body={"reason": "BadJwtToken"})
BROKEN = Answer(status=503, body={"code": 503, "errno": 201, "message": "Use exponential back-off"})


def throttled(seconds: int) -> Answer:
    return Answer(
        status=429, body={"code": 429, "message": "Too many"}, headers={"Retry-After": str(seconds)}
    )


def text64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def octets64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True, kw_only=True)
class AcceptedPush:
    """One push that was taken, as its device reads it. to: as we spell it. ttl, urgency, topic: its headers."""

    to: str
    endpoint: str
    words: dict[str, Any]
    ttl: int
    urgency: str
    topic: str


@dataclass(kw_only=True, eq=False)
class Device:
    """A browser that is subscribed. tray: the notifications it shows, by tag. waiting: for when it is on again."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey
    auth: bytes
    server_key: str
    is_on: bool = True
    tray: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def keys(self) -> dict[str, str]:
        form = serialization.PublicFormat.UncompressedPoint
        point = self.key.public_key().public_bytes(serialization.Encoding.X962, form)
        return {"p256dh": text64(point), "auth": text64(self.auth)}

    @property
    def subscription(self) -> dict[str, Any]:
        """As the browser's `toJSON()` gives it."""
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": self.keys}

    @property
    def address(self) -> str:
        """As we spell it."""
        return f"{self.endpoint}#p256dh={self.keys['p256dh']}&auth={self.keys['auth']}"

    def wake(self) -> None:
        self.is_on = True
        for words in self.waiting.values():
            self.tray[words["tag"]] = words
        self.waiting.clear()


class FakePush(FakeWeb):
    """`async with FakePush() as push:`; scripts are for the next pushes, or by a device's endpoint.

    The devices of the demo's residents are known to it.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, log: Path | None = None) -> None:
        super().__init__(host=host, port=port)
        self.accepted: Ledger[AcceptedPush] = Ledger(log)
        self.devices: dict[str, Device] = {}
        self.refused: list[str] = []

    def subscribe(self, server_key: str = "", *, endpoint: str = "") -> Device:
        """What a browser does when its reader says yes. server_key: the site's public key; empty takes any."""
        made = Device(
            endpoint=endpoint or f"{ORIGIN}/wpush/v2/{secrets.token_urlsafe(24)}",
            key=ec.generate_private_key(ec.SECP256R1()),
            auth=secrets.token_bytes(16),
            server_key=server_key,
        )
        return self.add(made)

    def add(self, device: Device) -> Device:
        self.devices[urlsplit(device.endpoint).path] = device
        return device

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/{path:.+}", self._take)]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        device = self.devices.get(request.path) or self._of_the_demo(request.path)
        answer = self.scripted(device.endpoint if device else "", "send")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer in (Trouble.HANG, Trouble.FAIL_AS_HTML):
            return await trouble(answer, request)
        if device is None:
            return _reply(GONE)
        body = await request.read()
        refused = _refused(request, device, body)
        if refused is not None:
            self.refused.append(str(refused.body))
            return _reply(refused)
        self._show(request, device, _decrypted(device, body))
        if answer is not None:
            return await trouble(answer, request)
        where = f"{ORIGIN}/m/{secrets.token_urlsafe(12)}"
        return web.Response(status=201, headers={"Location": where, "TTL": request.headers["TTL"]})

    def _of_the_demo(self, path: str) -> Device | None:
        """Of a resident of `notifier/cli/borough.py`: their number says which key they have."""
        number = path.removeprefix("/wpush/v2/resident")
        if number == path or not number.isdigit():
            return None
        key = ec.derive_private_key(1000 + int(number), ec.SECP256R1())
        return self.add(Device(endpoint=f"{ORIGIN}{path}", key=key, auth=bytes(16), server_key=""))

    def _show(self, request: web.Request, device: Device, words: dict[str, Any]) -> None:
        taken = AcceptedPush(
            to=device.address,
            endpoint=device.endpoint,
            words=words,
            ttl=int(request.headers["TTL"]),
            urgency=request.headers.get("Urgency", "normal"),
            topic=request.headers.get("Topic", ""),
        )
        self.accepted.add(taken, {"to": device.address, "text": words["body"], "words": words})
        if device.is_on:
            device.tray[words["tag"]] = words
        else:
            device.waiting[taken.topic or str(len(self.accepted))] = words


def _refused(request: web.Request, device: Device, body: bytes) -> Answer | None:
    """What a push service checks before it takes anything, and what only the device would notice."""
    if len(body) > LONGEST_BODY:
        return TOO_LONG
    topic = request.headers.get("Topic", "")
    is_sound = request.headers.get("Content-Encoding") == "aes128gcm" and request.headers["TTL"].isdigit()
    if not is_sound or len(topic) > 32 or not topic.replace("-", "").replace("_", "").isalnum():
        return Answer(status=400, body={"code": 400, "errno": 110, "message": "Bad headers"})
    fault, key = _faults_of_token(request.headers.get("Authorization", ""), device)
    if fault:
        return Answer(status=401, body={"code": 401, "errno": 109, "message": fault})
    if device.server_key and key != device.server_key:
        return MISMATCH
    try:
        _decrypted(device, body)
    except (http_ece.ECEException, InvalidTag, ValueError, KeyError) as error:
        return Answer(status=400, body={"code": 400, "message": f"the device cannot read it: {error!r}"})
    return None


def _decrypted(device: Device, body: bytes) -> dict[str, Any]:
    plain = http_ece.decrypt(body, private_key=device.key, auth_secret=device.auth, version="aes128gcm")
    words: dict[str, Any] = json.loads(plain)
    return words


def _faults_of_token(header: str, device: Device) -> tuple[str, str]:
    """(what is wrong with a VAPID token, or nothing; the key it came with). Read by hand, not by what made it."""
    scheme, _, rest = header.partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
    token, key = parts.get("t", ""), parts.get("k", "")
    if scheme.lower() != "vapid" or token.count(".") != 2:
        return "no token", key
    signed, _, signature = token.rpartition(".")
    r_and_s = octets64(signature)
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), octets64(key))
    der = encode_dss_signature(int.from_bytes(r_and_s[:32]), int.from_bytes(r_and_s[32:]))
    try:
        point.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return "signature", key
    claims = json.loads(octets64(signed.partition(".")[2]))
    parts_of = urlsplit(device.endpoint)
    if claims["aud"] != f"{parts_of.scheme}://{parts_of.netloc}":
        return "aud", key
    if not time.time() < claims["exp"] <= time.time() + 24 * 3600:
        return "exp", key
    return ("" if str(claims["sub"]).startswith(("mailto:", "https:")) else "sub"), key


def _reply(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
