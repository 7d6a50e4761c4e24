"""Forms of the public pages: those that are not ours are refused, and what is typed is mended or kept."""

from typing import Any

import pytest

from notifier.db import Database
from notifier.delivery.tokens import unsubscribe_url
from tests.integration.pages import (
    ALDER,
    WISH,
    Browser,
    client_for,
    contact_of,
    notices,
    signed_up,
    token_in,
    wish,
)

ATTACKS = ["' OR 1=1--", "SW1A 1AA'; DROP TABLE ward;--", '"><img src=x onerror=alert(1)>', "../../etc/passwd",
           "%00", "SW1A\r\nSet-Cookie: a=b", '=HYPERLINK("http://x")', "%", "_", "*", "\\", "\x00", "\u202eAA1 A1WS",
           "null", "-1", "a" * 256]  # fmt: skip


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
        ({"topic": None}, "Choose at least one topic"),
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


async def test_an_address_in_other_letters_can_sign_up_and_is_one_person(
    db: Database, browser: Browser
) -> None:
    await signed_up(db, browser, email="Siôn@home.example")
    response, _ = await browser.send("/sign-up", wish(email="SIO\u0302N@HOME.example"))
    assert response.status == 303
    assert len(await notices(db, "already")) == 1


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
