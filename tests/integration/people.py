"""What the tests about people share: sign up, follow the link, read what was planned."""

import json
from typing import Any
from uuid import UUID

from sqlalchemy import select

from notifier.broadcast import welcome
from notifier.broadcast.welcome import Confirmed, SignUpForm
from notifier.db import Database, Tx
from notifier.delivery.wording import VARIABLES
from notifier.models import Notice
from subscribers import contact_points
from subscribers.contact_points import Contact
from tests.world import ward

URL = "https://link.example"
EMAIL, PHONE = "sam@mail.example", "+447700900123"


def form(**values: Any) -> SignUpForm:
    return SignUpForm(**({"email": EMAIL, "area_codes": (ward(0),)} | values))


async def sign_up(db: Database, **values: Any) -> None:
    async with db.transaction() as tx:
        await welcome.sign_up(tx, form(**values), public_url=URL)


async def notices(tx: Tx, template: str | None = None) -> list[dict[str, Any]]:
    """Variables of the notices planned so far, oldest first, with template, contact point and language."""
    rows = await tx.execute(select(Notice.__table__).order_by(Notice.id))
    return [
        json.loads(tx.keys.open(VARIABLES, row.id, row.variables_sealed))
        | {"template": row.template, "to": row.contact_point_id, "language": row.language}
        for row in rows
        if template in (None, row.template)
    ]


async def templates_of(db: Database) -> list[str]:
    async with db.transaction() as tx:
        return [each["template"] for each in await notices(tx)]


async def last_token(db: Database) -> str:
    """The token of the newest confirm link."""
    async with db.transaction() as tx:
        url: str = (await notices(tx, "confirm_email"))[-1]["confirm_url"]
    assert url.startswith(f"{URL}/confirm/")
    return url.removeprefix(f"{URL}/confirm/")


async def follow(db: Database, token: str) -> object:
    async with db.transaction() as tx:
        return await welcome.confirm_link(tx, token, public_url=URL)


async def joined(db: Database, **values: Any) -> Confirmed:
    """Signed up by email, and confirmed."""
    await sign_up(db, **values)
    confirmed = await follow(db, await last_token(db))
    assert isinstance(confirmed, Confirmed)
    return confirmed


async def last_code(db: Database) -> str:
    async with db.transaction() as tx:
        code: str = (await notices(tx, "confirm_sms"))[-1]["code"]
    return code


async def contact(db: Database, medium: str, address: str) -> Contact:
    async with db.transaction() as tx:
        found = await contact_points.find(tx, medium, address)
    assert found is not None
    return found


async def contact_of(db: Database, contact_point: UUID) -> Contact:
    async with db.transaction() as tx:
        found = await contact_points.get(tx, contact_point)
    assert found is not None
    return found
