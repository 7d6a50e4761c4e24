"""An area's feeds, from the desk's press to what a warning system reads: alerts that change, and nothing unpublished."""

import json
import xml.etree.ElementTree as ET
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from channels.memory import Memory
from notifier.broadcast import approve, correct, draft, plan, recall
from notifier.db import Database
from notifier.models import Message, MessageState
from notifier.staff import audit
from notifier.worker import Worker
from tests import cap_rules
from tests.integration.ledger import publish, world_of
from tests.integration.pages import ALDER, BOROUGH, CANAL, Browser, client_for
from tests.world import BOROUGH as TESTHAM
from tests.world import World, ward

ABBEY = ward(0)
CAP = "{urn:oasis:names:tc:emergency:cap:1.2}"
ATOM = "{http://www.w3.org/2005/Atom}"
ENDINGS = ("atom", "json", "ics", "cap")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no row differs


async def read(db: Database, path: str) -> tuple[int, bytes]:
    async with client_for(db) as client:
        response = await client.get(path)
        return response.status, await response.read()


async def index(db: Database, area: str = ABBEY) -> list[tuple[str, str]]:
    """(what each alert of the index does, where it is)."""
    _, body = await read(db, f"/areas/{area}.cap")
    found = []
    for entry in ET.fromstring(body).findall(f"{ATOM}entry"):  # noqa: S314 - our own
        kind, link = entry.find(f"{ATOM}category"), entry.find(f"{ATOM}link")
        assert kind is not None
        assert link is not None
        found.append((kind.get("term", ""), link.get("href", "").removeprefix("https://link.example")))
    return found


async def alert(db: Database, message: UUID) -> dict[str, str]:
    """The alert of a message, which keeps the standard's rules: element → text of the message and of its English."""
    status, body = await read(db, f"/alerts/{message}.cap")
    assert (status, cap_rules.faults(body)) == (200, [])
    root = ET.fromstring(body)  # noqa: S314 - our own
    parts = [*root, *(root.find(f"{CAP}info") or ())]
    return {part.tag.removeprefix(CAP): part.text or "" for part in parts}


async def warn(db: Database, worker: Worker, world: World, **changes: Any) -> UUID:
    fields = {"kind": "alert", "wards": (0,), "texts": {"en": ("Gas leak", "Stay **inside**.")}} | changes
    made: UUID = await publish(db, world, **fields)
    await worker.drain()
    return made


async def withdraw(db: Database, world: World, message: UUID) -> None:
    """As the desk does."""
    async with db.transaction() as tx:
        await tx.execute(update(Message).where(Message.id == message).values(state=MessageState.SENDING))
        await recall.cancel(tx, message, team=world.teams[0])
        await audit.record(tx, "officer:1", "cancelled", object_kind="messages", object_id=message)


