"""Parts of a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.gsm import ALONE, BASIC, EXTENSION, JOINED, Encoding, measure

GSM, UCS = Encoding.GSM_7, Encoding.UCS_2


@pytest.mark.parametrize(
    ("text", "encoding", "units", "parts"),
    [
        ("", GSM, 0, 1),
        ("a" * 160, GSM, 160, 1),
        ("a" * 161, GSM, 161, 2),
        ("a" * 306, GSM, 306, 2),
        ("a" * 307, GSM, 307, 3),
        ("€" * 80, GSM, 160, 1),
        ("€" * 81, GSM, 162, 2),
        ("a" * 152 + "€" + "a" * 152, GSM, 306, 3),  # the pair would straddle: it moves whole
        ("ŵ" * 70, UCS, 70, 1),
        ("ŵ" * 71, UCS, 71, 2),
        ("ŵ" * 134, UCS, 134, 2),
        ("ŵ" * 135, UCS, 135, 3),
        ("😀" * 35, UCS, 70, 1),
        ("ŵ" * 66 + "😀" + "ŵ" * 66, UCS, 134, 3),
        ("à è é ù ì ò Ç Ø ø Å å Δ Ω ß Ñ ñ ü §", GSM, 35, 1),
        ("ç", UCS, 1, 1),  # only the capital is in the alphabet
        ("line\r\nbreak", GSM, 11, 1),
    ],
)
def test_a_text_has_exactly_so_many_parts(text: str, encoding: Encoding, units: int, parts: int) -> None:
    size = measure(text)
    assert (size.encoding, size.units, size.parts) == (encoding, units, parts)


@pytest.mark.parametrize(("character", "instead"), [("’", "'"), ("“", '"'), ("–", "-"), ("…", "...")])
def test_a_typographic_character_is_named_with_what_to_write(character: str, instead: str) -> None:
    size = measure(f"It{character}s on")
    assert [(each.character, each.instead) for each in size.costly] == [(character, instead)]
    assert size.notes == (f"{character} makes every part shorter: write {instead} instead",)


@pytest.mark.parametrize("letter", "ŵŷŴŶâêîôû")
def test_a_welsh_letter_is_named_and_never_replaced(letter: str) -> None:
    size = measure(f"D{letter}r")
    assert [(each.character, each.instead) for each in size.costly] == [(letter, "")]
    assert "instead" not in size.notes[0]


def test_an_invisible_character_is_named_in_words() -> None:
    assert measure("a\u200bb").notes == (
        "An invisible character makes every part shorter: write nothing instead",
    )


def test_the_alphabet_has_its_127_characters_and_the_escape_is_not_one() -> None:
    assert len(BASIC) == 127
    assert not BASIC & EXTENSION
    assert "\x1b" not in BASIC


@given(
    st.text(alphabet=st.sampled_from(sorted(BASIC | EXTENSION)) | st.characters(codec="utf-8"), max_size=700)
)
def test_no_part_is_over_its_room_and_none_is_emptier_than_it_must_be(text: str) -> None:
    size = measure(text)
    assert sum(size.used) == size.units
    assert max(size.used) <= size.per_part
    assert size.parts == len(size.used)
    assert size.per_part in (ALONE[size.encoding], JOINED[size.encoding])
    assert all(used >= size.per_part - 1 for used in size.used[:-1])
    assert (size.encoding is GSM) == (not size.costly)


@given(st.text(max_size=200), st.text(max_size=200))
def test_more_words_are_never_fewer_parts(text: str, more: str) -> None:
    assert measure(text + more).parts >= measure(text).parts
