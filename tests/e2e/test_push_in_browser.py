"""Notifications in a real browser: the button that is never dead, the worker that shows what comes, and the tap on it.

Chromium has no push service here. So where the browser would make a subscription the stand-in's device makes it, and
what the device decrypts is handed to the browser as its push service would have: everything between is real.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page

from channels import vapid
from channels.memory import Memory
from channels.push_web import PushWeb
from channels.registry import Channels
from notifier import config
from notifier.db import Database
from notifier.runtime import Service
from notifier.web.app import make_app
from notifier.worker import Worker
from tests.browser import needs_chromium
from tests.fakes.push import Device, FakePush
from tests.integration.pages import ALDER, CANAL, seed
from tests.integration.test_push import House
from tests.processes import free_port

pytestmark = [*needs_chromium, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

# The browser's own push manager, but for the service it would ask.
PUSH_SERVICE = """
const given = %s, made = {
  ...given, toJSON: () => given, options: {},
  unsubscribe: async () => { localStorage.removeItem("subscribed"); return true; },
};
PushManager.prototype.subscribe = async function (options) {
  made.options = options;
  if (!options.userVisibleOnly || options.applicationServerKey.length !== 65) throw new TypeError("options");
  localStorage.setItem("subscribed", "yes");
  return made;
};
PushManager.prototype.getSubscription = async () => (localStorage.getItem("subscribed") ? made : null);
"""
TAP = """async (action) => {
  const [notification] = await self.registration.getNotifications();
  const opened = [], kept = self.clients.openWindow;
  self.clients.openWindow = async (url) => opened.push(url);
  self.dispatchEvent(new NotificationEvent("notificationclick", { notification, action }));
  for (let tries = 0; !opened.length && tries < 100; tries += 1) await new Promise((done) => setTimeout(done, 20));
  self.clients.openWindow = kept;
  return opened;
}"""


@pytest.fixture
async def house(db: Database) -> AsyncIterator[House]:
    """The service at the very address that the browser loads, so that its links are the browser's own."""
    await seed(db)
    db.carriers = {"email": "memory", "push": "push_web"}
    port = free_port()
    settings = {
        "NOTIFIER_BASE_URL": f"http://127.0.0.1:{port}",
        "NOTIFIER_MAIL_DOMAIN": "reply.link.example",
        "NOTIFIER_CHANNELS": "memory",
        "NOTIFIER_TIME_FACTOR": "0.0001",
    }
    key = vapid.read_key(vapid.make_key())
    async with FakePush() as provider, PushWeb(key, "mailto:a@police.example", url=provider.url) as channel:
        service = Service(environment=config.build(settings), db=db, channels=Channels([channel, Memory()]))
        async with TestClient(TestServer(make_app(service), port=port)) as client:
            yield House(
                db=db, client=client, provider=provider, channel=channel, worker=Worker(service, db.jobs)
            )


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    made = await browser.new_context(reduced_motion="reduce", viewport={"width": 390, "height": 844})
    yield made
    await made.close()


def address(house: House, area: str = ALDER) -> str:
    return str(house.client.make_url(f"/areas/{area}"))


async def opened(house: House, context: BrowserContext, device: Device) -> Page:
    """The area's page in a browser whose reader lets it show notifications."""
    origin = str(house.client.make_url("/")).rstrip("/")
    await context.grant_permissions(["notifications"], origin=origin)
    await context.add_init_script(PUSH_SERVICE % json.dumps(device.subscription))
    page = await context.new_page()
    await page.goto(address(house))
    return page


async def push_to(page: Page, context: BrowserContext, words: dict[str, Any]) -> list[dict[str, Any]]:
    """Hand words to the browser as its push service would; the notifications it shows then."""
    tools = await context.new_cdp_session(page)
    found: list[str] = []
    tools.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.extend(each["registrationId"] for each in event["registrations"]),
    )
    await tools.send("ServiceWorker.enable")
    while not found:
        await page.wait_for_timeout(20)
    origin = await page.evaluate("location.origin")
    sent = {"origin": origin, "registrationId": found[-1], "data": json.dumps(words)}
    await tools.send("ServiceWorker.deliverPushMessage", sent)
    shown: list[dict[str, Any]] = await page.evaluate(
        """async (tag) => {
          const registration = await navigator.serviceWorker.ready;
          for (let tries = 0; tries < 200; tries += 1) {
            const all = await registration.getNotifications();
            if (all.some((each) => each.tag === tag)) {
              return all.map(({ title, body, tag, lang, dir, actions, requireInteraction }) =>
                ({ title, body, tag, lang, dir, actions: actions.map((each) => each.title), requireInteraction }));
            }
            await new Promise((done) => setTimeout(done, 20));
          }
          return [];
        }""",
        words["tag"],
    )
    return shown


