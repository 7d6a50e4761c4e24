"""The weighted length of a post."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.weighted import measure

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
WALES = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("Hello", 5),
        ("Tŷ Gwyn", 7),
        ("Cafe\u0301", 4),  # composed before it is counted
        ("“quoted” – so", 13),
        ("…", 2),
        ("警察", 4),
        ("😀", 2),
        (FAMILY, 2),
        ("👍🏽", 2),
        (WALES, 2),
        ("🇬🇧", 2),
        ("1\ufe0f\u20e3", 2),
        ("❤️", 2),
        ("https://link.example/a/very/long/path/indeed/that/goes/on", 23),
        ("see link.org.uk now", 4 + 23 + 4),
        ("(https://met.police.uk/x).", 26),
        ("sam@link.org", 12),  # an address is not a link
        ("end.Next", 8),  # no such domain
        ("version 1.2.3", 13),
        ("$link.uk", 8),
        ("http://link.uk http://link.uk", 47),
    ],
)
def test_a_post_weighs_so_much(text: str, length: int) -> None:
    assert measure(text).length == length


@pytest.mark.parametrize(
    ("text", "fits"),
    [("a" * 280, True), ("a" * 281, False), ("警" * 140, True), ("警" * 141, False), ("", False)],
)
def test_what_fits(text: str, *, fits: bool) -> None:
    assert measure(text).fits is fits


@given(st.text(max_size=400))
def test_weight_is_the_same_however_letters_are_composed(text: str) -> None:
    assert measure(text) == measure(unicodedata.normalize("NFD", text))


@given(st.text(alphabet="abcdefghij klmnop", max_size=300))
def test_plain_words_weigh_their_letters(text: str) -> None:
    assert measure(text).length == len(text)


@pytest.mark.parametrize(
    "text",
    [
        "a." * 5000,
        "http://a.uk/" + "(" * 5000,
        "http://a.uk/" + "(a)!" * 5000,
        "a-" * 20000,
        "☀\u200d" * 20000,
    ],
)
def test_no_text_is_slow_to_weigh(text: str) -> None:
    began = time.process_time()
    measure(text)
    assert time.process_time() - began < 1
