"""The preview of a draft: what will be sent, to how many, at what cost, and who must approve it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from aiohttp import web
from sqlalchemy import select

from channels.base import Medium
from notifier.broadcast import approve, cost, doubles, endorse, overview, recall
from notifier.broadcast.cautions import cautions
from notifier.broadcast.doubles import Double
from notifier.broadcast.endorse import Step
from notifier.broadcast.overview import Written
from notifier.db import Tx
from notifier.delivery.preview import Preview, previews, require_sendable
from notifier.errors import Conflict, Invalid, NotFound
from notifier.models import Message, MessageState, Officer
from notifier.staff import audit
from notifier.staff.roles import Act
from notifier.web.context import see_other
from notifier.web.desk import clock
from notifier.web.desk.access import DeskRoute, Reader, id_in, show_desk
from notifier.web.desk.frames import framed, with_frames
from notifier.web.forms import fields, query
from notifier.web.service import database, service, settings
from subscribers.models import Area
from subscribers.reach import Reach
from subscribers.topics import topic_labels
from templates.languages import NAMES


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that the page shows. pence: of everything that goes at once. corrects: the message it puts right."""

    written: Written
    shown: Sequence[Preview]
    reach: Reach
    pence: float
    needs_second: bool
    first_approver: str
    author: str
    area_names: Sequence[str]
    topic_names: Sequence[str]
    cautions: Sequence[str]
    same_as: Double | None
    corrects: Written | None

    @property
    def problems(self) -> list[str]:
        return [each.problem for each in self.shown if each.problem]


async def page(request: web.Request, reader: Reader) -> web.Response:
    """GET."""
    async with database(request).transaction(read_only=True) as tx:
        written = await overview.get(tx, id_in(request), reader.teams())
        if written.state is not MessageState.DRAFT:
            return see_other(f"/desk/messages/{written.id}/progress")
        seen = await _seen(request, tx, written)
    return _show(request, reader, seen)


async def mail(request: web.Request, reader: Reader) -> web.Response:
    """GET: the mail's own HTML, for the frame."""
    language = query(request).one("language") or "en"
    async with database(request).transaction(read_only=True) as tx:
        written = await overview.get(tx, id_in(request), reader.teams())
        shown = await previews(tx, written.id, service(request).channels, settings(request))
    found = next((each for each in shown if (each.medium, each.language) == (Medium.EMAIL, language)), None)
    if found is None:
        raise NotFound
    return framed(found.content.html)


async def press(request: web.Request, reader: Reader) -> web.Response:
    """POST: approve. `seen` is the fingerprint of what the officer looked at."""
    sent = await fields(request)
    message = id_in(request)
    try:
        async with database(request).transaction(point="C0") as tx:
            written = await overview.get(tx, message, reader.teams(), hold=True)
            reader.require(Act.PUBLISH, written.team_id)
            if written.state is MessageState.DRAFT:
                await require_sendable(tx, message, service(request).channels, settings(request))
            step = await endorse.press(
                tx,
                message,
                team=written.team_id,
                officer=reader.officer,
                fingerprint=sent.one("seen") or "",
                allow_duplicate=sent.one("is_meant") == "yes",
                canary_above=settings(request).canary_above,
            )
            await audit.record(
                tx,
                reader.actor,
                _ACTIONS[step],
                object_kind=Message.__tablename__,
                object_id=message,
                reason=written.override_reason or None,
            )
    except (Conflict, Invalid) as error:
        return await _refused(request, reader, message, str(error))
    return see_other(f"/desk/messages/{message}/{'preview' if step is Step.WAITS else 'progress'}")


async def drop(request: web.Request, reader: Reader) -> web.Response:
    """POST: a draft nobody needs any more."""
    message = id_in(request)
    async with database(request).transaction() as tx:
        written = await overview.get(tx, message, reader.teams(), hold=True)
        reader.require(Act.DRAFT, written.team_id)
        if written.state is not MessageState.DRAFT:
            raise Conflict("This message has been approved already. Cancel it from its progress page.")
        await recall.cancel(tx, message, team=written.team_id)
        await audit.record(
            tx, reader.actor, "draft_dropped", object_kind=Message.__tablename__, object_id=message
        )
    return see_other("/desk")


_ACTIONS: Mapping[Step, str] = {Step.APPROVED: "approved", Step.WAITS: "approved_first"}


async def _refused(request: web.Request, reader: Reader, message: UUID, sentence: str) -> web.Response:
    """The preview as it stands now, with the sentence that says why it was not approved."""
    async with database(request).transaction(read_only=True) as tx:
        written = await overview.get(tx, message, reader.teams())
        if written.state is not MessageState.DRAFT:
            raise Conflict(sentence)
        seen = await _seen(request, tx, written)
    return _show(request, reader, seen, status=HTTPStatus.CONFLICT, refused=sentence)


def _show(
    request: web.Request, reader: Reader, seen: Seen, *, status: int = HTTPStatus.OK, refused: str = ""
) -> web.Response:
    written = seen.written
    may_publish = reader.may(Act.PUBLISH, written.team_id)
    context: dict[str, Any] = {
        "seen": seen,
        "written": written,
        "refused": refused,
        "may_edit": reader.may(Act.DRAFT, written.team_id),
        "may_approve": may_publish and not seen.problems,
        "waits_for_another": seen.needs_second and written.approved_by == reader.officer,
        "is_second": written.approved_by not in (None, reader.officer),
        "languages": NAMES,
        "clock_note": clock.note(written.send_at, settings(request).zone) if written.send_at else "",
    }
    return with_frames(show_desk(request, "preview.html", reader, status=status, **context))


async def _seen(request: web.Request, tx: Tx, written: Written) -> Seen:
    shown = await previews(tx, written.id, service(request).channels, settings(request))
    reach = (await approve.meant(tx, written.id, by_language=True)).reach
    made = cost.copies(reach)
    names = (
        await tx.execute(select(Area.name).where(Area.code.in_(written.areas)).order_by(Area.name))
    ).scalars()
    labels = await topic_labels(tx, "en")
    people = [id_ for id_ in (written.author_id, written.approved_by) if id_]
    rows = await tx.execute(select(Officer.id, Officer.name).where(Officer.id.in_(people)))
    officers: dict[UUID, str] = {row.id: row.name for row in rows}
    said = [each for title, body in written.texts.values() for each in cautions(title, body)]
    return Seen(
        written=written,
        shown=shown,
        reach=reach,
        pence=sum(
            each.estimate.cost_pence * (each.posts or made.get((each.medium, each.language), 0))
            for each in shown
        ),
        needs_second=await endorse.needs_second(tx, written, reach),
        first_approver=officers.get(written.approved_by, "") if written.approved_by else "",
        author=officers.get(written.author_id, "") if written.author_id else "",
        area_names=list(names),
        topic_names=[labels[slug] for slug in written.topics if slug in labels],
        cautions=list(dict.fromkeys(said)),
        same_as=await doubles.same_words(tx, written.id),
        corrects=await overview.get(tx, written.corrects_id, None) if written.corrects_id else None,
    )


TABLE = (
    DeskRoute(method="GET", path="/desk/messages/{id}/preview", handler=page),
    DeskRoute(method="GET", path="/desk/messages/{id}/preview/email", handler=mail),
    DeskRoute(method="POST", path="/desk/messages/{id}/approve", handler=press, act=Act.PUBLISH),
    DeskRoute(method="POST", path="/desk/messages/{id}/drop", handler=drop, act=Act.DRAFT),
)
