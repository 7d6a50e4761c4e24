"""The desk and the demo's pages in a real browser: nothing for axe to find, nothing wider than the screen."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from channels.base import Refusal, Refused
from channels.outbox import Outbox
from channels.registry import Channels
from notifier import config
from notifier.db import Database
from notifier.models import Role
from notifier.runtime import Service
from notifier.worker import Worker
from tests.browser import needs_chromium
from tests.e2e.test_public_pages_in_browser import faults_of, page  # noqa: F401 - the page is a fixture
from tests.integration.desk import PASSWORD, Desk, open_desk, text_in

pytestmark = [*needs_chromium, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

EMAIL = "sam@force.example"


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db) as opened:
        await opened.officer(EMAIL, Role.SERGEANT, opened.world.teams[0])
        yield opened


async def test_every_page_of_the_desk_is_accessible(desk: Desk, page: Page) -> None:  # noqa: F811
    person = desk.world.subscribers[0]
    address = desk.world.addresses[desk.world.points[person, "email"]]
    desk.memory.script(address, Refused(why=Refusal.BAD_ADDRESS, reason="no such mailbox"))
    await text_in(desk, "999 help, the lights are out and he followed me")
    found = []
    async with desk.browser() as client:
        base = str(client.make_url("/")).rstrip("/")
        await page.goto(f"{base}/desk")
        found += await faults_of(page)
        await sign_in(page)
        found += await faults_of(page)

        await page.get_by_role("link", name="Replies", exact=True).click()
        found += await faults_of(page)
        await page.locator(".worklist a").first.click()
        found += await faults_of(page)
        await page.get_by_label("Your answer, by text message").fill("We are on our way")
        await page.get_by_role("button", name="How long is it?").click()
        found += await faults_of(page)
        await page.get_by_role("button", name="Send the answer").click()
        await page.get_by_text("Leave a note for colleagues").click()
        await page.get_by_label("Note", exact=True).fill("Rang her back")
        await page.get_by_role("button", name="Keep the note").click()
        found += await faults_of(page)

        await page.goto(f"{base}/desk/messages/new")
        await page.get_by_role("button", name="Preview").click()
        assert await page.locator(".error-summary").is_visible()
        found += await faults_of(page)
        await write(page)
        found += await faults_of(page)
        await send(desk, page)
        found += await faults_of(page)
        await page.locator("a[href*='/desk/deliveries/']").first.click()
        found += await faults_of(page)
        await page.goto(f"{base}/desk")
        found += await faults_of(page)
    assert found == []


async def test_the_time_is_asked_for_only_when_it_is_wanted(desk: Desk, page: Page) -> None:  # noqa: F811
    async with desk.browser() as client:
        await page.goto(str(client.make_url("/desk/messages/new")))
        await sign_in(page)
        await expect(page.get_by_label("Date", exact=True)).to_be_hidden()
        await page.get_by_label("At a time I choose").check()
        await expect(page.get_by_label("Date", exact=True)).to_be_visible()


async def test_a_link_in_a_framed_mail_opens_in_the_whole_window(
    desk: Desk,
    page: Page,  # noqa: F811
    tmp_path: Path,
) -> None:
    desk.db.carriers = {"email": "outbox"}
    async with Outbox(tmp_path / "box") as outbox, desk.browser() as probe:
        base = str(probe.make_url("/")).rstrip("/")
        environment = config.build(
            {"NOTIFIER_DEMO": "true", "NOTIFIER_OUTBOX_DIR": str(outbox.folder), "NOTIFIER_BASE_URL": base}
        )
        desk.service = Service(environment=environment, db=desk.db, channels=Channels([outbox]))
        desk.worker = Worker(desk.service, desk.db.jobs)
        async with desk.browser() as client:
            here = str(client.make_url("/")).rstrip("/")
            await page.goto(f"{here}/desk/messages/new")
            await sign_in(page)
            await write(page)
            await send(desk, page)
            found = []
            for path in ("/demo", "/demo/outbox"):
                await page.goto(here + path)
                found += await faults_of(page)
            assert found == []
            mail = page.frame_locator(".box iframe").first
            await mail.get_by_role("link", name="Your team and what it is working on").click()
            await page.wait_for_url("**/areas/*")


async def sign_in(page: Page) -> None:  # noqa: F811
    await page.get_by_label("Work email address").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("main").get_by_role("button", name="Sign in").click()


async def send(desk: Desk, page: Page) -> None:  # noqa: F811
    """Approve what is previewed, and see it go: the page looks once more by itself when all is sent."""
    await page.get_by_role("button", name="Approve and send").click()
    await desk.settle()
    await expect(page.locator("[data-events]")).to_have_count(0, timeout=15_000)


async def write(page: Page) -> None:  # noqa: F811
    await page.get_by_label("Update on a priority").check()
    await page.get_by_label("Title", exact=True).fill("Patrols in the park")
    await page.get_by_label("Message", exact=True).fill("We are there **every evening**.")
    await page.get_by_label("Abbey", exact=True).check()
    await page.get_by_role("button", name="Preview").click()
