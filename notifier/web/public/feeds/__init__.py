"""An area's feeds: messages as Atom and JSON Feed, dates as iCalendar, alerts as CAP 1.2. Anyone may read them.

What changed is told by ETag alone: a message that was withdrawn leaves no later date behind, so Last-Modified would
call a feed unchanged that no longer holds it.
"""

import hashlib
from collections.abc import Awaitable, Callable
from uuid import UUID

from aiohttp import web

from notifier.db import Tx
from notifier.errors import NotFound
from notifier.web.public import places
from notifier.web.public.feeds import alerts, atom, calendar, cap, json_feed
from notifier.web.public.places import Place
from notifier.web.service import database, settings
from templates.feeds import OFFERS

A_MINUTE = "public, max-age=60"
CAP_TYPE = "application/cap+xml"

Writer = Callable[[Tx, Place, web.Request], Awaitable[bytes]]


async def feed(request: web.Request) -> web.Response:
    """GET /areas/{code}.{kind}."""
    kind = request.match_info["kind"]
    async with database(request).transaction(read_only=True) as tx:
        found = await places.place(tx, request.match_info["code"])
        if found is None:
            raise NotFound("We have no area by that code. Look it up by its postcode.")
        body = await _WRITERS[kind](tx, found, request)
    return answer(request, body, next(offer.type for offer in OFFERS if offer.ending == kind))


async def alert(request: web.Request) -> web.Response:
    """GET /alerts/{id}.cap: one alert as it stands now, its withdrawal included."""
    try:
        message = UUID(request.match_info["id"])
    except ValueError:
        raise NotFound("There is no such alert.") from None
    async with database(request).transaction(read_only=True) as tx:
        found = await alerts.one(tx, message)
    if found is None:
        raise NotFound("There is no such alert.")
    return answer(request, cap.write(found, settings(request)), CAP_TYPE)


def answer(request: web.Request, body: bytes, content_type: str) -> web.Response:
    """200, or 304 where the reader has it already (RFC 9110 section 13.1.2). Pages elsewhere may read it too."""
    tag = hashlib.sha256(body).hexdigest()[:32]
    headers = {"Cache-Control": A_MINUTE, "ETag": f'"{tag}"', "Access-Control-Allow-Origin": "*"}
    known = request.if_none_match or ()
    if any(each.value in (tag, "*") for each in known):
        return web.Response(status=304, headers=headers)
    charset = None if content_type == "application/feed+json" else "utf-8"
    return web.Response(body=body, content_type=content_type, charset=charset, headers=headers)


async def _atom(tx: Tx, found: Place, request: web.Request) -> bytes:
    return atom.write(settings(request), found, await places.messages_of(tx, found), now=tx.now)


async def _json(tx: Tx, found: Place, request: web.Request) -> bytes:
    return json_feed.write(settings(request), found, await places.messages_of(tx, found))


async def _calendar(tx: Tx, found: Place, request: web.Request) -> bytes:
    return calendar.write(settings(request), found, await calendar.dates_of(tx, found))


async def _cap(tx: Tx, found: Place, request: web.Request) -> bytes:
    return cap.write_index(settings(request), found, await alerts.of_place(tx, found), now=tx.now)


_WRITERS: dict[str, Writer] = {"atom": _atom, "json": _json, "ics": _calendar, "cap": _cap}

ROUTES = [
    web.get("/areas/{code}.{kind:atom|json|ics|cap}", feed),
    web.get("/alerts/{id}.cap", alert),
]