async def test_from_the_tap_on_the_page_to_the_tap_on_the_notification(
    house: House, context: BrowserContext
) -> None:
    device = house.device()
    page = await opened(house, context, device)
    await page.get_by_role("button", name="Turn on notifications").click()
    await page.get_by_text("You get notifications about Alderbrook").wait_for()
    assert not await page.get_by_role("button", name="Turn on notifications").is_visible()
    assert await page.evaluate("document.activeElement.id") == "push-title"
    await house.worker.drain()
    device.tray.clear()

    message, _ = await house.publish("alert", texts={"en": ("Gas leak", "Stay inside.")})
    [words] = device.tray.values()
    for _ in range(2):  # a second try replaces the first
        shown = await push_to(page, context, words)
        assert shown == [
            {"title": "Alderbrook SNT", "body": "Alert: Gas leak.\nStay inside.", "tag": words["tag"],
             "lang": "en", "dir": "auto", "actions": ["Stop or change"], "requireInteraction": True}
        ]  # fmt: skip
    [worker] = context.service_workers
    assert await worker.evaluate(TAP, "0") == [words["actions"][0]["url"]]
    shown = await push_to(page, context, words | {"url": "https://evil.example/"})
    assert await worker.evaluate(TAP, "") == [str(house.client.make_url("/"))]
    await push_to(page, context, words)
    assert await worker.evaluate(TAP, "") == [f"{address(house)}#m-{message}"]

    await page.reload()
    await page.get_by_text("You get notifications about Alderbrook").wait_for()
    assert "/manage/" in (
        await page.get_by_role("link", name="Choose what you get").get_attribute("href") or ""
    )
    await page.goto(address(house, CANAL))
    await page.get_by_role("button", name="Turn on notifications").wait_for()
    await page.goto(address(house))
    await page.get_by_role("button", name="Turn off").click()
    await page.get_by_role("button", name="Turn on notifications").wait_for()
    assert await page.evaluate("localStorage.getItem('subscribed')") is None
    assert (await house.ask(device, "/state"))["areas"] == []


async def test_a_service_that_cannot_be_reached_is_said_and_can_be_tried_again(
    house: House, context: BrowserContext
) -> None:
    page = await opened(house, context, house.device())
    await page.route("**/push", lambda route: route.abort())
    await page.get_by_role("button", name="Turn on notifications").click()
    await page.get_by_text("That did not work").wait_for()
    await page.unroute("**/push")
    await page.get_by_role("button", name="Try again").click()
    await page.get_by_text("You get notifications about Alderbrook").wait_for()


async def test_without_scripts_without_support_and_where_they_are_blocked_no_button_is_dead(
    house: House, browser: Browser, context: BrowserContext
) -> None:
    still = await browser.new_context(java_script_enabled=False)
    page = await still.new_page()
    await page.goto(address(house))
    section = page.locator("section.push")
    assert await section.get_by_role("button").count() == 0
    assert await section.get_by_role("link", name="get messages by email or text").is_visible()
    await still.close()

    await context.add_init_script("delete window.PushManager")
    page = await context.new_page()
    await page.goto(address(house))
    assert await page.locator("section.push").get_by_role("button").count() == 0
    await context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'standalone', { value: false })"
    )
    await page.reload()
    await page.get_by_text("Add to Home Screen").wait_for()

    refused = await browser.new_context()
    page = await refused.new_page()
    await page.add_init_script("Object.defineProperty(Notification, 'permission', { value: 'denied' })")
    await page.goto(address(house))
    await page.get_by_text("This browser blocks our notifications").wait_for()
    assert await page.locator("section.push").get_by_role("button").count() == 0
    await refused.close()


async def test_each_state_of_the_page_is_accessible_and_fits_a_small_phone(
    house: House, context: BrowserContext
) -> None:
    page = await opened(house, context, house.device())
    found = []
    for state in ("off", "on", "failed", "blocked", "install", "unable"):
        await page.evaluate("(state) => say(state)", state)
        for width in (320, 1280):
            await page.set_viewport_size({"width": width, "height": 900})
            if width == 320 or state == "off":
                result = await Axe().run(page)
                found += [f"{state} {width}: {each['id']}" for each in result.response["violations"]]
            if await page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            ):
                found.append(f"{state}: wider than {width}")
    assert found == []
