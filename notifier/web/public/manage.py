"""Preferences, behind the link in every message; everything held, behind a link asked for just now.

Messages get forwarded. So the link in one shows and changes what is sent, and no more; a fresh link,
sent to the address itself and good for an hour, opens the download, a new address, and erasing.
"""

import csv
import io
import json
from http import HTTPStatus
from uuid import UUID

from aiohttp import web

from notifier.broadcast import leaving, preferences
from notifier.broadcast.links import Access, read_manage
from notifier.broadcast.preferences import Change, Preferences
from notifier.db import Tx
from notifier.errors import NotAllowed, NotFound
from notifier.web.context import see_other, show
from notifier.web.forms import EMPTY, Filled, Form, fields, query, read
from notifier.web.public import places
from notifier.web.public.manage_forms import AskForLink, NewAddress, Wishes, limits, quiet_words
from notifier.web.service import database, settings
from notifier.web.text_limit import SENTENCE, may_text
from subscribers.models import ContactPointState
from subscribers.topics import topic_labels
from templates.languages import NAMES


class LinkRunOut(NotFound):
    """This link does not work any more. Ask for a new one."""


class NeedsFreshLink(NotAllowed):
    """For this you need a link that is less than an hour old. Ask for one on your preferences page."""


# --- The page -----------------------------------------------------------------------------------


async def see(request: web.Request) -> web.Response:
    """What this person gets, as a form."""
    return await _page(request, EMPTY)


async def change(request: web.Request) -> web.Response:
    """Make it so."""
    filled = read(Wishes, await fields(request))
    if filled.value is None:
        return await _page(request, filled)
    wishes = filled.value
    async with database(request).transaction() as tx:
        access = await _access(tx, request)
        served = {each.code for each in await places.places(tx, wishes.area)}
        known = await topic_labels(tx, "en")
        faults = {"area": "Choose areas from the list"} if set(wishes.area) - served else {}
        faults |= {"topic": "Choose topics from the list"} if set(wishes.topic) - known.keys() else {}
        if not faults:
            await preferences.change_preferences(
                tx,
                access.contact.id,
                Change(
                    area_codes=wishes.area,
                    topics=wishes.topic,
                    language=wishes.language,
                    frequency=wishes.frequency,
                    least_priority=wishes.least_priority,
                    quiet_hours=wishes.quiet_hours,
                    weekly_limit=wishes.weekly_limit,
                ),
                source="web",
            )
    if faults:
        return await _page(request, filled.with_errors(faults))
    return _back(request, "saved")


async def stop(request: web.Request) -> web.Response:
    """Stop one address. The link in a message stops the address it came to, a fresh one any of them."""
    async with database(request).transaction() as tx:
        access = await _access(tx, request)
        chosen = _own(access, await _held(tx, access), (await fields(request)).one("contact") or "")
        await leaving.stop(tx, chosen, source="link", public_url=settings(request).public_url)
    return _back(request, "stopped")


async def start(request: web.Request) -> web.Response:
    """Take a stop of the last two days back."""
    async with database(request).transaction() as tx:
        access = await _access(tx, request)
        chosen = _own(access, await _held(tx, access), (await fields(request)).one("contact") or "")
        is_back = await leaving.undo_stop(tx, chosen, source="link")
    return _back(request, "started" if is_back else "too_late")


# --- Behind a fresh link ------------------------------------------------------------------------


async def send_fresh(request: web.Request) -> web.Response:
    """Send a fresh link to the address this link came to."""
    async with database(request).transaction() as tx:
        access = await _access(tx, request)
        await preferences.send_fresh_link(tx, access.contact.id, public_url=settings(request).public_url)
    return show(request, "public/fresh_sent.html", medium=access.contact.medium)


async def held(request: web.Request) -> web.Response:
    """Everything held, as JSON or CSV to keep."""
    kind = request.match_info["kind"]
    async with database(request).transaction(read_only=True) as tx:
        access = await _fresh(tx, request)
        data = await preferences.hold_data(tx, _subscriber(access))
    if kind == "json":
        body, content_type = json.dumps(data, indent=2, ensure_ascii=False, default=str), "application/json"
    else:
        body, content_type = _as_csv(data), "text/csv"
    name = f'attachment; filename="what-we-hold.{kind}"'
    return web.Response(
        text=body, content_type=content_type, charset="utf-8", headers={"Content-Disposition": name}
    )


async def add_address(request: web.Request) -> web.Response:
    """Ask the owner of one more address to confirm it. The answer is the same for known and unknown ones."""
    filled = read(NewAddress, await fields(request), context=settings(request).mail_domain)
    if filled.value is None:
        return await _page(request, filled)
    async with database(request).transaction(read_only=True) as tx:
        await _fresh(tx, request)
    if filled.value.medium == "sms" and not await may_text(request):
        return await _page(request, filled.with_errors({"address": SENTENCE}))
    async with database(request).transaction() as tx:
        access = await _fresh(tx, request)
        await preferences.add_address(
            tx,
            _subscriber(access),
            "sms" if filled.value.medium == "sms" else "email",
            filled.value.address,
            source="web",
            public_url=settings(request).public_url,
        )
    by = "sms" if filled.value.medium == "sms" else "email"
    return see_other(f"/sign-up/sent?by={by}")


