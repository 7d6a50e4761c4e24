"""How a message goes: counts that sum to its audience, what went wrong, and the buttons that stop it."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from notifier.broadcast import overview, recall, report
from notifier.broadcast.report import UNDER_WAY, WAITING_FOR_DIGEST, Progress
from notifier.db import Tx
from notifier.delivery import tokens
from notifier.errors import NotFound
from notifier.models import Message, MessageState
from notifier.staff import audit
from notifier.staff.roles import Act
from notifier.web.context import see_other
from notifier.web.desk.access import DeskRoute, Reader, id_in, show_desk
from notifier.web.forms import query
from notifier.web.service import database

REFRESH_SECONDS = 3
MOVING = (MessageState.APPROVED, MessageState.PLANNING, MessageState.SENDING)

Recall = Callable[..., Awaitable[Mapping[str, int]]]


async def page(request: web.Request, reader: Reader) -> web.Response:
    """GET. While it is on its way the page looks again by itself, unless `?still` asks it not to."""
    async with database(request).transaction(read_only=True) as tx:
        written = await overview.get(tx, id_in(request), reader.teams())
        if written.state is MessageState.DRAFT:
            return see_other(f"/desk/messages/{written.id}/preview")
        found = await report.progress(tx, written.id)
        if found is None:
            raise NotFound
        troubles = await report.troubles(tx, written.id)
        repeats = await report.repeats(tx, written.id) if found.possible_repeats else []
        named = _tokens(tx, [*(id_ for each in troubles for id_ in each.examples), *repeats])
    is_moving = found.state in MOVING and not found.is_over
    may_stop = reader.may(Act.PUBLISH, written.team_id)
    is_still = "still" in query(request)
    response = show_desk(
        request,
        "progress.html",
        reader,
        written=written,
        found=found,
        rows=_rows(found),
        troubles=troubles,
        repeats=repeats,
        tokens=named,
        is_moving=is_moving,
        is_still=is_still,
        can_pause=may_stop and found.state in recall.CAN_PAUSE,
        can_resume=may_stop and found.state is MessageState.PAUSED,
        can_cancel=may_stop and found.state in recall.CAN_CANCEL,
        at=written.frozen_at,
    )
    if is_moving and not is_still:
        response.headers["Refresh"] = str(REFRESH_SECONDS)
    return response


def _stops(act: Recall, action: str) -> Callable[[web.Request, Reader], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request, reader: Reader) -> web.StreamResponse:
        message = id_in(request)
        async with database(request).transaction() as tx:
            written = await overview.get(tx, message, reader.teams())
            reader.require(Act.PUBLISH, written.team_id)
            counts = await act(tx, message, team=written.team_id)
            await audit.record(
                tx,
                reader.actor,
                action,
                object_kind=Message.__tablename__,
                object_id=message,
                details=dict(counts),
            )
        return see_other(f"/desk/messages/{message}/progress")

    return handle


def _rows(found: Progress) -> list[tuple[str, list[int]]]:
    """For each medium, and for all: reached, on the way, waiting for a digest, not reached, and their sum."""
    rows = []
    for medium, counts in sorted(found.by_medium.items()):
        reached = sum(counts.get(state, 0) for state in report.REACHED)
        moving = sum(counts.get(state, 0) for state in UNDER_WAY)
        waiting = counts.get(WAITING_FOR_DIGEST, 0)
        total = sum(counts.values())
        rows.append((medium, [reached, moving, waiting, total - reached - moving - waiting, total]))
    if len(rows) > 1:
        rows.append(("", [sum(column) for column in zip(*(row[1] for row in rows), strict=True)]))
    return rows


def _tokens(tx: Tx, deliveries: list[int]) -> dict[int, str]:
    return {id_: tokens.delivery_token(tx.keys, id_) for id_ in deliveries}


_PATH = "/desk/messages/{id}"
TABLE = (
    DeskRoute(method="GET", path=f"{_PATH}/progress", handler=page),
    DeskRoute(method="POST", path=f"{_PATH}/pause", handler=_stops(recall.pause, "paused"), act=Act.PUBLISH),
    DeskRoute(
        method="POST", path=f"{_PATH}/resume", handler=_stops(recall.resume, "resumed"), act=Act.PUBLISH
    ),
    DeskRoute(
        method="POST", path=f"{_PATH}/cancel", handler=_stops(recall.cancel, "cancelled"), act=Act.PUBLISH
    ),
)
