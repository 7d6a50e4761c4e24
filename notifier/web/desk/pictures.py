"""A picture that came with a text, handed to an officer as a file: never shown in a page, and each look on record."""

from uuid import UUID

from aiohttp import web

from notifier.errors import NotFound
from notifier.inbox.pictures import picture
from notifier.models import Conversation
from notifier.staff import audit
from notifier.web.desk.access import DeskRoute, Reader, id_in
from notifier.web.desk.frames import POLICY
from notifier.web.service import database

ALONE = "default-src 'none'; sandbox"


async def download(request: web.Request, reader: Reader) -> web.Response:
    """GET: the file. Raises NotFound for what is not there and for what is another team's alike."""
    conversation, (incoming, number) = id_in(request), _named(request)
    async with database(request).transaction() as tx:
        found = await picture(tx, conversation, incoming, number, reader.teams())
        if found is None:
            raise NotFound
        await audit.record(
            tx, reader.actor, "saw_picture", object_kind=Conversation.__tablename__, object_id=conversation
        )
    headers = {"Content-Disposition": f'attachment; filename="{found.name}"', POLICY: ALONE}
    return web.Response(body=found.data, content_type=found.content_type, headers=headers)


def _named(request: web.Request) -> tuple[UUID, int]:
    number = request.match_info["number"]
    try:
        incoming = UUID(request.match_info["incoming"])
    except ValueError:
        raise NotFound from None
    if not (number.isascii() and number.isdecimal() and len(number) < 4):
        raise NotFound
    return incoming, int(number)


TABLE = (
    DeskRoute(method="GET", path="/desk/conversations/{id}/pictures/{incoming}/{number}", handler=download),
)
