"""The desk: where officers write, approve, watch, read and answer. Every page but the sign-in is in TABLE."""

from aiohttp import web

from notifier.web.context import see_other
from notifier.web.desk import compose, conversation, deliveries, home, preview, progress, queue, sign_in
from notifier.web.desk.access import guarded

TABLE = (
    *home.TABLE,
    *compose.TABLE,
    *preview.TABLE,
    *progress.TABLE,
    *queue.TABLE,
    *conversation.TABLE,
    *deliveries.TABLE,
)


async def _with_slash(_request: web.Request) -> web.Response:
    """`/desk/`, as people type it."""
    return see_other("/desk")


ROUTES = [web.get("/desk/", _with_slash), *sign_in.ROUTES, *(guarded(route) for route in TABLE)]
