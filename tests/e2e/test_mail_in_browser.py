"""Each kind of mail in a real browser: nothing for axe to find, nothing wider than a small screen, by day and by night."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.browser import needs_chromium
from tests.unit.templates.mails import every_kind

pytestmark = needs_chromium

WIDTHS = (320, 600)
LIGHTS: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 600), ("dark", 320))
SHOWN = {"message", "digest", "confirm_email", "answer", "welcome", "acknowledgement"}


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """Without script, as in mail programs; axe brings its own."""
    context = await browser.new_context(reduced_motion="reduce")
    yield await context.new_page()
    await context.close()


async def test_every_kind_of_mail_can_be_read_by_everybody_on_any_screen(page: Page, tmp_path: Path) -> None:
    found = []
    for mail in every_kind():
        if mail.name not in SHOWN:
            continue
        file = tmp_path / f"{mail.name}-{mail.language}.html"
        file.write_text(mail.content.html, encoding="utf-8")
        await page.goto(file.as_uri())
        for scheme, width in LIGHTS:
            await page.emulate_media(color_scheme=scheme)
            await page.set_viewport_size({"width": width, "height": 800})
            result = await Axe().run(page)
            found += [f"{file.stem} {scheme} {width}: {each['id']}" for each in result.response["violations"]]
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append(f"{file.stem} is wider than {width}")
    assert found == []


async def test_the_night_is_dark_and_the_button_stays_a_button(page: Page, tmp_path: Path) -> None:
    (mail,) = (each for each in every_kind() if (each.name, each.language) == ("confirm_email", "en"))
    file = tmp_path / "mail.html"
    file.write_text(mail.content.html, encoding="utf-8")
    await page.goto(file.as_uri())
    await page.set_viewport_size({"width": 320, "height": 800})
    button = page.get_by_role("link", name="Confirm my email")
    seen = {}
    for scheme, _ in LIGHTS:
        await page.emulate_media(color_scheme=scheme)
        card = page.locator(".card")
        colours = [await each.evaluate("e => getComputedStyle(e).backgroundColor") for each in (card, button)]
        seen[scheme] = colours
    assert seen == {
        "light": ["rgb(255, 255, 255)", "rgb(10, 80, 96)"],
        "dark": ["rgb(21, 36, 43)", "rgb(108, 195, 205)"],
    }
    box = await button.bounding_box()
    assert box is not None
    assert box["height"] >= 44


async def test_words_read_from_the_right_stand_at_the_right(page: Page, tmp_path: Path) -> None:
    (mail,) = (each for each in every_kind() if each.language == "ur")
    file = tmp_path / "mail.html"
    file.write_text(mail.content.html, encoding="utf-8")
    await page.goto(file.as_uri())
    words = page.locator('[lang="ur"]')
    assert await words.evaluate("e => [e.dir, getComputedStyle(e).textAlign]") == ["rtl", "right"]
    assert await page.locator("html").get_attribute("lang") == "en"
