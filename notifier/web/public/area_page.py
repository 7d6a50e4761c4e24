"""An area's own page: its team, what it works on, what was asked and done, and the latest messages.

Anyone may read it; caches may keep it for a minute. `feeds` has the same for programs, `push` its notifications.
"""

from aiohttp import web

from channels.base import Medium
from notifier.db import Tx
from notifier.errors import NotFound
from notifier.web.context import show
from notifier.web.public import places
from notifier.web.public.places import Place
from notifier.web.public.push import offered_key
from notifier.web.service import database, service
from templates.feeds import OFFERS

A_MINUTE = "public, max-age=60"


async def area(request: web.Request) -> web.Response:
    """The page."""
    async with database(request).transaction(read_only=True) as tx:
        news = await places.news(tx, await _place(tx, request))
    response = show(
        request,
        "public/area.html",
        news=news,
        place=news.place,
        feeds=OFFERS,
        push_key=offered_key(service(request)),
        has_push=service(request).channels.carrying(Medium.PUSH) is not None,
    )
    response.headers["Cache-Control"] = A_MINUTE
    return response


async def _place(tx: Tx, request: web.Request) -> Place:
    found = await places.place(tx, request.match_info["code"])
    if found is None:
        raise NotFound("We have no area by that code. Look it up by its postcode.")
    return found


ROUTES = [web.get("/areas/{code}", area)]
