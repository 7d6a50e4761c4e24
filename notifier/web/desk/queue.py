"""The queue of replies: what waits for us, urgent first, then whoever has waited longest."""

from aiohttp import web

from notifier.inbox import queue
from notifier.inbox.queue import Show
from notifier.web.desk.access import DeskRoute, Reader, show_desk
from notifier.web.desk.home import scope_of
from notifier.web.forms import query
from notifier.web.service import database

PAGE = 25
LAST_PAGE = 400
TITLES = {
    Show.TO_DO: "To do",
    Show.WAITING: "Waiting for them",
    Show.RESOLVED: "Resolved",
    Show.ALL: "All",
}


async def page(request: web.Request, reader: Reader) -> web.Response:
    """`/desk/queue?show=…&urgent=yes&team=…&page=…`."""
    asked = query(request)
    show, number = _show(asked.one("show")), _page(asked.one("page"))
    urgent_alone = asked.one("urgent") == "yes"
    async with database(request).transaction(read_only=True) as tx:
        scope = await scope_of(tx, reader, asked.one("team"))
        rows = await queue.team_queue(
            tx,
            scope.teams,
            show,
            urgent_alone=urgent_alone,
            limit=PAGE + 1,
            offset=(number - 1) * PAGE,
        )
        counts = await queue.counts(tx, scope.teams)
        now = tx.now
    kept = f"&{scope.query}" if scope.query else ""
    address = f"/desk/queue?show={show}{'&urgent=yes' if urgent_alone else ''}{kept}"
    return show_desk(
        request,
        "queue.html",
        reader,
        scope=scope,
        show=show,
        urgent_alone=urgent_alone,
        rows=rows[:PAGE],
        counts=counts,
        tabs=[(words, f"/desk/queue?show={each}{kept}", counts[each]) for each, words in TITLES.items()],
        current=f"/desk/queue?show={show}{kept}",
        newer=f"{address}&page={number - 1}" if number > 1 else "",
        older=f"{address}&page={number + 1}" if len(rows) > PAGE else "",
        now=now,
    )


def _show(text: str | None) -> Show:
    try:
        return Show(text or Show.TO_DO)
    except ValueError:
        raise web.HTTPBadRequest from None


def _page(text: str | None) -> int:
    if text is None:
        return 1
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:6]) <= LAST_PAGE:
        raise web.HTTPBadRequest
    return int(text)


TABLE = (DeskRoute(method="GET", path="/desk/queue", handler=page),)
