"""One delivery, by its signed token: why it is as it is, step by step; for "did they get it?"."""

from aiohttp import web

from notifier.delivery import tokens
from notifier.delivery.explain import timeline
from notifier.errors import NotFound
from notifier.web.desk.access import DeskRoute, Reader, show_desk
from notifier.web.service import database, settings


async def page(request: web.Request, reader: Reader) -> web.Response:
    """GET."""
    token = request.match_info["token"]
    async with database(request).transaction(read_only=True) as tx:
        id_ = tokens.read_delivery_token(tx.keys, token)
        zone = settings(request).zone
        found = await timeline(tx, id_, zone=zone, teams=reader.teams()) if id_ is not None else None
    if found is None:
        raise NotFound
    return show_desk(request, "delivery.html", reader, found=found, token=token)


TABLE = (DeskRoute(method="GET", path="/desk/deliveries/{token}", handler=page),)
