"""The public pages in a real browser: nothing for axe to find, nothing wider than the screen, no script.

On a desk by day and a phone by night, from the postcode box to the fresh link; scripts are off throughout
except for axe itself.
"""

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from aiohttp.test_utils import TestClient
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, ViewportSize

from notifier.db import Database
from tests.browser import needs_chromium
from tests.integration.pages import ALDER, BOROUGH, CANAL, client_for, notices, seed

pytestmark = [*needs_chromium, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

SCREENS: dict[str, ViewportSize] = {
    "phone": {"width": 390, "height": 844},
    "desktop": {"width": 1280, "height": 900},
}
LIGHTS: tuple[tuple[Literal["light", "dark"], str], ...] = (("light", "desktop"), ("dark", "phone"))
STILL = ["/", "/?postcode=SW1A1AA", "/?postcode=SWIA1AA", "/?postcode=SW1A9ZZ", "/sign-up", f"/sign-up?area={ALDER}",
         "/sign-up/sent?by=email", "/sign-up/sent?by=sms", "/confirm-text", "/manage", f"/areas/{ALDER}",
         f"/areas/{CANAL}", f"/areas/{BOROUGH}", "/privacy", "/accessibility", "/confirm/x", "/nothing"]  # fmt: skip


@pytest.fixture
async def web_client(db: Database) -> AsyncIterator[TestClient[Any, Any]]:
    """The seeded service; over plain HTTP, so that the browser keeps its cookies."""
    await seed(db)
    async with client_for(db, public_url="http://link.example") as client:
        yield client


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of Debian's Chromium, still, so that no colour is caught half way."""
    context = await browser.new_context(reduced_motion="reduce")
    yield await context.new_page()
    await context.close()


async def faults_of(page: Page) -> list[str]:
    """What axe finds, and whether the page is wider than its screen: on a desk by day, on a phone by night."""
    found = []
    for scheme, screen in LIGHTS:
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.set_viewport_size(SCREENS[screen])
        result = await Axe().run(page)
        found += [f"{page.url} {scheme} {screen}: {each['id']}" for each in result.response["violations"]]
        if await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{page.url} {screen}: wider than the screen")
    return found


async def test_every_public_page_is_accessible(web_client: TestClient[Any, Any], page: Page) -> None:
    found = []
    for path in STILL:
        await page.goto(str(web_client.make_url("/")).rstrip("/") + path)
        found += await faults_of(page)
    assert found == []


async def test_a_resident_finds_their_way_from_the_postcode_to_everything_held(
    db: Database, web_client: TestClient[Any, Any], page: Page
) -> None:
    base = str(web_client.make_url("/")).rstrip("/")

    async def press(words: str) -> None:
        await page.get_by_role("button", name=words).click()

    async def follow(address: str) -> None:
        await page.goto(base + address.removeprefix("http://link.example"))

    found = []
    await page.goto(base)
    await page.get_by_label("Your postcode").fill("sw1a 1aa")
    await press("Find your team")
    await page.get_by_role("link", name="Get messages about Alderbrook").click()
    await press("Sign up")
    assert await page.locator(".error-summary").is_visible()
    found += await faults_of(page)

    await page.get_by_label("Email", exact=True).check()
    await page.get_by_label("Email address").fill("sam@gmial.com")
    await page.get_by_label("I am 13 or over").check()
    await page.wait_for_timeout(500)
    await press("Sign up")
    assert await page.locator("#email-error", has_text="Did you mean gmail.com?").is_visible()
    await page.get_by_label("Email address").fill("sam@home.example")
    await page.wait_for_timeout(500)
    await press("Sign up")
    await page.get_by_role("heading", name="Check your email").wait_for()

    await follow((await notices(db, "confirm_email"))[-1]["confirm_url"])
    found += await faults_of(page)
    await press("Yes, start my messages")
    await page.get_by_role("heading", name="You are signed up").wait_for()
    found += await faults_of(page)

    await page.set_viewport_size(SCREENS["phone"])
    await follow((await notices(db, "welcome"))[-1]["manage_url"])
    await page.get_by_label("Once a week").check()
    await press("Save my choices")
    await page.get_by_role("heading", name="Your choices are saved").wait_for()
    found += await faults_of(page)

    await press("Send me a fresh link")
    await follow((await notices(db, "fresh_link"))[-1]["fresh_url"])
    found += await faults_of(page)
    assert await page.get_by_role("button", name="Erase everything about me").is_visible()
    await press("Stop all emails")
    await page.get_by_role("heading", name="Stopped").wait_for()
    found += await faults_of(page)
    assert found == []