async def erase(request: web.Request) -> web.Response:
    """Remove the person for good, once they have ticked that they mean it."""
    sent = await fields(request)
    if sent.one("sure") != "yes":
        return await _page(
            request, Filled(typed=sent, errors={"sure": "Tick the box if you want to be erased"})
        )
    async with database(request).transaction() as tx:
        access = await _fresh(tx, request)
        await leaving.erase(tx, _subscriber(access), source="web")
    return show(request, "public/erased.html")


# --- Without any link ---------------------------------------------------------------------------


async def ask(request: web.Request) -> web.Response:
    """Where somebody who has lost their link gets a new one."""
    return show(request, "public/ask_link.html")


async def send_link(request: web.Request) -> web.Response:
    """Send it, if there is anyone to send it to; say the same in any case."""
    filled = read(AskForLink, await fields(request), context=settings(request).mail_domain)
    if filled.value is None:
        return show(request, "public/ask_link.html", status=HTTPStatus.UNPROCESSABLE_ENTITY, form=filled)
    async with database(request).transaction() as tx:
        await preferences.send_fresh_link_to(
            tx, filled.value.medium, filled.value.address, public_url=settings(request).public_url
        )
    return show(request, "public/fresh_sent.html", medium=filled.value.medium)


# --- Helpers ------------------------------------------------------------------------------------


async def _access(tx: Tx, request: web.Request) -> Access:
    access = await read_manage(tx, request.match_info["token"])
    if access is None:
        raise LinkRunOut
    return access


async def _fresh(tx: Tx, request: web.Request) -> Access:
    access = await _access(tx, request)
    if not access.is_fresh:
        raise NeedsFreshLink
    return access


def _subscriber(access: Access) -> UUID:
    if access.contact.subscriber is None:
        raise LinkRunOut
    return access.contact.subscriber


async def _held(tx: Tx, access: Access) -> Preferences:
    found = await preferences.read_preferences(tx, access.contact.id)
    if found is None:
        raise LinkRunOut
    return found


def _own(access: Access, held: Preferences, chosen: str) -> UUID:
    """The address that is meant, if this link may touch it."""
    mine = {str(line.contact_point): line.contact_point for line in held.addresses}
    if chosen not in mine or not (access.is_fresh or mine[chosen] == access.contact.id):
        raise NotFound("That address is not one this link can change.")
    return mine[chosen]


def _back(request: web.Request, said: str) -> web.Response:
    return see_other(f"/manage/{request.match_info['token']}?said={said}")


async def _page(request: web.Request, filled: Filled[Form]) -> web.Response:
    async with database(request).transaction(read_only=True) as tx:
        access = await _access(tx, request)
        found = await _held(tx, access)
        followed = await places.places(tx, found.areas)
        boroughs = {each.within_code for each in followed}
        beside = [each for each in await places.wards(tx, boroughs or None) if each.code not in found.areas]
        topics = await topic_labels(tx, "en")
    status = HTTPStatus.UNPROCESSABLE_ENTITY if filled.errors else HTTPStatus.OK
    return show(
        request,
        "public/manage.html",
        status=status,
        form=filled,
        held=found,
        token=request.match_info["token"],
        is_fresh=access.is_fresh,
        own=access.contact,
        active=ContactPointState.ACTIVE,
        followed=followed,
        beside=beside,
        topics=list(topics.items()),
        languages=list(NAMES.items()),
        quiet=quiet_words(found),
        limits=limits(found, settings(request).weekly_limit),
        said=query(request).get("said", ("",))[0],
    )


def _as_csv(data: dict[str, object]) -> str:
    """One line for each fact. A value that a spreadsheet would run as a formula gets a quote before it."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(("what", "value"))
    for path, value in _facts(data):
        text = str(value)
        writer.writerow((path, f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text))
    return out.getvalue()


def _facts(value: object, path: str = "") -> list[tuple[str, object]]:
    """(path, value) of every leaf."""
    if isinstance(value, dict):
        return [f for key, each in value.items() for f in _facts(each, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list | tuple):
        return [f for number, each in enumerate(value, 1) for f in _facts(each, f"{path}.{number}")]
    return [(path, "" if value is None else value)]


ROUTES = [
    web.get("/manage", ask),
    web.post("/manage", send_link),
    web.get("/manage/{token}", see),
    web.post("/manage/{token}", change),
    web.post("/manage/{token}/stop", stop),
    web.post("/manage/{token}/start", start),
    web.post("/manage/{token}/fresh", send_fresh),
    web.post("/manage/{token}/address", add_address),
    web.post("/manage/{token}/erase", erase),
    web.get("/manage/{token}/held.{kind:json|csv}", held),
]