async def test_an_alert_stands_in_the_feed_of_its_ward_and_in_no_other(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    message = await warn(
        db, worker, world, texts={"en": ("Gas leak", "Stay **inside**."), "cy": ("Nwy", "Arhoswch.")}
    )
    await publish(db, world, wards=(0,), kind="news")
    assert await index(db) == [("Alert", f"/alerts/{message}.cap")]
    assert await index(db, ward(1)) == []
    said = await alert(db, message)
    assert (said["status"], said["msgType"], said["headline"]) == ("Actual", "Alert", "Gas leak")
    assert said["sender"] == "link.example/abbey-bridge"
    assert said["description"].strip() == "Stay inside."
    async with db.transaction(read_only=True) as tx:
        at = await tx.scalar(select(Message.published_at).where(Message.id == message))
    assert said["sent"] == f"{at:%Y-%m-%dT%H:%M:%S}-00:00"
    assert said["expires"] == f"{at + timedelta(hours=6):%Y-%m-%dT%H:%M:%S}-00:00"


async def test_a_correction_updates_the_alert_and_a_correction_of_that_names_both(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    made = [await warn(db, worker, world)]
    for title in ("It was water", "It was nothing"):
        async with db.transaction() as tx:
            await tx.execute(update(Message).values(state=MessageState.DONE))
            begun, team = await correct.begin(tx, made[-1], teams=None)
            texts = {"en": (title, "Sorry.")}
            changed = draft.Draft(**{**vars(begun), "texts": texts, "form_key": title})
            message = await draft.save(tx, changed, team=team, author=None)
            await approve.approve(tx, message, team=team, officer=None)
        async with db.transaction() as tx:
            await plan.plan_page(tx, message)
        await worker.drain()
        made.append(message)
    first, second, third = [await alert(db, each) for each in made]
    assert [each["msgType"] for each in (first, second, third)] == ["Alert", "Update", "Update"]
    named = [f"link.example/abbey-bridge,{each['identifier']},{each['sent']}" for each in (first, second)]
    assert second["references"] == named[0]
    assert third["references"] == " ".join(named)
    assert await index(db) == [("Update", f"/alerts/{made[-1]}.cap")]


async def test_an_alert_that_is_withdrawn_is_cancelled_and_gone_from_the_pages(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    message = await warn(db, worker, world)
    before = await alert(db, message)
    tags = await etags(db, ABBEY)
    await withdraw(db, world, message)
    said = await alert(db, message)
    assert (said["msgType"], said["identifier"]) == ("Cancel", f"{message}.cancel")
    assert said["references"] == f"link.example/abbey-bridge,{message},{before['sent']}"
    assert said["note"] == "This alert has been withdrawn."
    assert await index(db) == [("Cancel", f"/alerts/{message}.cap")]
    after = await etags(db, ABBEY)
    assert [ending for ending in ENDINGS if tags[ending] != after[ending]] == ["atom", "json", "cap"]
    for path in (f"/areas/{ABBEY}", f"/areas/{ABBEY}.atom", f"/areas/{ABBEY}.json"):
        assert b"Gas leak" not in (await read(db, path))[1]


async def test_what_has_not_gone_out_is_read_by_nobody(db: Database, worker: Worker, memory: Memory) -> None:
    world = await world_of(db)
    async with db.transaction(read_only=True) as tx:
        later = tx.now + timedelta(hours=5)
    scheduled = await publish(db, world, wards=(0,), kind="alert", send_at=later)
    paused = await publish(db, world, wards=(0,), kind="alert", send_at=later, form_key="2")
    stopped = await publish(db, world, wards=(0,), kind="alert", send_at=later, form_key="3")
    async with db.transaction() as tx:
        await recall.pause(tx, paused, team=world.teams[0])
        await recall.cancel(tx, stopped, team=world.teams[0])
        written = draft.Draft(kind="alert", texts={"en": ("Draft", "x")}, areas=(ABBEY,), media=("email",))
        unsent = await draft.save(tx, written, team=world.teams[0], author=None)
    news = await publish(db, world, wards=(0,), kind="news", form_key="4")
    assert await index(db) == []
    for message in (scheduled, paused, stopped, unsent, news, UUID(int=7)):
        assert (await read(db, f"/alerts/{message}.cap"))[0] == 404
    for path in ("/alerts/x.cap", "/alerts/..%2f.cap", "/areas/nowhere.cap", f"/areas/{ABBEY}.rss"):
        assert (await read(db, path))[0] == 404
    for ending, times in (("", 1), (".atom", 1), (".json", 1), (".ics", 0)):  # the news alone
        assert (await read(db, f"/areas/{ABBEY}{ending}"))[1].count(b"Patrols tonight") == times


async def etags(db: Database, area: str) -> dict[str, str]:
    async with client_for(db) as client:
        return {ending: (await client.get(f"/areas/{area}.{ending}")).headers["ETag"] for ending in ENDINGS}


@on_sqlite
@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_feed_that_has_not_changed_is_not_sent_again(browser: Browser, ending: str) -> None:
    path = f"/areas/{ALDER}.{ending}"
    response, text = await browser.get(path)
    assert (response.status, bool(text)) == (200, True)
    assert response.headers["Cache-Control"] == "public, max-age=60"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Last-Modified" not in response.headers
    tag = response.headers["ETag"]
    for asked in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        again, text = await browser.get(path, headers={"If-None-Match": asked})
        assert (again.status, text, again.headers["ETag"]) == (304, "", tag)
    again, _ = await browser.get(path, headers={"If-None-Match": '"x"'})
    assert again.status == 200
    head = await browser.client.head(path)
    assert (head.status, head.headers["ETag"], await head.read()) == (200, tag, b"")


@on_sqlite
async def test_the_page_names_every_feed_for_programs_and_for_people(browser: Browser) -> None:
    _, page = await browser.get(f"/areas/{ALDER}")
    for ending in ENDINGS:
        assert f'href="/areas/{ALDER}.{ending}">' in page
        response, _ = await browser.get(f"/areas/{ALDER}.{ending}")
        assert f'<link rel="alternate" type="{response.content_type}"' in page
    for area in (BOROUGH, CANAL):
        assert (await browser.get(f"/areas/{area}.ics"))[0].status == 200


@on_sqlite
async def test_a_consultation_is_in_the_calendar_with_its_end_and_with_when_people_hear_back(
    browser: Browser,
) -> None:
    response, text = await browser.get(f"/areas/{ALDER}.ics")
    assert response.headers["Content-Type"] == "text/calendar; charset=utf-8"
    lines = text.replace("\r\n ", "").split("\r\n")
    assert [line for line in lines if line.startswith("SUMMARY:")] == [
        "SUMMARY:Have your say by now: Winter patrols",
        "SUMMARY:We tell you what was decided: Winter patrols",
    ]
    assert len({line for line in lines if line.startswith("UID:")}) == 2
    assert sum(line.startswith("DTSTART;VALUE=DATE:") for line in lines) == 1


async def test_a_reply_by_time_is_in_the_calendar(db: Database, worker: Worker, memory: Memory) -> None:
    world = await world_of(db)
    async with db.transaction(read_only=True) as tx:
        until = tx.now + timedelta(days=3)
    await publish(db, world, wards=(0,), kind="consultation", reply_by=until)
    _, body = await read(db, f"/areas/{ABBEY}.ics")
    assert f"DTSTART:{until:%Y%m%dT%H%M%SZ}\r\n".encode() in body
    assert b"SUMMARY:Reply by now: Patrols tonight" in body


@on_sqlite
async def test_json_feed_tells_what_the_page_tells(browser: Browser) -> None:
    response, text = await browser.get(f"/areas/{ALDER}.json")
    assert response.content_type == "application/feed+json"
    [item] = json.loads(text)["items"]
    assert item["title"] == "Break-ins & <more>"
    assert "<strong>forced</strong>" in item["content_html"]
    assert "<b>kicked" not in item["content_html"]


async def test_a_boroughs_alert_is_an_alert_of_each_of_its_wards(
    db: Database, worker: Worker, memory: Memory
) -> None:
    world = await world_of(db)
    message = await warn(db, worker, world, areas=(TESTHAM,))
    for area in (ward(0), ward(5), TESTHAM):
        assert await index(db, area) == [("Alert", f"/alerts/{message}.cap")]
    _, body = await read(db, f"/alerts/{message}.cap")
    areas = [each.text for each in ET.fromstring(body).iter(f"{CAP}areaDesc")]  # noqa: S314 - our own
    assert areas == ["Testham"]
