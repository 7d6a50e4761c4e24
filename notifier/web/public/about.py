"""Pages that hold words alone: privacy and accessibility."""

from aiohttp import web

from notifier.web.context import show
from subscribers.consent import WORDING


async def privacy(request: web.Request) -> web.Response:
    """What is kept, why, for how long, and whom to ask."""
    return show(request, "public/privacy.html", wording=WORDING)


async def accessibility(request: web.Request) -> web.Response:
    """How far the pages are accessible and what to do where they are not."""
    return show(request, "public/accessibility.html")


ROUTES = [web.get("/privacy", privacy), web.get("/accessibility", accessibility)]
