"""Notifications from the area page to the device and off again: real handlers, ledger and worker, a stand-in's device."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import func, select

from channels import vapid
from channels.memory import Memory
from channels.push_web import PushWeb
from channels.registry import Channels
from notifier import config
from notifier.broadcast import approve, draft, plan, report
from notifier.broadcast.preferences import Change, change_preferences
from notifier.db import Database
from notifier.delivery.preview import previews, require_sendable
from notifier.models import Delivery, Team
from notifier.runtime import Service
from notifier.web.app import make_app
from notifier.web.public import push as pages
from notifier.worker import Worker
from subscribers import contact_points
from subscribers.models import ConsentEvent, ContactPoint, Frequency, Subscriber, Subscription
from tests.fakes import push
from tests.fakes.push import Device, FakePush
from tests.integration.ledger import digests_until
from tests.integration.pages import ALDER, BOROUGH, CANAL, PUBLIC_URL, Browser, path_of, seed

OURS = {"Sec-Fetch-Site": "same-origin"}
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # no row differs


@dataclass(kw_only=True)
class House:
    """The service as residents' browsers meet it, and the push services behind them."""

    db: Database
    client: TestClient[Any, Any]
    provider: FakePush
    channel: PushWeb
    worker: Worker

    def device(self) -> Device:
        return self.provider.subscribe(self.channel.public_key)

    async def post(
        self, path: str, body: object, headers: Mapping[str, str] = OURS, **options: Any
    ) -> ClientResponse:
        return await self.client.post(path, json=body, headers=headers, **options)

    async def ask(self, device: Device, what: str = "", area: str = ALDER, language: str = "en") -> Any:
        """What the page's script asks; the answer."""
        response = await self.post(f"/areas/{area}/push{what}", body_of(device, language))
        assert response.status == 200, await response.text()
        return await response.json()

    async def reach(self, kind: str = "priority_update", **changes: Any) -> Any:
        """Whom a draft would reach, and the draft with its team."""
        fields = {"kind": kind, "texts": {"en": ("Patrols tonight", "In the park from **6pm**.")},
                  "areas": (ALDER,), "media": ("push",)}  # fmt: skip
        async with self.db.transaction() as tx:
            team = await tx.scalar(select(Team.id).where(Team.slug == "alder"))
            made = await draft.save(tx, draft.Draft(**(fields | changes)), team=team, author=None)
            await require_sendable(tx, made, self.worker.service.channels, self.worker.service.settings)
            return await approve.reach(tx, made), made, team

    async def publish(self, kind: str = "priority_update", **changes: Any) -> Any:
        """A message of the seeded team to its ward, approved, planned and sent; and whom it reached."""
        reach, made, team = await self.reach(kind, **changes)
        async with self.db.transaction() as tx:
            await approve.approve(tx, made, team=team, officer=None)
        async with self.db.transaction() as tx:
            assert await plan.plan_page(tx, made)
        await self.worker.drain()
        return made, reach


def body_of(device: Device, language: str = "en") -> dict[str, Any]:
    return {"subscription": {"endpoint": device.endpoint, "keys": device.keys}, "language": language}


@pytest.fixture
async def house(db: Database) -> AsyncIterator[House]:
    await seed(db)
    db.carriers = {"email": "memory", "sms": "memory", "push": "push_web"}
    key = vapid.read_key(vapid.make_key())
    settings = {
        "NOTIFIER_BASE_URL": PUBLIC_URL,
        "NOTIFIER_MAIL_DOMAIN": "reply.link.example",
        "NOTIFIER_CHANNELS": "memory",
        "NOTIFIER_TIME_FACTOR": "0.0001",
    }
    async with FakePush() as provider, PushWeb(key, "mailto:a@police.example", url=provider.url) as channel:
        channels = Channels([channel, Memory()])
        service = Service(environment=config.build(settings), db=db, channels=channels)
        async with TestClient(TestServer(make_app(service))) as client:
            yield House(
                db=db, client=client, provider=provider, channel=channel, worker=Worker(service, db.jobs)
            )


async def rows(db: Database, table: Any) -> list[Any]:
    async with db.transaction(read_only=True) as tx:
        return list((await tx.execute(select(table.__table__))).all())


