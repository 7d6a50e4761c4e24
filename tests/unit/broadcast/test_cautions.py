"""What an officer is asked to look at twice."""

import pytest

from notifier.broadcast.cautions import cautions

CASES = {
    "The plan is OFFICIAL-SENSITIVE": "It says OFFICIAL-SENSITIVE",
    "See bit.ly/x for more": "bit.ly hides",
    "See https://bit.ly/x for more": "bit.ly hides",
    "See http://www.example.police.uk": "not secure",
    "See https://раураl.com": "look-alike letters",
    "See https://xn--80ak6aa92e.com": "look-alike letters",
    "See https://example.org/?utm_source=mail": "tracks its readers",
    "See https://example.org/" + "a" * 120: "very long",
    "Ring tel:0909 123 4567": "costs its callers extra",
    "Ring 07700 900123": "phone number",
    "Ring +44 7700 900123": "phone number",
    "At 12 High Street, SW1A 1AA": "full postcode",
    "PLEASE COME TO THE MEETING": "IN CAPITALS",
    "This is urgent, act now": "act fast",
}


@pytest.mark.parametrize("body", CASES)
def test_words_that_stand_out_are_named(body: str) -> None:
    assert any(CASES[body] in said for said in cautions("A title", body)), cautions("A title", body)


def test_a_title_that_says_test_is_asked_about() -> None:
    assert any("it is a test" in said for said in cautions("TEST", "Some words"))


@pytest.mark.parametrize(
    "body",
    [
        "We will be in the park every evening from 6pm.",
        "See https://www.example.police.uk/park",
        "Call 101, or 999 in an emergency.",
        "The PCSO and the SNT meet at the YMCA.",
        "",
    ],
)
def test_plain_words_are_left_alone(body: str) -> None:
    assert cautions("Patrols in the park", body) == []


def test_a_megabyte_of_anything_is_looked_through_in_good_time() -> None:
    for text in ("a.b/" * 100_000, "0 " * 300_000, "http://" * 70_000, "A1 " * 200_000):
        cautions("A title", text[:500_000])
