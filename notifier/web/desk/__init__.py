"""The desk: where officers write, approve, watch, read and answer. Every page but the sign-in is in TABLE."""

from aiohttp import web

from notifier.web.context import see_other
from notifier.web.desk import (
    compose,
    conversation,
    deliveries,
    home,
    pictures,
    preview,
    progress,
    queue,
    sending,
    sign_in,
)
from notifier.web.desk.access import guarded
from notifier.web.desk.progress import STREAMS, Streams

TABLE = (
    *home.TABLE,
    *compose.TABLE,
    *preview.TABLE,
    *progress.TABLE,
    *queue.TABLE,
    *conversation.TABLE,
    *pictures.TABLE,
    *deliveries.TABLE,
    *sending.TABLE,
)


def prepare(app: web.Application) -> None:
    """What the desk keeps in the application: its open streams, which end when it stops."""
    app[STREAMS] = Streams()

    async def end(app: web.Application) -> None:
        app[STREAMS].ending.set()

    app.on_shutdown.append(end)


async def _with_slash(_request: web.Request) -> web.Response:
    """`/desk/`, as people type it."""
    return see_other("/desk")


ROUTES = [web.get("/desk/", _with_slash), *sign_in.ROUTES, *(guarded(route) for route in TABLE)]
