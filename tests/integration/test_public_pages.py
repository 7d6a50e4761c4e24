"""The public pages over both databases: the whole way in and out, and everything that is not our form."""

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import func, select

from notifier.db import Database
from notifier.delivery.tokens import unsubscribe_url
from notifier.models import Notice
from notifier.web.public import sign_up
from subscribers.models import ConsentEvent, ContactPoint, ContactPointState, Subscriber
from tests.integration.pages import (
    ALDER,
    BOROUGH,
    CANAL,
    Browser,
    contact_of,
    notices,
    path_of,
    signed_up,
    token_in,
    wish,
)

# --- The whole way ------------------------------------------------------------------------------


async def test_a_resident_signs_up_confirms_changes_stops_and_comes_back(
    db: Database, browser: Browser
) -> None:
    manage = await signed_up(db, browser)
    _, page = await browser.get(manage)
    assert "s…@home.example" in page

    response, _ = await browser.send(
        manage,
        [("area", ALDER), ("area", CANAL), ("topic", "news"), ("frequency", "weekly"),
         ("least_priority", "urgent"), ("language", "cy")],
    )  # fmt: skip
    assert response.headers["Location"] == f"{manage}?said=saved"
    _, page = await browser.get(f"{manage}?said=saved")
    assert "Your choices are saved" in page
    assert 'value="weekly" checked' in page
    assert '<option value="cy" selected>' in page

    leave = unsubscribe_url(db.keys, "", await contact_of(db), 0)
    _, page = await browser.send(leave, {})
    assert "You will get no more emails" in page
    assert len(await notices(db, "stopped")) == 1
    _, page = await browser.send(leave, {"action": "undo"}, to=leave)
    assert "Sign up" in page or "You are back" in page


async def test_what_a_scanner_does_with_links_changes_nothing(db: Database, browser: Browser) -> None:
    await browser.send("/sign-up", wish())
    link = path_of((await notices(db, "confirm_email"))[-1]["confirm_url"])
    for method in ("GET", "HEAD", "OPTIONS"):
        await browser.client.request(method, link)
    async with db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(Subscriber)) == 0

    await browser.send(link, {})
    leave = unsubscribe_url(db.keys, "", await contact_of(db), 0)
    response, page = await browser.get(leave)
    assert (response.status, "Stop our emails?" in page) == (200, True)
    async with db.transaction(read_only=True) as tx:
        states = (
            await tx.execute(select(ContactPoint.state).where(ContactPoint.subscriber_id.is_not(None)))
        ).scalars()
        assert set(states) == {ContactPointState.ACTIVE}


async def test_a_mail_program_unsubscribes_with_one_click_and_no_cookie(
    db: Database, browser: Browser
) -> None:
    await signed_up(db, browser)
    leave = unsubscribe_url(db.keys, "", await contact_of(db), 0)
    response = await browser.client.post(
        leave, data={"List-Unsubscribe": "One-Click"}, headers={"Cookie": ""}
    )
    assert response.status == 200
    again = await browser.client.post(leave, data={"List-Unsubscribe": "One-Click"})
    assert again.status == 200
    assert len(await notices(db, "stopped")) == 1
    async with db.transaction(read_only=True) as tx:
        sources = (
            await tx.execute(select(ConsentEvent.source).where(ConsentEvent.action == "withdrawn"))
        ).scalars()
        assert list(sources) == ["header"]


async def test_both_addresses_are_confirmed_one_after_the_other(db: Database, browser: Browser) -> None:
    await signed_up(db, browser, channel=["email", "sms"], phone="07700 900111")
    code = (await notices(db, "confirm_sms"))[-1]["code"]
    wrong = "111111" if code != "111111" else "222222"
    response, page = await browser.send("/confirm-text", {"phone": "07700900111", "code": wrong})
    assert (response.status, "That code is wrong" in page) == (422, True)
    response, page = await browser.send(
        "/confirm-text", {"phone": "+44 7700 900111", "code": f"{code[:3]} {code[3:]}"}
    )
    assert (response.status, "You are signed up" in page) == (200, True)


async def test_everything_held_opens_by_a_fresh_link_alone(db: Database, browser: Browser) -> None:
    manage = await signed_up(db, browser, name="=cmd()")
    for path in (f"{manage}/held.json", f"{manage}/held.csv"):
        response, text = await browser.get(path)
        assert (response.status, "home.example" in text) == (403, False)
    response, _ = await browser.send(manage, {"sure": "yes"}, to=f"{manage}/erase")
    assert response.status == 403

    await browser.send(manage, {}, to=f"{manage}/fresh")
    fresh = path_of((await notices(db, "fresh_link"))[-1]["fresh_url"])
    response, text = await browser.get(f"{fresh}/held.json")
    assert "sam@home.example" in json.dumps(json.loads(text))
    response, text = await browser.get(f"{fresh}/held.csv")
    assert response.headers["Content-Disposition"] == 'attachment; filename="what-we-hold.csv"'
    assert '"\'=cmd()"' in text

    response, page = await browser.send(fresh, {}, to=f"{fresh}/erase")
    assert (response.status, "Tick the box" in page) == (422, True)
    response, page = await browser.send(fresh, {"sure": "yes"}, to=f"{fresh}/erase")
    assert (response.status, "You are erased" in page) == (200, True)
    response, _ = await browser.get(manage)
    assert response.status == 404


async def test_an_old_link_stops_no_address_but_its_own(db: Database, browser: Browser) -> None:
    manage = await signed_up(db, browser, channel=["email", "sms"], phone="07700 900111")
    code = (await notices(db, "confirm_sms"))[-1]["code"]
    await browser.send("/confirm-text", {"phone": "07700 900111", "code": code})
    async with db.transaction(read_only=True) as tx:
        phone = await tx.scalar(
            select(ContactPoint.id).where(
                ContactPoint.subscriber_id.is_not(None), ContactPoint.medium == "sms"
            )
        )
    response, _ = await browser.send(manage, {"contact": str(phone)}, to=f"{manage}/stop")
    assert response.status == 404


