"""What is new in a reply."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.mailtext import new_text, plain_of, unflowed, without_uuencoded


@pytest.mark.parametrize(
    "text",
    [
        "The lamp is out.\n\nOn Tue, 3 Mar 2026 at 10:00, Southmere SNT <r+x@link.example> wrote:\n> Dear Sam\n> How is it?",
        "The lamp is out.\n\nOn Tue, 3 Mar 2026 at 10:00, Southmere SNT\n<r+x@link.example> wrote:\n\n> Dear Sam",
        "The lamp is out.\n\n-----Original Message-----\nFrom: Southmere SNT\nSubject: News",
        "The lamp is out.\n\n________________________________\nFrom: Southmere SNT <r+x@link.example>\nSent: 3 March\nTo: Sam\nSubject: News",
        "The lamp is out.\n\nFrom: Southmere SNT <r+x@link.example>\nDate: 3 March 2026\nTo: Sam",
        "The lamp is out.\n\nAm 03.03.2026 um 10:00 schrieb Southmere <r+x@link.example>:\n> Hallo",
        "The lamp is out.\n\nAr 3 Mawrth 2026, ysgrifennodd SNT Southmere:\n> Helo",
        "The lamp is out.\n\nSent from my iPhone",
        "The lamp is out.\n\n--\nSam Jones\n1 Abbey Road",
        "> How is it?\nThe lamp is out.",
        "The lamp is out.",
        "The lamp is out.\r\n\r\n> Dear Sam\r\n> How is it?\r\n",
    ],
)
def test_only_what_the_person_wrote_is_left(text: str) -> None:
    assert new_text(text, ("en", "cy", "de")) == "The lamp is out."


@pytest.mark.parametrize(
    "text",
    ["Three things:\n- the lamp\n- the gate\n- the bins", "Ring me at 10:\n07700 900123", "From: the station to Abbey Road it is dark.\nThanks: all",
     "Dear team,\n\nwrote to you before about:\nthe lamp"],
)  # fmt: skip
def test_a_persons_own_lists_and_lines_are_kept(text: str) -> None:
    assert new_text(text) == text


def test_a_mail_that_is_all_quote_is_empty() -> None:
    assert new_text("> Dear Sam\n> How is it?") == ""


@given(st.text(max_size=500), st.lists(st.sampled_from(["en", "cy", "de", "xx"]), max_size=3))
def test_any_text_can_be_read(text: str, languages: list[str]) -> None:
    assert isinstance(new_text(text, languages), str)


SLOW = ["> " * 100_000, ">" * 19_000, "a " * 9_900, "\n" * 200_000, "--\n" * 6_000, "On " * 6_000 + "wrote:", "From: a@b\n" * 2_000,
        ("On Mon " * 100 + "\n") * 300, ("_" * 900 + "\n") * 20, "\n \n" * 6_000, ("confidential mail " * 50 + "\n") * 20,
        ("sent from my " * 70 + "\n") * 20, " \t" * 9_000, ("\n" + " " * 49) * 399, "\u200b" * 19_000]  # fmt: skip


@pytest.mark.parametrize("text", SLOW, ids=range(len(SLOW)))
def test_no_text_is_slow_to_read(text: str) -> None:
    began = time.process_time()
    new_text(text, ("en", "cy", "de", "fr"))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("a<br>b<BR/>c", "a\nb\nc"),
        ("<style>p{}</style><p>x &lt; y &amp; z&nbsp;!</p>", "x < y & z !"),
        ("<blockquote>old</blockquote>new", "> old\nnew"),
        ("<!-- hidden --><b>bold</b> text", "bold text"),
        ("<ul><li>one<li>two</ul>", "one\ntwo"),
        ("no end <b", "no end"),
        ("<script>never ends", ""),
    ],
)
def test_html_is_read_as_text(html: str, text: str) -> None:
    assert plain_of(html) == text


@pytest.mark.parametrize(
    "unit", ["<script>", "<!--", "<", "<a ", "&#", "<style><", "</p>", "<blockquote>", "&lt"]
)
def test_no_html_is_slow_to_read(unit: str) -> None:
    began = time.process_time()
    plain_of(unit * (200_000 // len(unit)))
    assert time.process_time() - began < 1


def test_flowed_lines_are_joined_within_one_depth_of_quotes() -> None:
    text = "> Dear \n> Sam \n>> old\nThe lamp \nis out.\n From here \n-- \nSam "
    assert unflowed(text) == "> Dear Sam \n>> old\nThe lamp is out.\nFrom here \n-- \nSam "
    assert unflowed("lam \np", without_space=True) == "lamp"


@pytest.mark.parametrize("line", ["begin 644 a", "`", "#0V%T", " ", "end", "M" + "a" * 60])
def test_looking_for_uuencoded_files_takes_a_moment(line: str) -> None:
    began = time.process_time()
    without_uuencoded("begin 644 a\n" + f"{line}\n" * (200_000 // (len(line) + 1)))
    assert time.process_time() - began < 0.5
