"""Parts of a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.gsm import ALONE, BASIC, EXTENSION, JOINED, Encoding, measure
from channels.plainer import plainly

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


@pytest.mark.parametrize(
    ("character", "instead"),
    [("’", "'"), ("“", '"'), ("–", "-"), ("…", "..."), ("𝗔", "A"), ("２", "2"), ("ª", "a")],
)
def test_a_typographic_character_is_named_with_what_to_write(character: str, instead: str) -> None:
    size = measure(f"It{character}s on")
    assert [(each.character, each.instead) for each in size.costly] == [(character, instead)]
    assert size.notes == (f"{character} makes every part shorter: write {instead} instead",)


@pytest.mark.parametrize("letter", "ŵŷŴŶâêîôûáíóúëïÿçż")
def test_a_letter_is_named_and_never_replaced(letter: str) -> None:
    size = measure(f"D{letter}r")
    assert [(each.character, each.instead) for each in size.costly] == [(letter, "")]
    assert size.notes == (f"{letter} makes every part shorter: keep it where the word needs it",)
    assert plainly(letter) == letter


@pytest.mark.parametrize("letter", "àèéìòùäöñüÇÉÅåØøÆæß")
def test_a_letter_of_the_alphabet_costs_nothing_more(letter: str) -> None:
    assert measure(f"D{letter}r").costly == ()


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a\u200bb", "An invisible character makes every part shorter: write nothing instead"),
        ("a\u00a0b", "A fixed space makes every part shorter: write a space instead"),
        ("a\u2028b", "A line break makes every part shorter: write a new line instead"),
        ("Ple\u0302r", "An accent of its own (\u0302) makes every part shorter: type that letter again with its accent in one"),
        ("See you 😀", "😀 makes every part shorter: leave it out"),
        ("’tis the ‘season’ today ’", "’ (3 times) makes every part shorter: write ' instead"),
        ("٪", "٪ makes every part shorter"),
    ],
)  # fmt: skip
def test_a_note_names_the_character_how_often_it_stands_and_what_to_do(text: str, note: str) -> None:
    assert measure(text).notes[0] == note


@pytest.mark.parametrize(
    ("character", "instead"),
    [
        ("^", ""),
        ("€", ""),
        ("{", "("),
        ("}", ")"),
        ("[", "("),
        ("]", ")"),
        ("\\", "/"),
        ("~", "-"),
        ("|", "/"),
    ],
)
def test_a_character_of_the_extension_is_named_with_its_two_places(character: str, instead: str) -> None:
    size = measure(f"a{character}b{character}")
    assert size.units == 6
    advice = f": write {instead} instead" if instead else ""
    assert size.notes == (f"{character} (2 times) counts as two characters{advice}",)


def test_in_a_text_of_short_parts_the_extension_costs_nothing_more() -> None:
    size = measure("€5 at Tŷ Newydd")
    assert (size.units, [each.character for each in size.costly]) == (15, ["ŷ"])


def test_what_replacing_would_save_is_said() -> None:
    words = "It’s on 😀. " + "a" * 140
    assert measure(words).notes[-1] == "Changed like this, the text has 1 part and not 3"
    assert measure("[" * 81).notes[-1] == "Changed like this, the text has 1 part and not 2"
    assert "Changed" not in measure("Tŷ " * 40).notes[-1]


def test_a_text_in_another_script_does_not_fill_the_page_with_notes() -> None:
    notes = measure("“ آپ کا مقامی تھانہ، شکریہ”").notes
    assert notes[0] == '“ makes every part shorter: write " instead'
    assert (len(notes), notes[-1]) == (9, "8 more such characters do the same")


@given(st.text(max_size=200))
def test_replacing_never_makes_a_text_dearer_and_any_text_has_its_notes(text: str) -> None:
    size = measure(text)
    assert size.plain_parts <= size.parts
    assert all(size.notes)


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
    assert (size.encoding is GSM) == all(each.doubles for each in size.costly)


@given(st.text(max_size=200), st.text(max_size=200))
def test_more_words_are_never_fewer_parts(text: str, more: str) -> None:
    assert measure(text + more).parts >= measure(text).parts