async def test_one_tap_makes_a_person_with_nothing_known_of_them_but_their_device(house: House) -> None:
    device = house.device()
    answer = await house.ask(device, language="cy")
    assert answer["areas"] == [ALDER]
    [person] = [each for each in await rows(house.db, Subscriber) if each.created_via == "page"]
    assert (person.language, person.name_sealed, person.postcode_sealed) == ("cy", None, None)
    [point] = [each for each in await rows(house.db, ContactPoint) if each.medium == "push"]
    assert (point.state, point.subscriber_id, point.verified_at is not None) == ("active", person.id, True)
    assert device.keys["auth"].encode() not in point.address_sealed
    wanted = await rows(house.db, Subscription)
    assert {(each.area_code, each.least_priority, each.frequency) for each in wanted} == {
        (ALDER, "priority", "at_once")
    }
    [given] = await rows(house.db, ConsentEvent)
    assert (given.action, given.wording_version, given.source) == ("given", "2026-11-push", "page")
    await house.worker.drain()
    [welcome] = device.tray.values()
    assert welcome["body"].startswith("Mae hysbysiadau ymlaen ar gyfer Alderbrook")
    assert welcome["url"] == answer["manage_url"]


async def test_the_same_device_again_is_the_same_person_and_another_ward_is_one_more(house: House) -> None:
    device = house.device()
    for area in (ALDER, ALDER, CANAL, CANAL):
        answer = await house.ask(device, area=area)
    assert answer["areas"] == [ALDER, CANAL]
    assert len([each for each in await rows(house.db, Subscriber) if each.created_via == "page"]) == 1
    assert await house.ask(device, "/state") == answer
    await house.worker.drain()
    assert len(device.tray) == 1


async def test_a_message_reaches_the_device_and_a_tap_opens_it_on_the_page(house: House) -> None:
    device = house.device()
    answer = await house.ask(device)
    await house.worker.drain()
    device.tray.clear()
    message, reach = await house.publish("alert")
    assert (reach.at_once, reach.people) == ({"push": 1}, 1)
    [words] = device.tray.values()
    assert words["title"] == "Alderbrook SNT"
    assert words["body"] == "Alert: Patrols tonight.\nIn the park from 6pm."
    assert words["url"] == f"{PUBLIC_URL}/areas/{ALDER}#m-{message}"
    assert words["actions"] == [{"title": "Stop or change", "url": answer["manage_url"]}]
    assert words["urgent"] == "yes"
    assert house.provider.accepted[-1].urgency == "high"
    async with house.db.transaction(read_only=True) as tx:
        found = await report.progress(tx, message)
    assert found is not None
    assert found.by_medium == {"push": {"accepted": 1}}
    page = await (await house.client.get(path_of(words["url"]))).text()
    assert f'id="m-{message}"' in page
    page = await (await house.client.get(path_of(answer["manage_url"]))).text()
    assert "Stop all notifications" in page
    assert "updates.push.services.mozilla.com" in page


async def test_an_officer_sees_the_notification_before_it_goes_out(house: House) -> None:
    await house.ask(house.device())
    _, made, _ = await house.reach("alert", texts={"en": ("Gas leak", "Stay."), "cy": ("Nwy", "Arhoswch.")})
    service = house.worker.service
    async with house.db.transaction(read_only=True) as tx:
        shown = await previews(tx, made, service.channels, service.settings)
    assert [(each.language, each.content.text, each.problem) for each in shown] == [
        ("en", "Alert: Gas leak.\nStay.", ""),
        ("cy", "Rhybudd: Nwy.\nArhoswch.", ""),
    ]


async def test_who_wants_one_a_day_gets_one_notification_of_all(house: House) -> None:
    device = house.device()
    await house.ask(device)
    await house.worker.drain()
    device.tray.clear()
    async with house.db.transaction() as tx:
        contact = await contact_points.find(tx, "push", device.address)
        assert contact is not None
        await change_preferences(tx, contact.id, Change(frequency=Frequency.DAILY), source="web")
    for title in ("Patrols tonight", "Bikes marked"):
        _, reach = await house.publish(texts={"en": (title, "Come.")})
        assert (reach.at_once, reach.waiting) == ({}, {"push": 1})
    assert device.tray == {}
    await digests_until(house.db, house.worker, datetime.now(UTC) + timedelta(days=2))
    await house.worker.drain()
    [words] = device.tray.values()
    assert words["body"] == "Today: Patrols tonight and Bikes marked"
    assert words["url"] == f"{PUBLIC_URL}/areas/{ALDER}"


@on_sqlite
async def test_news_is_left_to_those_who_asked_for_everything(house: House) -> None:
    device = house.device()
    await house.ask(device)
    assert (await house.reach("news"))[0].people == 0
    assert (await house.reach("feedback"))[0].people == 1


