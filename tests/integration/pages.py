"""A small served borough, and a browser of a kind, for the tests of the public pages."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from html import unescape
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import insert, select

from channels.registry import Channels
from notifier import config
from notifier.db import Database
from notifier.models import (
    Consultation,
    Message,
    MessageArea,
    MessageText,
    Notice,
    Team,
    TeamArea,
    TeamContactPoint,
    WardPriority,
)
from notifier.runtime import Service
from notifier.web.app import make_app
from subscribers.contact_points import ADDRESS
from subscribers.models import Area, ContactPoint, Postcode, new_id
from subscribers.topics import ensure_topics

BOROUGH, ALDER, CANAL = "E09999001", "E05999001", "E05999002"
PUBLIC_URL = "https://link.example"
WISH = [("area", ALDER), ("channel", "email"), ("email", "sam@home.example"), ("topic", "burglary"),
        ("frequency", "at_once"), ("least_priority", "everything"), ("language", "en"), ("consent", "yes")]  # fmt: skip


async def seed(db: Database) -> None:
    """A borough of two wards, a few postcodes, one team with an address, a number and an account."""
    async with db.transaction() as tx:
        await ensure_topics(tx)
        areas = [(BOROUGH, "borough", "Queensvale", None), (ALDER, "ward", "Alderbrook", BOROUGH),
                 (CANAL, "ward", "Canalside", BOROUGH)]  # fmt: skip
        for code, kind, name, parent in areas:
            await tx.execute(
                insert(Area).values(code=code, kind=kind, name=name, parent_code=parent, served=True)
            )
        postcodes = [("SW1A 1AA", ALDER, None), ("SW1A 2AA", None, None), ("SW1A 9ZZ", CANAL, "2019-03")]
        for postcode, ward, ended in postcodes:
            await tx.execute(
                insert(Postcode).values(
                    postcode=postcode, ward_code=ward, borough_code=BOROUGH, terminated=ended
                )
            )
        team = new_id()
        await tx.execute(insert(Team).values(id=team, slug="alder", name="Alderbrook SNT", kind="snt"))
        await tx.execute(insert(TeamArea).values(team_id=team, area_code=ALDER, since=tx.now))
        reached = [("email", "alder@police.example", "reply"), ("sms", "+447700900123", "sender"),
                   ("social", "@aldersnt", "post")]  # fmt: skip
        for medium, address, use in reached:
            contact = new_id()
            await tx.execute(
                insert(ContactPoint).values(
                    id=contact,
                    medium=medium,
                    state="active",
                    created_at=tx.now,
                    address_sealed=tx.keys.seal(ADDRESS, contact, address),
                    address_hash=tx.keys.address_hash(medium, address),
                )
            )
            await tx.execute(insert(TeamContactPoint).values(team_id=team, contact_point_id=contact, use=use))
        await _publish(tx, team)


async def _publish(tx: Any, team: Any) -> None:
    message = new_id()
    await tx.execute(
        insert(Message).values(
            id=message,
            team_id=team,
            form_key="1",
            kind="alert",
            lane=0,
            state="done",
            criteria={},
            created_at=tx.now,
            published_at=tx.now,
        )
    )
    body = "Doors were **forced** & <b>kicked</b>."
    await tx.execute(
        insert(MessageText).values(
            message_id=message, language="en", title="Break-ins & <more>", body=body, content_hash=b"0" * 32
        )
    )
    await tx.execute(insert(MessageArea).values(message_id=message, area_code=ALDER))
    await tx.execute(
        insert(WardPriority).values(
            id=new_id(),
            area_code=ALDER,
            title="Mopeds at night",
            state="open",
            agreed_on=tx.now,
            asked="What worries you?",
            you_said="Mopeds",
            we_did="Stopped 31 riders",
        )
    )
    await tx.execute(
        insert(Consultation).values(
            id=new_id(),
            team_id=team,
            area_code=ALDER,
            title="Winter patrols",
            purpose="Where should we walk?",
            decision_to_inform="d",
            decision_maker="The ward panel",
            cannot_change="Money",
            opens=tx.now - timedelta(days=1),
            closes=tx.now + timedelta(days=9),
            feedback_by=tx.now + timedelta(days=30),
            state="open",
        )
    )


def client_for(db: Database, public_url: str = PUBLIC_URL) -> TestClient[Any, Any]:
    """A browser of a kind: keeps cookies, follows nothing by itself."""
    settings = {"NOTIFIER_BASE_URL": public_url, "NOTIFIER_MAIL_DOMAIN": "reply.link.example"}
    service = Service(environment=config.build(settings), db=db, channels=Channels([]))
    return TestClient(TestServer(make_app(service)))


class Browser:
    """Loads a page, fills its form with the page's own token, sends it."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client
        self._cookies: dict[str, str] = {}

    async def get(self, path: str, **options: Any) -> tuple[ClientResponse, str]:
        response = await self.client.get(
            path, allow_redirects=False, headers=self._headers(options.pop("headers", {})), **options
        )
        self._keep(response)
        return response, await response.text()

    async def post(
        self, path: str, data: Any, *, headers: Mapping[str, str] | None = None
    ) -> tuple[ClientResponse, str]:
        response = await self.client.post(
            path, data=data, allow_redirects=False, headers=self._headers(headers or {})
        )
        self._keep(response)
        return response, await response.text()

    async def send(
        self, page: str, values: Any, *, to: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[ClientResponse, str]:
        """Load `page`, then post `values` with its token to `to` (the page itself where none is given)."""
        _, text = await self.get(page)
        pairs = list(values.items()) if isinstance(values, dict) else list(values)
        return await self.post(to or page, [*pairs, ("form_token", token_in(text))], headers=headers)

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        """Cookies by hand: the pages say `Secure`, and the tests' server speaks plain HTTP."""
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return ({"Cookie": cookies} if cookies else {}) | dict(more)

    def _keep(self, response: ClientResponse) -> None:
        for name, morsel in response.cookies.items():
            self._cookies[name] = morsel.value


def token_in(text: str) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', text)
    return unescape(found[1]) if found else ""


async def notices(db: Database, template: str) -> list[dict[str, Any]]:
    """The variables of every notice of a template, oldest first."""
    async with db.transaction(read_only=True) as tx:
        rows = await tx.execute(
            select(Notice.id, Notice.variables_sealed)
            .where(Notice.template == template)
            .order_by(Notice.created_at)
        )
        return [
            json.loads(tx.keys.open_text("notices.variables", row.id, row.variables_sealed)) for row in rows
        ]


def path_of(url: str) -> str:
    assert url.startswith(PUBLIC_URL)
    return url.removeprefix(PUBLIC_URL)


def wish(**changed: Any) -> list[tuple[str, str]]:
    """The usual form, some of it changed; a list gives a field several values, None takes it away."""
    kept = [(name, value) for name, value in WISH if name not in changed]
    more = [
        (name, one)
        for name, value in changed.items()
        if value is not None
        for one in (value if isinstance(value, list) else [value])
    ]
    return kept + more


async def signed_up(db: Database, browser: Browser, **changed: Any) -> str:
    """Sign up and confirm by email; the path of the manage page."""
    response, _ = await browser.send("/sign-up", wish(**changed))
    assert response.status == 303
    link = path_of((await notices(db, "confirm_email"))[-1]["confirm_url"])
    response, text = await browser.send(link, {})
    assert (response.status, "You are signed up" in text) == (200, True)
    return path_of((await notices(db, "welcome"))[-1]["manage_url"])


async def contact_of(db: Database) -> Any:
    async with db.transaction(read_only=True) as tx:
        return await tx.scalar(select(ContactPoint.id).where(ContactPoint.subscriber_id.is_not(None)))
