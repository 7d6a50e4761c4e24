"""An area's own page: its team, what it works on, what was asked and done, and the latest messages.

Also as an Atom feed (RFC 4287). Anyone may read both; caches may keep them for a minute.
"""

from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

from notifier.config import Settings
from notifier.db import Tx
from notifier.errors import NotFound
from notifier.web.context import show
from notifier.web.public import places
from notifier.web.public.places import Place, PublishedMessage
from notifier.web.service import database, settings
from templates import render

A_MINUTE = "public, max-age=60"


async def area(request: web.Request) -> web.Response:
    """The page."""
    async with database(request).transaction(read_only=True) as tx:
        news = await places.news(tx, await _place(tx, request))
    response = show(request, "public/area.html", news=news, place=news.place)
    response.headers["Cache-Control"] = A_MINUTE
    return response


async def feed(request: web.Request) -> web.Response:
    """The same messages as Atom."""
    async with database(request).transaction(read_only=True) as tx:
        place = await _place(tx, request)
        messages = await places.messages_of(tx, place)
        now = tx.now
    updated = max((message.published_at for message in messages), default=now).isoformat()
    body = _atom(settings(request), place, messages, updated)
    return web.Response(
        text=body, content_type="application/atom+xml", charset="utf-8", headers={"Cache-Control": A_MINUTE}
    )


async def _place(tx: Tx, request: web.Request) -> Place:
    found = await places.place(tx, request.match_info["code"])
    if found is None:
        raise NotFound("We have no area by that code. Look it up by its postcode.")
    return found


def _atom(known: Settings, place: Place, messages: list[PublishedMessage], updated: str) -> str:
    """Absolute addresses come from the settings: a feed outlives the request that made it."""
    page = f"{known.public_url}/areas/{place.code}"
    entries = "".join(_entry(page, message) for message in messages)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">\n'
        f"<id>{escape(page)}</id>\n<title>{escape(f'{place.name}: {known.service_name}')}</title>\n"
        f"<updated>{updated}</updated>\n<author><name>{escape(known.force_name)}</name></author>\n"
        f'<link rel="self" type="application/atom+xml" href={quoteattr(page + ".atom")}/>\n'
        f'<link rel="alternate" type="text/html" href={quoteattr(page)}/>\n{entries}</feed>\n'
    )


def _entry(page: str, message: PublishedMessage) -> str:
    at = message.published_at.isoformat()
    return (
        f"<entry>\n<id>urn:uuid:{message.id}</id>\n<title>{escape(_legal(message.title))}</title>\n"
        f"<updated>{at}</updated>\n<published>{at}</published>\n"
        f"<author><name>{escape(_legal(message.team_name))}</name></author>\n"
        f"<category term={quoteattr(message.kind)}/>\n<link href={quoteattr(f'{page}#m-{message.id}')}/>\n"
        f'<content type="html">{escape(_legal(str(render.html(message.body))))}</content>\n</entry>\n'
    )


def _legal(text: str) -> str:
    """Without the control characters that XML 1.0 (section 2.2) does not know."""
    return "".join(c for c in text if c in "\t\n\r" or ("\x20" <= c <= "\ud7ff") or c >= "\ue000")


ROUTES = [web.get("/areas/{code}.atom", feed), web.get("/areas/{code}", area)]
