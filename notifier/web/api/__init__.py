"""The API: JSON with bearer tokens below /api/v1. Every operation stands in OPERATIONS, once."""

from aiohttp import web

from notifier.web.api import messages, openapi, people, places, talk
from notifier.web.api.operation import PREFIX, route
from notifier.web.service import settings

OPERATIONS = (*places.OPERATIONS, *people.OPERATIONS, *messages.OPERATIONS, *talk.OPERATIONS)


async def describe(request: web.Request) -> web.Response:
    """GET /api/v1/openapi.json; no token needed."""
    known = settings(request)
    return web.json_response(openapi.document(OPERATIONS, title=known.service_name, server=known.public_url))


ROUTES = [web.get(f"{PREFIX}/openapi.json", describe), *(route(operation) for operation in OPERATIONS)]
