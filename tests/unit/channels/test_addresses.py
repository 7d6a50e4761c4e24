"""One spelling of each address, or a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.addresses import (
    ENTER_A_MOBILE,
    ENTER_AN_EMAIL,
    ONLY_UK_MOBILES,
    USE_ANOTHER_EMAIL,
    email,
    incoming_number,
    is_short_or_alphanumeric,
    normalise,
    uk_mobile,
)
from channels.base import Medium
from channels.errors import BadAddress
from tests import vectors


@pytest.mark.parametrize(
    "text",
    [
        "07700900123",
        "07700 900 123",
        "07700-900-123",
        "07700.900.123",
        "(07700) 900123",
        "+447700900123",
        "+44 7700 900123",
        "+44 (0)7700 900123",
        "+44 07700 900123",
        "0044 7700 900123",
        "447700900123",
        "\u200b\t07700900123\ufeff",
        "07700\u00a0900\u2011123",
        "０７７００９００１２３",
        "\u2066+44 7700 900123\u2069",
        "tel:+447700900123",
    ],
)
def test_every_uk_way_of_writing_a_mobile_is_one_number(text: str) -> None:
    assert uk_mobile(text) == "+447700900123"


@pytest.mark.parametrize(
    "text", ["07400 123456", "07723 456789", "07914 123456", "07700 900000", "07700 900999"]
)
def test_real_and_drama_mobiles_are_taken(text: str) -> None:
    assert uk_mobile(text) == "+44" + text.replace(" ", "")[1:]


@pytest.mark.parametrize(
    "text",
    ["", "999", "101", "020 7946 0991", "0772345678", "077234567890", "07700 90012x", "07700900123 ext 109", "077ab cde fgh",
     "07700900123;07700900124", '07";DROP TABLE;"', "07700 ☟☜", "1234567", "80100000000", "07700\r\n900123", "+", "+44", "00"],
)  # fmt: skip
def test_what_is_no_mobile_gets_the_sentence(text: str) -> None:
    with pytest.raises(BadAddress, match=f"^{ENTER_A_MOBILE}$"):
        uk_mobile(text)


@pytest.mark.parametrize(
    "text",
    ["07640 123456", "07012 345678", "0900 123 4567", "07797 712345", "07781 123456", "07924 123456", "+1 202 555 0104",
     "+53 5 1234567", "0033122334455", "0800 123 4567"],
)  # fmt: skip
def test_pagers_islands_premium_and_foreign_numbers_are_out_of_scope(text: str) -> None:
    with pytest.raises(BadAddress, match=f"^{ONLY_UK_MOBILES}$"):
        uk_mobile(text)


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("Sam@Example.COM", "sam@example.com"),
        (" sam@southmere.example ", "sam@southmere.example"),
        ("mailto:sam@southmere.example", "sam@southmere.example"),
        ("\u200bsam@example.org\ufeff", "sam@example.org"),
        ("first.o'last+tag@example.com", "first.o'last+tag@example.com"),
        ("x@double--hyphen.com", "x@double--hyphen.com"),
        ("sam@bücher.example", "sam@xn--bcher-kva.example"),
        ("Siôn@Example.ORG", "siôn@example.org"),
        ("sio\u0302n@example.org", "siôn@example.org"),
        ("ΔΟΚΙΜΉ@παράδειγμα.example", "δοκιμή@xn--hxajbheg2az3al.example"),
        ("तन@example.org", "तन@example.org"),
    ],
)
def test_an_email_address_has_one_spelling(text: str, spelling: str) -> None:
    assert email(text) == spelling
    assert email(spelling) == spelling


@pytest.mark.parametrize(
    "text",
    ["", "plain", "no-tld@domain", "a@b@c.com", "two..dots@example.com", "a@example..com", "a b@example.com", "a@dom_ain.com",
     "a@.example.com", '"quoted"@example.com', "a@[127.0.0.1]", "a@127.0.0.1", "a" * 65 + "@example.com", "a@" + "b." * 130 + "com",
     "o’neil@example.com", "a,b@example.com", "a@b.com\r\nBcc: v@x.com", "a@b.com\x00", "Sam <a@b.com>", "\u202ea@b.com", "a@xn---bad.com", "sam@example.c", "ｓam@example.com", "sam¹@example.com", "😀@example.com",
     "ô" * 33 + "@example.com"],
)  # fmt: skip
def test_what_is_no_email_address_gets_the_sentence(text: str) -> None:
    with pytest.raises(BadAddress, match=f"^{ENTER_AN_EMAIL}$"):
        email(text)


def test_published_addresses_are_judged_as_they_are_published() -> None:
    score = vectors.Score()
    known = [
        {
            "id": "ours",
            "input": "Sam@example.org",
            "expected": {"valid": True, "normalised": "Sam@example.org"},
        }
    ]
    for case in [*known, *vectors.cases("email_addresses/validity.jsonl")]:
        try:
            spelling = email(case["input"])
        except BadAddress:
            score.add(not case["expected"]["valid"], case["id"])
        else:
            wanted = case["expected"].get("normalised", spelling)
            score.add(case["expected"]["valid"] and spelling == wanted.lower(), case["id"])
    score.check("addresses")


@pytest.mark.parametrize("text", ["a@localhost", "a@example.invalid", "a@printer.local"])
def test_an_address_that_no_mail_reaches_is_refused(text: str) -> None:
    with pytest.raises(BadAddress, match=USE_ANOTHER_EMAIL):
        email(text)


@pytest.mark.parametrize(
    ("sender", "known_as", "is_one_way"),
    [
        ("+447700900000", "+447700900000", False),
        ("07700900000", "+447700900000", False),
        ("+44 7700 900000", "+447700900000", False),
        ("(+44)7700900000", "+447700900000", False),
        ("+12025550104", "+12025550104", False),
        ("60606", "60606", True),
        ("POLICE", "POLICE", True),
        ("Met Police", "Met Police", True),
        ("whatsapp:US.1234", "whatsapp:US.1234", False),
        ("+1...", "+1...", False),
        ("", "", False),
    ],
)
def test_who_sent_a_text_is_known_by_one_name(sender: str, known_as: str, *, is_one_way: bool) -> None:
    assert incoming_number(sender) == known_as
    assert is_short_or_alphanumeric(sender) is is_one_way


def spelled(text: str, medium: Medium) -> str | None:
    try:
        return normalise(text, medium)
    except BadAddress:
        return None


@given(st.text(max_size=60) | st.text(alphabet="07 +-().4@ab", max_size=20), st.sampled_from(Medium))
def test_any_text_has_one_spelling_or_none(text: str, medium: Medium) -> None:
    spelling = spelled(text, medium)
    assert spelling is None or spelled(spelling, medium) == spelling


@given(st.text(max_size=60))
def test_any_sender_can_be_named(text: str) -> None:
    assert incoming_number(incoming_number(text)) == incoming_number(text)
