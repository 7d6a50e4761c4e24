"""The whole loop in the demo, in a real browser: no provider, no account, no script on the page.

A resident signs up by postcode and confirms; a sergeant writes, previews and approves; the resident
replies to what came; the reply stands in the team's queue; the officer's answer comes back.
"""

import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from notifier.staff.demo import PASSWORD
from tests.browser import needs_chromium
from tests.processes import free_port
from tests.providers import Notifier, until

pytestmark = needs_chromium


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a demo of our own, started as a newcomer starts it."""
    tmp_path = tmp_path_factory.mktemp("demo")
    port, lmtp = free_port(), free_port()
    settings = {
        "NOTIFIER_LISTEN": f"127.0.0.1:{port}",
        "NOTIFIER_INBOUND_LISTEN": f"lmtp://127.0.0.1:{lmtp}",
    }
    stand_ins = f"{sys.executable} -m tests.fakes"
    process = Notifier(settings, "demo", "--stand-ins", stand_ins, log=tmp_path / "demo.log", folder=tmp_path)
    process.start()
    try:
        try:
            await until(lambda: "Nothing real is sent" in process.said(), seconds=90, what="the demo is up")
        except AssertionError as late:
            log = (tmp_path / "demo" / "log.jsonl").read_text()[-3000:]
            raise AssertionError(f"{late}\n{process.said()}\n{log}") from None
        yield f"http://127.0.0.1:{port}"
        assert process.stop() == 0, process.said()
    finally:
        process.kill()


@pytest.fixture(params=[390], ids=["phone"])  # the pages of a desk are looked at in test_desk_in_browser
async def page(request: pytest.FixtureRequest, browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(
        viewport={"width": request.param, "height": 844}, java_script_enabled=False, locale="en-GB"
    )
    yield await context.new_page()
    await context.close()


def resident(page: Page) -> str:
    """Somebody else on each screen."""
    width = page.viewport_size["width"] if page.viewport_size else 0
    return f"neighbour{width}@mail.example"


def title(page: Page) -> str:
    return f"Lights on the towpath {resident(page)[9:-13]}"


def complaint(page: Page) -> str:
    return f"Step {resident(page)[9:-13]} is still dark"


async def keep(page: Page, name: str) -> None:
    """A picture of the page, where NOTIFIER_TEST_PICTURES names a folder to look at afterwards."""
    if folder := os.environ.get("NOTIFIER_TEST_PICTURES"):
        width = page.viewport_size["width"] if page.viewport_size else 0
        await page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)


async def sign_up(page: Page, demo: str) -> None:
    await page.goto(demo)
    await page.get_by_label("Your postcode").fill("qv1 1aa")
    await page.get_by_role("button", name="Find your team").click()
    await (
        page.get_by_role("link", name="Get messages about Abbey")
        .or_(page.get_by_role("button", name="Get messages about Abbey"))
        .click()
    )
    await page.get_by_label("Email", exact=True).check()
    await page.get_by_label("Email address").fill(resident(page))
    await page.get_by_label(re.compile("I am 13 or over")).check()
    await page.wait_for_timeout(2100)  # nobody fills this in faster; robots do
    await keep(page, "1-sign-up")
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(
        re.compile("check|email", re.IGNORECASE)
    )
    await keep(page, "2-sent")


async def newest_to_resident(page: Page, demo: str, subject: str) -> str:
    """The address of the newest mail of that subject, once it is in the outbox."""

    async def is_there() -> bool:
        await page.goto(f"{demo}/demo/outbox?to={resident(page)}")
        return await page.locator(f'iframe[title*="{subject}"]').count() > 0

    await until(is_there, seconds=20, what=f"a mail “{subject}” in the outbox")
    source = await page.locator(f'iframe[title*="{subject}"]').first.get_attribute("src")
    return f"{demo}{source}"


async def confirm(page: Page, demo: str) -> None:
    mail = await newest_to_resident(page, demo, "onfirm")
    await page.goto(mail)
    await keep(page, "3-confirm-mail")
    link = await page.locator('a[href*="/confirm/"]').first.get_attribute("href")
    assert link is not None
    await page.goto(link)
    await page.get_by_role("main").get_by_role("button").first.click()
    await keep(page, "4-confirmed")
    await newest_to_resident(page, demo, "You are signed up")


async def publish(page: Page, demo: str) -> None:
    await page.goto(f"{demo}/desk")
    await page.get_by_label(re.compile("email", re.IGNORECASE)).fill("sergeant@queensvale.example")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("main").get_by_role("button", name=re.compile("Sign in")).click()
    await keep(page, "5-team")
    await page.get_by_role("link", name="Write a message").first.click()
    await page.get_by_label("Update on a priority").check()
    await page.get_by_label("Title", exact=True).fill(title(page))
    await page.get_by_label("Message", exact=True).fill(
        "All six lights work again. **Is it better?** Tell us."
    )
    await page.get_by_label("Abbey", exact=True).check()
    await keep(page, "6-compose")
    await page.get_by_role("button", name="Preview").click()
    await keep(page, "7-preview")
    await page.get_by_role("button", name=re.compile("Approve|Send")).first.click()
    await keep(page, "8-progress")


async def reply(page: Page, demo: str) -> None:
    await newest_to_resident(page, demo, title(page))
    card = page.locator("article", has=page.locator(f'iframe[title*="{title(page)}"]')).first
    entry = page.locator(".sent", has=card).first if await page.locator(".sent").count() else page
    await entry.get_by_text("Reply as this resident").first.click()
    await entry.get_by_label(re.compile("Reply by email")).first.fill(f"Much better. {complaint(page)}.")
    await keep(page, "9-reply")
    await entry.get_by_role("button", name="Send the reply").first.click()


async def answer(page: Page, demo: str) -> None:
    async def is_queued() -> bool:
        await page.goto(f"{demo}/desk/queue")
        return await page.get_by_text(complaint(page)).count() > 0

    await until(is_queued, seconds=20, what="the reply stands in the queue")
    await keep(page, "10-queue")
    conversation = await page.locator("a[href*='/desk/conversations/']", has_text="").all()
    for link in conversation:
        await page.goto(f"{demo}{await link.get_attribute('href')}")
        if await page.get_by_text(complaint(page)).count():
            break
        await page.go_back()
    await expect(page.get_by_text("It answers a message of this team")).to_be_visible()
    await page.get_by_label(re.compile("Your answer")).fill("Thank you. We will ask for a light there.")
    await keep(page, "11-conversation")
    await page.get_by_role("button", name="Send the answer").click()


@pytest.mark.timeout(180)
async def test_the_loop_from_sign_up_to_the_officer_s_answer(demo: str, page: Page) -> None:
    await sign_up(page, demo)
    await confirm(page, demo)
    await publish(page, demo)
    await reply(page, demo)
    await answer(page, demo)

    async def answered() -> bool:
        await page.goto(f"{demo}/demo/outbox?to={resident(page)}")
        return "ask for a light there" in await page.content()

    await until(answered, seconds=20, what="the officer's answer reached the resident")
    await keep(page, "12-answered")
