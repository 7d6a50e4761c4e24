"""`/demo`: what there is to try, in the order in which it makes sense."""

from aiohttp import web
from sqlalchemy import select

from notifier.db import Tx
from notifier.staff import demo
from notifier.web.context import show
from notifier.web.demo.access import require_demo
from notifier.web.service import database
from subscribers.models import Area, Postcode

MOST_POSTCODES = 4


async def page(request: web.Request) -> web.Response:
    """GET."""
    require_demo(request)
    async with database(request).transaction(read_only=True) as tx:
        sign_ins = await demo.sign_ins(tx)
        postcodes = await _postcodes(tx)
    return show(request, "demo/landing.html", sign_ins=sign_ins, postcodes=postcodes, password=demo.PASSWORD)


async def _postcodes(tx: Tx) -> list[tuple[str, str]]:
    """A postcode in each of a few served wards, with the ward's name."""
    rows = await tx.execute(
        select(Postcode.postcode, Area.name)
        .join(Area, Area.code == Postcode.ward_code)
        .where(Area.served.is_(True), Postcode.terminated.is_(None))
        .order_by(Postcode.postcode)
        .limit(200)
    )
    by_ward = {row.name: row.postcode for row in rows}
    return [(postcode, ward) for ward, postcode in sorted(by_ward.items())][:MOST_POSTCODES]


ROUTES = [web.get("/demo", page)]
