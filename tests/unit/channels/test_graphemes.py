"""How many characters a reader sees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.graphemes import count

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
WALES = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        ("Hello", 5),
        ("a\r\nb", 3),
        ("a\n\nb", 4),
        ("Tŷ Gwyn", 7),
        ("Cafe\u0301", 4),
        ("e\u0301\u0323x", 2),
        ("警察", 2),
        (FAMILY, 1),
        (FAMILY * 3, 3),
        ("👍🏽", 1),
        (WALES, 1),
        ("🇬🇧🇮🇪", 2),
        ("🇬🇧🇮", 2),
        ("❤️‍🔥", 1),
        ("1\ufe0f\u20e3", 1),
        ("한국", 2),
        ("\u1112\u1161\u11ab\u1100\u116e\u11a8", 2),  # the same in pieces
        ("नमस्ते", 4),
        ("বাংলা", 2),
        ("a\u200db", 2),  # a joiner joins pictures alone
        ("\u0301", 1),
        ("\u101e\u102c\u1038", 3),  # of Burmese: a vowel and a tone that stand beside their letter
        ("\u00ad\u0301", 2),
    ],
)
def test_a_reader_sees_so_many(text: str, number: int) -> None:
    assert count(text) == number


@given(st.text(max_size=200))
def test_there_are_no_more_than_code_points_and_none_is_lost(text: str) -> None:
    assert count(text) <= len(text)
    assert (count(text) == 0) is (text == "")


@given(st.text(alphabet="abc déŵ", max_size=200))
def test_plain_words_are_their_letters(text: str) -> None:
    assert count(text) == len(text)