async def test_a_device_that_is_gone_is_written_to_no_more(house: House) -> None:
    gone, here = house.device(), house.device()
    for device in (gone, here):
        await house.ask(device)
    await house.worker.drain()
    house.provider.script(gone.endpoint, push.GONE)
    await house.publish()
    states = {each.state for each in await rows(house.db, ContactPoint) if each.medium == "push"}
    assert states == {"active", "bounced"}
    _, reach = await house.publish()
    assert reach.at_once == {"push": 1}
    assert len(here.tray) == 3


async def test_turning_off_ends_one_area_and_with_the_last_one_everything(house: House) -> None:
    device = house.device()
    await house.ask(device)
    await house.ask(device, area=CANAL)
    await house.worker.drain()
    device.tray.clear()
    assert (await house.ask(device, "/stop"))["areas"] == [CANAL]
    assert (await house.reach())[0].people == 0
    for _ in range(2):
        assert await house.ask(device, "/stop", area=CANAL) == {"areas": [], "manage_url": ""}
    [point] = [each for each in await rows(house.db, ContactPoint) if each.medium == "push"]
    assert point.state == "stopped"
    actions = [each.action for each in await rows(house.db, ConsentEvent)]
    assert actions == ["given", "changed", "withdrawn", "withdrawn"]
    await house.worker.drain()
    assert device.tray == {}  # nobody is told by notification that there are none
    assert (await house.ask(device))["areas"] == [ALDER]


@on_sqlite
async def test_a_stop_by_the_link_in_a_notification_counts_on_the_page_too(house: House) -> None:
    device, browser = house.device(), Browser(house.client)
    path = path_of((await house.ask(device))["manage_url"])
    [point] = [each for each in await rows(house.db, ContactPoint) if each.medium == "push"]
    response, _ = await browser.send(path, {"contact": str(point.id)}, to=f"{path}/stop")
    assert response.status == 303
    assert (await house.ask(device, "/state"))["areas"] == []
    response, _ = await browser.send(path, {"contact": str(point.id)}, to=f"{path}/start")
    assert (await house.ask(device, "/state"))["areas"] == [ALDER]


@on_sqlite
async def test_a_fresh_link_comes_as_a_notification(house: House) -> None:
    device, browser = house.device(), Browser(house.client)
    path = path_of((await house.ask(device))["manage_url"])
    _, page = await browser.send(path, {}, to=f"{path}/fresh")
    assert "Check your notifications" in page
    await house.worker.drain()
    link = list(device.tray.values())[-1]["url"]
    _, page = await browser.get(path_of(link))
    assert "Download to read" in page


async def test_a_new_subscription_of_the_browser_goes_on_where_the_old_one_was(house: House) -> None:
    old, new = house.device(), house.device()
    await house.ask(old)
    body = {"old": body_of(old)["subscription"], "new": body_of(new)["subscription"]}
    for _ in range(2):
        response = await house.post("/push/renew", body)
        assert (await response.json())["areas"] == [ALDER]
    assert (await house.ask(old, "/state"))["areas"] == []
    await house.worker.drain()
    old.tray.clear()
    _, reach = await house.publish()
    assert reach.at_once == {"push": 1}
    assert (len(old.tray), len(new.tray)) == (0, 1)


@on_sqlite
async def test_a_stopped_device_is_not_brought_back_by_a_new_subscription(house: House) -> None:
    old, new = house.device(), house.device()
    await house.ask(old)
    await house.ask(old, "/stop")
    body = {"old": body_of(old)["subscription"], "new": body_of(new)["subscription"]}
    assert (await (await house.post("/push/renew", body)).json())["areas"] == []


@on_sqlite
@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}, {"Origin": "https://evil.example"},
     {"Origin": "null"}, {"Origin": PUBLIC_URL, "Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
async def test_only_a_script_of_our_own_page_may_turn_anything_on(
    house: House, headers: dict[str, str]
) -> None:
    for path in (f"/areas/{ALDER}/push", f"/areas/{ALDER}/push/stop", "/push/renew"):
        assert (await house.post(path, body_of(house.device()), headers)).status == 403
    assert [each for each in await rows(house.db, ContactPoint) if each.medium == "push"] == []


@on_sqlite
async def test_a_browser_that_names_only_its_origin_is_believed(house: House) -> None:
    response = await house.post(f"/areas/{ALDER}/push", body_of(house.device()), {"Origin": PUBLIC_URL})
    assert response.status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 400), ("x", 400), ({}, 422),
        ({"subscription": {"endpoint": "https://evil.example/x", "keys": {"p256dh": "a", "auth": "b"}}}, 422),
        ({"subscription": {"endpoint": 1, "keys": {}}}, 422),
        ({"subscription": {"endpoint": "x" * 2000, "keys": {"p256dh": "a", "auth": "b"}}}, 422),
        ({"subscription": "x" * 9000}, 413),
    ],
)  # fmt: skip
@on_sqlite
async def test_what_no_browser_sends_is_refused(house: House, body: object, status: int) -> None:
    response = await house.post(f"/areas/{ALDER}/push", body)
    assert response.status == status


