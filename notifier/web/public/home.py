"""The postcode box, and what a postcode gives: the ward and its team, or the sentence that helps."""

from aiohttp import web

from notifier.db import Tx
from notifier.web.context import show
from notifier.web.forms import Fields, Filled, query
from notifier.web.public import places
from notifier.web.service import database
from subscribers import areas
from subscribers.areas import Found, Result, Terminated
from subscribers.postcodes import Suggested
from templates import lookup

POSTCODE_BYTES = 256


def postcode_in(sent: Fields) -> str | None:
    """The postcode asked about. 400 where it is sent twice, 413 above 256 bytes."""
    text = sent.one("postcode")
    if text is not None and len(text.encode("utf-8", "replace")) > POSTCODE_BYTES:
        raise web.HTTPRequestEntityTooLarge(
            max_size=POSTCODE_BYTES, actual_size=len(text), text="That is too long for a postcode."
        )
    return text


async def home(request: web.Request) -> web.Response:
    """`/`: the box; with `?postcode=` the answer, at the same address, so that it can be kept and shared."""
    sent = query(request)
    text = postcode_in(sent)
    if text is None:
        return show(request, "public/home.html")
    async with database(request).transaction(read_only=True) as tx:
        result = await areas.look_up(tx, text)
        ward = result.ward if isinstance(result, Found) else None
        choices = await _choices(tx, result)
        teams = await places.teams_of(tx, ward.code) if ward and not ward.ended else []
    said = areas.words(result)
    found = isinstance(result, Found)
    return show(
        request,
        "public/home.html",
        form=Filled(typed=sent, errors={} if found else {"postcode": lookup.sentence(**said)}),
        result=result,
        ward=None if ward and ward.ended else ward,
        sentence=lookup.sentence(**said),
        outside=lookup.link(**said),
        suggestion=result.postcode if isinstance(result, Suggested) else "",
        choices=choices,
        teams=teams,
    )


async def _choices(tx: Tx, result: Result) -> list[places.Place]:
    """Wards to choose from where the postcode does not settle it, or is not quite right."""
    if isinstance(result, Found | Terminated) and result.borough:
        return await places.wards(tx, [result.borough.code])
    return []


ROUTES = [web.get("/", home)]
