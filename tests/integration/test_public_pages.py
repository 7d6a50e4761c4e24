"""The public pages over both databases: the whole way in and out, and everything that is not our form."""

import json
from collections.abc import AsyncIterator
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
    client_for,
    notices,
    path_of,
    seed,
    token_in,
)

WISH = [("area", ALDER), ("channel", "email"), ("email", "sam@home.example"), ("topic", "burglary"),
        ("frequency", "at_once"), ("least_priority", "everything"), ("language", "en"), ("consent", "yes")]  # fmt: skip
ATTACKS = ["' OR 1=1--", "SW1A 1AA'; DROP TABLE ward;--", '"><img src=x onerror=alert(1)>', "../../etc/passwd",
           "%00", "SW1A\r\nSet-Cookie: a=b", '=HYPERLINK("http://x")', "%", "_", "*", "\\", "\x00", "\u202eAA1 A1WS",
           "null", "-1", "a" * 256]  # fmt: skip


@pytest.fixture
async def browser(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    """A browser on a seeded service; a form may be sent as fast as the test can."""
    monkeypatch.setattr(sign_up, "FASTEST_PERSON_SECONDS", 0.0)
    await seed(db)
    async with client_for(db) as client:
        yield Browser(client)


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


# --- Forms that are not ours --------------------------------------------------------------------------


async def test_a_form_without_our_token_is_refused_and_nothing_happens(
    db: Database, browser: Browser
) -> None:
    manage = await signed_up(db, browser)
    leave = unsubscribe_url(db.keys, "", await contact_of(db), 0)
    for path in ("/sign-up", "/confirm-text", "/manage", manage, f"{manage}/stop", f"{manage}/fresh", leave):
        for data in ({}, {"form_token": "x"}, {"form_token": ""}):
            response, page = await browser.post(path, data or {"a": "b"})
            assert (path, response.status) == (path, 403)
            assert "one of our own pages" in page
    assert len(await notices(db, "stopped")) == 0


async def test_a_token_of_another_browser_is_refused(db: Database, browser: Browser) -> None:
    async with client_for(db) as client:
        other = Browser(client)
        _, page = await other.get("/sign-up")
    await browser.get("/sign-up")
    response, _ = await browser.post("/sign-up", [*WISH, ("form_token", token_in(page))])
    assert response.status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),
        ({"Origin": "https://link.example"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://link.example.evil.example"}, 403),
    ],
)
async def test_a_form_sent_from_another_site_is_refused(
    browser: Browser, headers: dict[str, str], status: int
) -> None:
    response, _ = await browser.send("/sign-up", wish(), headers=headers)
    assert response.status == status


async def test_other_kinds_of_body_are_refused(browser: Browser) -> None:
    for body, kind in (
        (b"a=b", "text/plain"),
        (b"{}", "application/json"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
    ):
        response, _ = await browser.post("/sign-up", body, headers={"Content-Type": kind})
        assert response.status == 415
    response, _ = await browser.post("/sign-up", {"name": "a" * 70_000})
    assert response.status == 413
    response, _ = await browser.post(
        "/sign-up",
        b"a=b",
        headers={"Content-Encoding": "gzip", "Content-Type": "application/x-www-form-urlencoded"},
    )
    assert response.status in (400, 415)


async def test_a_single_answer_sent_twice_is_refused(browser: Browser) -> None:
    response, _ = await browser.send("/sign-up", wish(email=["a@b.example", "c@d.example"]))
    assert response.status == 400
    response, _ = await browser.get("/?postcode=SW1A+1AA&postcode=SW1A+2AA")
    assert response.status == 400


async def test_links_hold_the_configured_address_whatever_the_request_says(
    db: Database, browser: Browser
) -> None:
    _, page = await browser.get(
        "/sign-up", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    )
    await browser.post("/sign-up", [*WISH, ("form_token", token_in(page))], headers={"Host": "evil.example"})
    assert (await notices(db, "confirm_email"))[-1]["confirm_url"].startswith("https://link.example/confirm/")
    _, feed = await browser.get(f"/areas/{ALDER}.atom", headers={"Host": "evil.example"})
    assert "evil.example" not in feed


# --- What is typed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("postcode", "sentence"),
    [
        ("sw1a1aa", "SW1A 1AA is in Alderbrook, Queensvale."),
        ("SWIA 1AA", "Did you mean SW1A 1AA?"),
        ("SW1", "Enter the full postcode"),
        ("", "Enter the full postcode"),
        ("90210", "That is not a UK postcode"),
        ("EH1 1YZ", "Police Scotland"),
        ("SW1A 9ZZ", "has not been used since March 2019"),
        ("SW1A 2AA", "Choose your ward"),
    ],
)
async def test_each_kind_of_postcode_gets_its_own_sentence(
    browser: Browser, postcode: str, sentence: str
) -> None:
    response, page = await browser.get("/", params={"postcode": postcode})
    assert response.status == 200
    assert sentence in page


