"""Notifications on a device: what the small script of an area's page asks, in JSON, and the files a browser needs.

Nothing is asked of the person, so nothing is: the browser's subscription is all that comes. It holds keys that only
that browser knows, which is why bringing it is proof enough to see and change what it gets. No cookie takes part.
"""

from datetime import timedelta
from typing import Annotated, Any, TypeVar

import structlog
from aiohttp import web
from pydantic import AfterValidator, BaseModel, Field

from channels.base import HasPublicKey, Medium
from channels.errors import BadAddress
from channels.push_address import LONGEST_ENDPOINT, Subscription
from notifier.broadcast import devices
from notifier.broadcast.devices import Standing
from notifier.delivery.counters import CountersLost
from notifier.runtime import Service
from notifier.web.api.strict import Body, NotAsked, checked
from notifier.web.service import database, service, settings
from notifier.web.static_files import asset
from notifier.web.text_limit import visitor_of
from templates.languages import NAMES

log = structlog.get_logger()

COUNT = "push-sign-ups"
WINDOW = timedelta(hours=1)
MOST_AN_HOUR, MOST_OF_A_VISITOR = 3000, 30
MANIFEST = "application/manifest+json"

Model = TypeVar("Model", bound=BaseModel)


def _offered(language: str) -> str:
    if language not in NAMES:
        raise ValueError("a language that we offer")
    return language


class KeysBody(Body):
    """Of the browser's `toJSON()`."""

    p256dh: Annotated[str, Field(max_length=120)]
    auth: Annotated[str, Field(max_length=60)]


class SubscriptionBody(Body):
    """Of the browser's `toJSON()`, without the time it may run out."""

    endpoint: Annotated[str, Field(max_length=LONGEST_ENDPOINT)]
    keys: KeysBody


class Device(Body):
    """A device. language: of the page it was turned on from."""

    subscription: SubscriptionBody
    language: Annotated[str, AfterValidator(_offered)] = "en"


class Renewal(Body):
    """A new subscription in place of an old one."""

    old: SubscriptionBody
    new: SubscriptionBody


def offered_key(known: Service) -> str:
    """What a browser subscribes to, or nothing where notifications cannot be had: a demonstration sends to nobody."""
    if known.settings.demo:
        return ""
    channel = known.channels.carrying(Medium.PUSH)
    return channel.public_key if isinstance(channel, HasPublicKey) else ""


async def turn_on(request: web.Request) -> web.Response:
    """POST: tell this device of this area."""
    sent = await _read(request, Device)
    address = _address(request, sent.subscription)
    await _require_room(request)
    async with database(request).transaction() as tx:
        found = await devices.turn_on(
            tx,
            address,
            request.match_info["code"],
            language=sent.language,
            public_url=settings(request).public_url,
        )
    return _answer(found)


async def turn_off(request: web.Request) -> web.Response:
    """POST: tell this device no more of this area."""
    address = _address(request, (await _read(request, Device)).subscription)
    async with database(request).transaction() as tx:
        code, public_url = request.match_info["code"], settings(request).public_url
        found = await devices.turn_off(tx, address, code, public_url=public_url)
    return _answer(found)


async def state(request: web.Request) -> web.Response:
    """POST: what this device gets. Not GET, for what it brings must stand in no address and no log."""
    address = _address(request, (await _read(request, Device)).subscription)
    async with database(request).transaction(read_only=True) as tx:
        found = await devices.standing(tx, address, public_url=settings(request).public_url)
    return _answer(found)


async def renew(request: web.Request) -> web.Response:
    """POST: the browser has a new subscription; what it got goes on there."""
    sent = await _read(request, Renewal)
    old, new = _address(request, sent.old), _address(request, sent.new)
    await _require_room(request)
    async with database(request).transaction() as tx:
        found = await devices.renew(tx, old, new, public_url=settings(request).public_url)
    return _answer(found)


async def manifest(request: web.Request) -> web.Response:
    """GET: what an iPhone needs to know before a page may show notifications. It starts where it was added."""
    name = settings(request).service_name
    icons = [
        {"src": asset(f"icon-{size}.png"), "sizes": f"{size}x{size}", "type": "image/png"}
        for size in (192, 512)
    ]
    said = {"name": name, "short_name": name[:24], "display": "standalone", "icons": icons,
            "background_color": "#07323f", "theme_color": "#07323f", "lang": "en-GB"}  # fmt: skip
    return web.json_response(said, content_type=MANIFEST, headers={"Cache-Control": "public, max-age=3600"})


async def _read(request: web.Request, model: type[Model]) -> Model:
    """What was sent. 404 where there are no notifications, 415, 400 or 422 where it is not what the script sends."""
    if not offered_key(service(request)):
        raise web.HTTPNotFound
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="Send it as the page does.")
    try:
        return checked(model, await request.read())
    except NotAsked as error:
        kind = web.HTTPUnprocessableEntity if error.status == 422 else web.HTTPBadRequest
        raise kind(text=error.detail) from error


def _address(request: web.Request, sent: SubscriptionBody) -> str:
    """In the spelling of the channel that will carry it. 422 where it is of no push service we may call."""
    given = Subscription(endpoint=sent.endpoint, p256dh=sent.keys.p256dh, auth=sent.keys.auth)
    channel = service(request).channels.carrying(Medium.PUSH)
    if channel is None:
        raise web.HTTPNotFound
    try:
        return channel.normalise(str(given), Medium.PUSH)
    except BadAddress as error:
        log.info("push_refused", reason="endpoint")
        raise web.HTTPUnprocessableEntity(text=str(error)) from error


async def _require_room(request: web.Request) -> None:
    """429 where too many devices were turned on within the hour, by one visitor or by all. It costs nothing to send
    to them, so while the shared counters are away nobody is turned away."""
    known, visitor = service(request), visitor_of(request)
    hashed = known.db.keys.address_hash("visitor", visitor).hex()[:32] if visitor else ""
    counts = [(f"{COUNT}/{hashed}", MOST_OF_A_VISITOR)] if visitor else []
    for name, most in (*counts, (COUNT, MOST_AN_HOUR)):
        try:
            found = await known.counters.count(name, most, WINDOW.total_seconds(), begun=0)
        except CountersLost:
            return
        if found is None:
            log.warning("push_refused", reason="hour's limit")
            raise web.HTTPTooManyRequests(headers={"Retry-After": str(int(WINDOW.total_seconds()))})


def _answer(found: Standing) -> web.Response:
    said: dict[str, Any] = {"areas": list(found.areas), "manage_url": found.manage_url}
    return web.json_response(said)


ROUTES = [
    web.get("/manifest.webmanifest", manifest),
    web.post("/push/renew", renew),
    web.post("/areas/{code}/push", turn_on),
    web.post("/areas/{code}/push/stop", turn_off),
    web.post("/areas/{code}/push/state", state),
]