@on_sqlite
async def test_more_than_a_browser_says_is_refused_and_so_is_a_language_we_do_not_offer(house: House) -> None:
    sent = body_of(house.device())
    for body in (sent | {"email": "a@b.example"}, sent | {"language": "tlh"}):
        assert (await house.post(f"/areas/{ALDER}/push", body)).status == 422
    assert (await house.post("/areas/E05000000/push", sent)).status == 422
    response = await house.client.post(f"/areas/{ALDER}/push", data=json.dumps(sent), headers=OURS)
    assert response.status in (403, 415)


@on_sqlite
async def test_an_endpoint_that_is_no_push_service_is_never_kept_nor_called(house: House) -> None:
    sent = body_of(house.device())
    for endpoint in (
        "https://169.254.169.254/x",
        "https://localhost/x",
        "https://fcm.googleapis.com@evil.example/x",
    ):
        sent["subscription"]["endpoint"] = endpoint
        assert (await house.post(f"/areas/{ALDER}/push", sent)).status == 422
    assert [each for each in await rows(house.db, ContactPoint) if each.medium == "push"] == []


@on_sqlite
async def test_so_many_devices_an_hour_and_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_OF_A_VISITOR", 2)
    headers = OURS | {"X-Forwarded-For": "203.0.113.9"}
    found = [
        (await house.post(f"/areas/{ALDER}/push", body_of(house.device()), headers)).status for _ in range(3)
    ]
    assert found == [200, 200, 429]
    other = OURS | {"X-Forwarded-For": "203.0.113.10"}
    assert (await house.post(f"/areas/{ALDER}/push", body_of(house.device()), other)).status == 200


async def test_a_device_turned_on_many_times_at_once_is_one_person(house: House) -> None:
    device = house.device()
    await asyncio.gather(*(house.ask(device, area=area) for area in (ALDER, CANAL) * 3))
    assert (await house.ask(device, "/state"))["areas"] == [ALDER, CANAL]
    async with house.db.transaction(read_only=True) as tx:
        people = await tx.scalar(select(func.count()).where(Subscriber.created_via == "page"))
        notices = await tx.scalar(select(func.count()).where(Delivery.notice_id.is_not(None)))
    assert (people, notices) == (1, 1)


@on_sqlite
async def test_the_page_offers_them_where_they_can_be_had_and_nowhere_else(
    house: House, db: Database
) -> None:
    page = await (await house.client.get(f"/areas/{ALDER}")).text()
    assert f'data-key="{house.channel.public_key}"' in page
    assert '<div data-when="off" hidden>' in page  # no button before the script has looked
    assert "get messages by email or text" in page
    assert "data-push" not in await (await house.client.get(f"/areas/{BOROUGH}")).text()
    without = Service(environment=config.build({}), db=db, channels=Channels([Memory()]))
    async with TestClient(TestServer(make_app(without))) as client:
        page = await (await client.get(f"/areas/{ALDER}")).text()
        assert "data-push" not in page
        assert "<script" not in page
        response = await client.post(f"/areas/{ALDER}/push", json=body_of(house.device()), headers=OURS)
        assert response.status == 404


@on_sqlite
async def test_the_worker_serves_the_whole_site_and_is_looked_at_afresh(house: House) -> None:
    response = await house.client.get("/push.js")
    assert (response.status, response.content_type) == (200, "text/javascript")
    assert response.headers["Cache-Control"] == "no-cache"
    again = await house.client.get("/push.js", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status == 304
    manifest = await house.client.get("/manifest.webmanifest")
    said = await manifest.json(content_type="application/manifest+json")
    assert "start_url" not in said  # it opens where it was added: at the area's page
    for icon in said["icons"]:
        assert (await house.client.get(icon["src"])).content_type == "image/png"
