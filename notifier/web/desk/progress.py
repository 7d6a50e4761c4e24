"""How a message goes: counts that sum to its audience, what went wrong, and the buttons that stop it.

Where scripts run the numbers are sent as they change (`events`); elsewhere the page looks again by itself.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from notifier.broadcast import overview, recall, report, stuck
from notifier.broadcast.narrow import ENDED, GOT
from notifier.broadcast.overview import Written
from notifier.broadcast.report import UNDER_WAY, WAITING_FOR_DIGEST, Progress
from notifier.db import Tx
from notifier.delivery import tokens
from notifier.errors import NotFound
from notifier.models import DeliveryState, Message, MessageState
from notifier.staff import audit
from notifier.staff.roles import Act
from notifier.web.context import see_other, show
from notifier.web.desk.access import DeskRoute, Reader, id_in, show_desk
from notifier.web.forms import fields, query
from notifier.web.middleware import HEADERS
from notifier.web.service import database

REFRESH_SECONDS = 3
LOOK_SECONDS = 1.5
STREAM_SECONDS = 240.0  # then the browser asks again, and is let in again or not
MOST_STREAMS = 100
MOVING = (MessageState.APPROVED, MessageState.PLANNING, MessageState.SENDING)

Recall = Callable[..., Awaitable[None]]
Release = Callable[..., Awaitable[int]]


class Streams:
    """The open streams of this process; `end` lets all of them finish."""

    def __init__(self) -> None:
        self.number = 0
        self.ending = asyncio.Event()


STREAMS = web.AppKey("streams", Streams)


async def page(request: web.Request, reader: Reader) -> web.Response:
    """GET. While it is on its way the page is kept up to date, unless `?still` asks it not to."""
    async with database(request).transaction(read_only=True) as tx:
        written = await overview.get(tx, id_in(request), reader.teams())
        if written.state is MessageState.DRAFT:
            return see_other(f"/desk/messages/{written.id}/preview")
        found = await report.glance(tx, written.id)
        if found is None:
            raise NotFound
        trouble = await _trouble(tx, found)
        first = await overview.get(tx, written.corrects_id, None) if written.corrects_id else None
    may_stop = reader.may(Act.PUBLISH, written.team_id)
    return show_desk(
        request,
        "progress.html",
        reader,
        written=written,
        found=found,
        rows=_rows(found),
        trouble=trouble,
        corrects=first,
        is_moving=_is_moving(found),
        is_still="still" in query(request),
        refresh_seconds=REFRESH_SECONDS,
        may_stop=may_stop,
        can_pause=may_stop and found.state in recall.CAN_PAUSE,
        can_resume=may_stop and found.state is MessageState.PAUSED,
        can_cancel=may_stop and found.state in recall.CAN_CANCEL,
        can_correct=reader.may(Act.DRAFT, written.team_id) and _has_arrived(found),
        is_correctable=found.state in ENDED,
        page_limit=stuck.PAGE,
        form_key=secrets.token_urlsafe(16),
        at=written.frozen_at,
    )


async def events(request: web.Request, reader: Reader) -> web.StreamResponse:
    """GET: the numbers as server-sent events, each time they have changed; `end` once nothing moves any more."""
    message = id_in(request)
    streams = request.app[STREAMS]
    async with database(request).transaction(read_only=True) as tx:
        written = await overview.get(tx, message, reader.teams())
    if streams.number >= MOST_STREAMS:
        raise web.HTTPServiceUnavailable
    response = web.StreamResponse(
        headers={**HEADERS, "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    streams.number += 1
    try:
        async with asyncio.timeout(STREAM_SECONDS):
            await _stream(request, response, written, streams.ending)
    except (TimeoutError, ConnectionError):
        pass
    finally:
        streams.number -= 1
    return response


async def _stream(
    request: web.Request, response: web.StreamResponse, written: Written, ending: asyncio.Event
) -> None:
    shown = ""
    while not ending.is_set():
        async with database(request).transaction(read_only=True) as tx:
            found = await report.glance(tx, written.id)
        if found is None:
            return
        numbers = (
            show(
                request,
                "desk/_numbers.html",
                written=written,
                found=found,
                rows=_rows(found),
                at=written.frozen_at,
            ).text
            or ""
        )
        if numbers != shown:
            shown = numbers
            lines = "".join(f"data: {line}\n" for line in numbers.splitlines())
            await response.write(f"event: numbers\n{lines}\n".encode())
        if not _is_moving(found) or found.state is not written.state:
            await response.write(b"event: end\ndata: \n\n")
            return
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await ending.wait()
        except TimeoutError:
            continue


def _stops(act: Recall, action: str) -> Callable[[web.Request, Reader], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request, reader: Reader) -> web.StreamResponse:
        message = id_in(request)
        async with database(request).transaction() as tx:
            written = await overview.get(tx, message, reader.teams())
            reader.require(Act.PUBLISH, written.team_id)
            await act(tx, message, team=written.team_id)
            await audit.record(tx, reader.actor, action, object_kind=Message.__tablename__, object_id=message)
        return see_other(f"/desk/messages/{message}/progress")

    return handle


def _releases(act: Release, action: str) -> Callable[[web.Request, Reader], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request, reader: Reader) -> web.StreamResponse:
        message, sent = id_in(request), await fields(request)
        state, reason = sent.one("state") or "", sent.one("reason") or ""
        if state not in stuck.STATES:
            raise NotFound
        async with database(request).transaction() as tx:
            written = await overview.get(tx, message, reader.teams())
            reader.require(Act.PUBLISH, written.team_id)
            number = await act(tx, message, team=written.team_id, state=DeliveryState(state), reason=reason)
            await audit.record(
                tx,
                reader.actor,
                action,
                object_kind=Message.__tablename__,
                object_id=message,
                details={"state": state, "deliveries": number},
            )
        return see_other(f"/desk/messages/{message}/progress")

    return handle


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What went wrong: by reason, what waits for a person, what may have come twice. tokens: of the deliveries named."""

    lines: Sequence[report.Trouble]
    stuck: Sequence[stuck.Stuck]
    repeats: Sequence[int]
    tokens: dict[int, str]


