"""The demo's outbox: each message as its reader sees it, links that work, and replies by the real doors."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from channels.outbox import Kept, Outbox, read_box
from channels.registry import Channels
from notifier import config
from notifier.broadcast import approve, draft, welcome
from notifier.broadcast.welcome import SignUpForm
from notifier.db import Database
from notifier.inbox import queue
from notifier.models import Conversation, ConversationEntry, Role
from notifier.runtime import Service
from notifier.staff import demo
from notifier.worker import Worker
from subscribers.models import ContactPoint, Subscriber
from tests.integration.desk import Client, Desk, run_jobs, token_in
from tests.integration.desk import open_desk as open_any_desk
from tests.world import ward


@pytest.fixture
async def box(db: Database, tmp_path: Path) -> AsyncIterator[Desk]:
    """A demonstration whose every medium goes to a folder."""
    db.carriers = {"email": "outbox", "sms": "outbox", "social": "outbox"}
    async with open_any_desk(db) as desk, Outbox(tmp_path / "box") as outbox:
        environment = config.build(
            {
                "NOTIFIER_DEMO": "true",
                "NOTIFIER_OUTBOX_DIR": str(tmp_path / "box"),
                "NOTIFIER_BASE_URL": "http://link.example",
                "NOTIFIER_MAIL_DOMAIN": "link.example",
                "NOTIFIER_TIME_FACTOR": "0.0001",
            }
        )
        desk.service = Service(environment=environment, db=db, channels=Channels([outbox]))
        desk.worker = Worker(desk.service, db.jobs)
        yield desk


@pytest.fixture
async def client(box: Desk) -> AsyncIterator[Client]:
    async with box.browser() as browser:
        yield browser


async def publish(box: Desk) -> None:
    """A message of the first team to its two wards, sent."""
    written = draft.Draft(
        kind="priority_update",
        texts={"en": ("Patrols tonight", "We will be in the park from 6pm.")},
        areas=(ward(0), ward(1)),
        media=("email", "sms", "social"),
    )
    async with box.db.transaction() as tx:
        message = await draft.save(tx, written, team=box.world.teams[0], author=None)
        await approve.approve(tx, message, team=box.world.teams[0], officer=None)
    await box.settle()


async def reply(client: Client, attempt: str, text: str) -> tuple[int, str]:
    page = await (await client.get("/demo/outbox")).text()
    data = {"form_token": token_in(page), "text": text}
    response = await client.post(f"/demo/outbox/{attempt}/reply", data=data)
    return response.status, await response.text()


def kept(box: Desk, medium: str) -> list[Kept]:
    folder = Path(box.service.environment.for_channels()["NOTIFIER_OUTBOX_DIR"])
    return [each for each in read_box(folder) if each.medium == medium]


async def test_nothing_of_it_is_there_outside_a_demo(db: Database) -> None:
    async with open_any_desk(db) as desk, desk.browser() as client:
        page = await (await client.get("/desk/sign-in")).text()
        for path in ("/demo", "/demo/outbox", "/demo/outbox/x/email"):
            assert (await client.get(path)).status == 404
        data = {"form_token": token_in(page), "text": "hello"}
        assert (await client.post("/demo/outbox/x/reply", data=data)).status == 404
        assert demo.PASSWORD not in page


async def test_the_demo_says_what_to_try_and_who_may_sign_in(box: Desk, client: Client) -> None:
    await box.officer("priya@force.example", Role.SERGEANT, box.world.teams[0], name="Sgt Priya Nair")
    for path in ("/demo", "/desk/sign-in"):
        page = await (await client.get(path)).text()
        assert "Sgt Priya Nair" in page
        assert "priya@force.example" in page
        assert demo.PASSWORD in page


async def test_each_message_is_shown_as_its_reader_sees_it(box: Desk, client: Client) -> None:
    assert "Nothing has been sent yet" in await (await client.get("/demo/outbox")).text()
    await publish(box)
    page = await (await client.get("/demo/outbox")).text()
    assert page.count('class="phone"') == 4
    assert page.count("<iframe") == 4
    assert page.count('class="post"') == 1
    frame = re.search(r'<iframe [^>]*src="([^"]+)" sandbox="([^"]+)"', page)
    assert frame
    assert "allow-scripts" not in frame[2]
    async with client.get(frame[1]) as response:
        html = await response.text()
        assert '<base target="_top">' in html
        assert "sandbox" in response.headers["Content-Security-Policy"]
    address = box.world.addresses[box.world.points[box.world.subscribers[0], "sms"]]
    alone = await (await client.get("/demo/outbox", params={"to": address})).text()
    assert alone.count('class="phone"') == 1


async def test_a_reply_by_text_stands_in_the_teams_queue(box: Desk, client: Client) -> None:
    await publish(box)
    text = kept(box, "sms")[0]
    status, page = await reply(client, text.attempt, "Thank you. The gate is broken")
    assert (status, "Your reply is in" in page) == (200, True)
    await run_jobs(box)
    async with box.db.transaction(read_only=True) as tx:
        rows = await queue.team_queue(tx, [box.world.teams[0]])
    assert [row.snippet for row in rows] == ["Thank you. The gate is broken"]


async def test_a_reply_by_email_is_threaded_verified_and_shows_its_new_words(
    box: Desk, client: Client
) -> None:
    await publish(box)
    mail = kept(box, "email")[0]
    await reply(client, mail.attempt, "Yes please.\nEvery evening.")
    await run_jobs(box)
    async with box.db.transaction(read_only=True) as tx:
        rows = await queue.team_queue(tx, [box.world.teams[0]])
        assert [row.snippet for row in rows] == ["Yes please. Every evening."]
        assert rows[0].subject == "Patrols tonight"
        assert await tx.scalar(select(ConversationEntry.verified)) is True
        assert await tx.scalar(select(func.count()).select_from(Conversation)) == 1


async def test_an_empty_reply_and_a_message_that_is_none_are_refused(box: Desk, client: Client) -> None:
    await publish(box)
    text = kept(box, "sms")[0]
    status, page = await reply(client, text.attempt, "  ")
    assert (status, "Write a reply" in page) == (422, True)
    for attempt in ("unknown", "..%2f..%2fnotifier", "%2e%2e"):
        assert (await reply(client, attempt, "hello"))[0] == 404
        assert (await client.get(f"/demo/outbox/{attempt}/email")).status == 404
    assert (await client.get(f"/demo/outbox/{text.attempt}/email")).status == 404


async def test_a_resident_signs_up_and_confirms_with_the_link_in_the_outbox(
    box: Desk, client: Client
) -> None:
    async with box.db.transaction() as tx:
        form = SignUpForm(area_codes=(ward(0),), email="new@mail.example")
        await welcome.sign_up(tx, form, public_url="http://link.example")
    await box.settle()
    page = await (await client.get("/demo/outbox", params={"to": "new@mail.example"})).text()
    link = re.search(r'<a href="http://link\.example(/confirm/[a-z0-9]+)"', page)
    assert link
    confirm = await (await client.get(link[1])).text()
    await client.post(link[1], data={"form_token": token_in(confirm)})
    async with box.db.transaction(read_only=True) as tx:
        hashed = tx.keys.address_hash("email", "new@mail.example")
        found = await tx.scalar(
            select(func.count())
            .select_from(Subscriber)
            .join(ContactPoint, ContactPoint.subscriber_id == Subscriber.id)
            .where(ContactPoint.address_hash == hashed)
        )
    assert found == 1
