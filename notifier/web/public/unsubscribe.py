"""Leaving by a link: GET shows, POST acts (RFC 8058), and what was done can be taken back.

The link is good for ever and as often as it is used. A mail program's one-click POST carries no
cookie and no form token; a person's comes from the page.
"""

from http import HTTPStatus

from aiohttp import web

from notifier.broadcast import leaving
from notifier.broadcast.links import manage_url, read_unsubscribe
from notifier.web.context import show
from notifier.web.forms import fields
from notifier.web.service import database, settings

UNDO = "undo"


async def see(request: web.Request) -> web.Response:
    """What the link would stop, and the button."""
    async with database(request).transaction(read_only=True) as tx:
        contact = await read_unsubscribe(tx, request.match_info["token"])
        if contact is None:
            return _run_out(request)
        address = manage_url(tx, contact, "") if contact.subscriber else ""
    return show(
        request,
        "public/unsubscribe.html",
        medium=contact.medium,
        is_on=contact.is_active,
        manage_path=address,
    )


async def act(request: web.Request) -> web.Response:
    """Stop, at once; or, from the page that follows, take it back."""
    sent = await fields(request)
    is_undo = sent.one("action") == UNDO
    async with database(request).transaction() as tx:
        contact = await read_unsubscribe(tx, request.match_info["token"])
        if contact is None:
            return _run_out(request)
        if is_undo:
            is_back = await leaving.undo_stop(tx, contact.id, source="link")
            return show(request, "public/back_again.html", is_back=is_back, medium=contact.medium)
        is_one_click = "List-Unsubscribe" in sent
        stopped = await leaving.stop(
            tx,
            contact.id,
            source="header" if is_one_click else "link",
            public_url=settings(request).public_url,
        )
    return show(
        request,
        "public/unsubscribed.html",
        medium=contact.medium,
        still_on=stopped.still_on,
        path=request.path,
    )


def _run_out(request: web.Request) -> web.Response:
    return show(request, "public/link_run_out.html", status=HTTPStatus.NOT_FOUND)


ROUTES = [web.get("/unsubscribe/{token}", see), web.post("/unsubscribe/{token}", act)]