async def test_hostile_postcodes_are_answered_shown_as_text_and_never_run(browser: Browser) -> None:
    for text in ATTACKS:
        response, page = await browser.get("/", params={"postcode": text})
        assert (text, response.status) == (text, 200)
        assert "<img" not in page
        assert "Set-Cookie" not in response.headers or "a=b" not in response.headers["Set-Cookie"]
    for raw in ("%ED%A0%80", "%FF%FE", "%00", "a" * 257, "a" * 5000):
        response, _ = await browser.get(f"/?postcode={raw}")
        assert response.status in (200, 400, 413)
    response, _ = await browser.get(f"/?postcode={'a' * 257}")
    assert response.status == 413


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"email": "plainaddress"}, "Enter an email address like name@example.com"),
        ({"email": "a@b.com\r\nBcc: v@x.com"}, "Enter an email address like name@example.com"),
        ({"email": ""}, "Enter an email address like name@example.com"),
        ({"email": "sam@gmial.com"}, "Did you mean gmail.com?"),
        ({"email": "sam@gmail.con"}, "Did you mean gmail.com?"),
        ({"email": "postmaster@force.police.uk"}, "Use another one"),
        ({"email": "x@reply.link.example"}, "Use another one"),
        ({"channel": None}, "Choose email, text message or both"),
        ({"channel": "fax"}, "Choose email, text message or both"),
        ({"channel": ["email", "sms"]}, "Enter a UK mobile number, like 07700 900000"),
        ({"channel": "sms", "phone": "07640 123456"}, "We can only text UK mobiles"),
        ({"channel": "sms", "phone": "020 7946 0991"}, "Enter a UK mobile number"),
        ({"consent": None}, "Tick the box if you agree"),
        ({"topic": "999999"}, "Choose topics from the list"),
        ({"area": None}, "Choose at least one area"),
        ({"area": "E05000000"}, "Choose an area that our teams work in"),
        ({"area": "x\x00"}, "Choose an area that our teams work in"),
        ({"under13": "yes"}, "You must be 13 or over"),
        ({"name": "A" * 101}, "Shorten the name"),
        ({"name": "http://spam.example"}, "Enter a name, not a web address"),
        ({"language": "klingon"}, "Choose a language from the list"),
        ({"frequency": "hourly"}, "Choose how often"),
    ],
)
async def test_what_needs_mending_is_said_beside_the_field_and_kept(
    browser: Browser, changed: dict[str, Any], sentence: str
) -> None:
    response, page = await browser.send("/sign-up", wish(**changed))
    assert response.status == 422
    assert page.count(sentence) == 2  # in the summary and beside the field
    assert "<title>Error: " in page
    if "email" not in changed:
        assert "sam@home.example" in page


async def test_everything_that_is_wrong_is_said_at_once(browser: Browser) -> None:
    response, page = await browser.send("/sign-up", {"channel": "email", "email": "x"})
    assert response.status == 422
    for sentence in ("Choose at least one area", "Enter an email address", "Tick the box"):
        assert sentence in page


async def test_a_doubted_address_is_kept_when_the_person_says_so(db: Database, browser: Browser) -> None:
    response, page = await browser.send("/sign-up", wish(email="sam@gmial.com"))
    assert 'name="email_kept" value="sam@gmial.com"' in page
    response, _ = await browser.send("/sign-up", wish(email="sam@gmial.com", email_kept="sam@gmial.com"))
    assert response.status == 303
    assert len(await notices(db, "confirm_email")) == 1


@pytest.mark.parametrize(
    "name",
    [
        "<b>Bob</b>",
        "{{config}}",
        "=cmd()",
        "Robert'); DROP TABLE",
        "\u202eevil",
        "Z̸̢a̷l̵g̶o̴",
        "李",
        "Null",
        "a\x00b",
    ],
)
async def test_names_are_stored_as_they_are_and_shown_as_text(
    db: Database, browser: Browser, name: str
) -> None:
    response, page = await browser.send("/sign-up", wish(name=name, consent=None))
    assert response.status == 422
    assert "<b>Bob" not in page
    response, _ = await browser.send("/sign-up", wish(name=name))
    assert response.status == 303


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