async def _trouble(tx: Tx, found: Progress) -> Trouble:
    waiting = any(found.counts.get(state) for state in stuck.STATES)
    bad = sum(found.counts.values()) - found.under_way - found.reached - found.waits_for_digest
    lines = await report.troubles(tx, found.id) if bad else []
    held = await stuck.stuck(tx, found.id) if waiting else []
    repeats = await report.repeats(tx, found.id) if found.possible_repeats else []
    named = [*(id_ for each in lines for id_ in each.examples), *(each.example for each in held), *repeats]
    return Trouble(
        lines=[each for each in lines if each.state not in stuck.STATES],
        stuck=held,
        repeats=repeats,
        tokens={id_: tokens.delivery_token(tx.keys, id_) for id_ in named},
    )


def _has_arrived(found: Progress) -> bool:
    """May anybody have it, so that there is somebody to correct it to?"""
    return bool(found.possible_repeats) or any(found.counts.get(state) for state in GOT)


def _is_moving(found: Progress) -> bool:
    """Is there something to watch? After a stop, until what was in flight has landed."""
    if found.state in MOVING:
        return not found.is_over
    return bool(found.in_flight)


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


_PATH = "/desk/messages/{id}"
TABLE = (
    DeskRoute(method="GET", path=f"{_PATH}/progress", handler=page),
    DeskRoute(method="GET", path=f"{_PATH}/progress/events", handler=events),
    DeskRoute(method="POST", path=f"{_PATH}/pause", handler=_stops(recall.pause, "paused"), act=Act.PUBLISH),
    DeskRoute(
        method="POST", path=f"{_PATH}/resume", handler=_stops(recall.resume, "resumed"), act=Act.PUBLISH
    ),
    DeskRoute(
        method="POST", path=f"{_PATH}/cancel", handler=_stops(recall.cancel, "cancelled"), act=Act.PUBLISH
    ),
    DeskRoute(
        method="POST",
        path=f"{_PATH}/send-again",
        handler=_releases(stuck.send_again, "sent_again"),
        act=Act.PUBLISH,
    ),
    DeskRoute(
        method="POST", path=f"{_PATH}/give-up", handler=_releases(stuck.give_up, "given_up"), act=Act.PUBLISH
    ),
)