# --- Nobody learns who is signed up ----------------------------------------------------------------


async def test_known_and_unknown_addresses_get_the_same_answer(db: Database, browser: Browser) -> None:
    await signed_up(db, browser)
    answers = []
    for address in ("sam@home.example", "else@home.example"):
        response, _ = await browser.send("/sign-up", wish(email=address))
        _, page = await browser.get(response.headers["Location"])
        answers.append((response.status, response.headers["Location"], page))
    assert answers[0][:2] == answers[1][:2]
    assert answers[0][2].replace(token_in(answers[0][2]), "") == answers[1][2].replace(
        token_in(answers[1][2]), ""
    )
    sent = [
        await browser.send("/manage", {"medium": "email", "address": a})
        for a in ("sam@home.example", "x@y.example")
    ]
    assert sent[0][1] == sent[1][1]


async def test_links_that_are_wrong_used_up_or_cut_get_one_page(db: Database, browser: Browser) -> None:
    manage = await signed_up(db, browser)
    token = manage.rpartition("/")[2]
    bent = ("a" if token[0] != "a" else "b") + token[1:]
    for kind in ("manage", "confirm", "unsubscribe"):
        for wrong in (bent, token[:-1], "x", "A" * 300):
            response, page = await browser.get(f"/{kind}/{wrong}")
            assert response.status == 404
            assert "home.example" not in page
    response, _ = await browser.get(f"/manage/{'A' * 4000}")
    assert response.status == 404


@pytest.mark.parametrize(("mark", "fastest"), [({"website": "x"}, 0.0), ({}, 60.0)])
async def test_a_form_that_a_program_filled_in_is_answered_like_any_other_and_forgotten(
    db: Database, browser: Browser, monkeypatch: pytest.MonkeyPatch, mark: dict[str, Any], fastest: float
) -> None:
    monkeypatch.setattr(sign_up, "FASTEST_PERSON_SECONDS", fastest)
    response, _ = await browser.send("/sign-up", wish(**mark))
    assert response.headers["Location"] == "/sign-up/sent?by=email"
    async with db.transaction(read_only=True) as tx:
        assert await tx.scalar(select(func.count()).select_from(Notice)) == 0


# --- The pages themselves -----------------------------------------------------------------------------------


async def test_an_areas_page_shows_its_team_its_work_and_its_messages(browser: Browser) -> None:
    response, page = await browser.get(f"/areas/{ALDER}")
    assert response.status == 200
    for words in ("Alderbrook SNT", "alder@police.example", "07700 900123", "Mopeds at night", "Stopped 31 riders",
                  "Winter patrols", "Break-ins &amp; &lt;more&gt;", "<strong>forced</strong>"):  # fmt: skip
        assert words in page
    assert "<b>kicked" not in page
    response, page = await browser.get(f"/areas/{BOROUGH}")
    assert f"/areas/{CANAL}" in page
    response, page = await browser.get(f"/areas/{CANAL}")
    assert "No messages yet" in page


async def test_the_feed_is_atom_with_absolute_links(browser: Browser) -> None:
    response, text = await browser.get(f"/areas/{ALDER}.atom")
    assert response.content_type == "application/atom+xml"
    space = "{http://www.w3.org/2005/Atom}"
    root = ElementTree.fromstring(text)  # noqa: S314  # our own words
    entry = root.find(f"{space}entry")
    assert entry is not None
    assert entry.findtext(f"{space}title") == "Break-ins & <more>"
    assert "<strong>forced</strong>" in (entry.findtext(f"{space}content") or "")
    assert all(link.get("href", "").startswith("https://link.example/") for link in root.iter(f"{space}link"))


@pytest.mark.parametrize(
    "path",
    ["/areas/nowhere", "/areas/%00", "/areas/..%2fx", "/nothing", "/static/..%2fapp.py", "/static/nope.css"],
)
async def test_what_is_not_there_is_a_page_that_helps(browser: Browser, path: str) -> None:
    response, _ = await browser.get(path)
    assert response.status == 404


@pytest.mark.parametrize(
    "path", ["/", "/sign-up", "/manage", "/privacy", "/accessibility", "/confirm-text", "/nothing"]
)
async def test_every_page_carries_its_protection(browser: Browser, path: str) -> None:
    response, page = await browser.get(path)
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "style=" not in page
    assert "<script" not in page
    for cookie in response.headers.getall("Set-Cookie", []):
        assert cookie.startswith("__Host-")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {
            part.strip() for part in cookie.split(";")
        }


async def test_styles_are_kept_for_a_year_under_the_hash_of_their_content(browser: Browser) -> None:
    _, page = await browser.get("/")
    address = page.split('rel="stylesheet" href="')[1].split('"')[0]
    response, _ = await browser.get(address)
    assert "immutable" in response.headers["Cache-Control"]
    response, _ = await browser.get(address.partition("?")[0])
    assert response.headers["Cache-Control"] == "no-cache"
    response, _ = await browser.get(address, headers={"If-None-Match": response.headers["ETag"]})
    assert response.status == 304


async def test_the_service_says_whether_it_is_alive_and_ready_and_what_it_counts(browser: Browser) -> None:
    assert (await browser.get("/health/live"))[0].status == 200
    assert (await browser.get("/health/ready"))[0].status == 200
    _, text = await browser.get("/metrics")
    assert 'notifier_requests_total{method="GET",route="/health/ready",status="200"} 1.0' in text
    assert 'notifier_deliveries_open{state="pending"} 0' in text
