"""The limited Markdown: what is kept, what is refused, and that nothing from a person becomes markup."""

import time
from html import unescape

import pytest

from channels.base import hole
from templates.markdown import check_text, html, plain

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src=//evil></iframe>",
    "<style>body{display:none}</style>",
    "<a href=//evil onclick=alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    "[x](//evil.example)",
    "<javascript:alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "[x]: javascript:alert(1)\n\n[x]",
    "&#x6a;avascript:alert(1)",
    "[a](https://x.example \"onmouseover=alert(1)\")",
    "| a | b |\n|---|---|\n| <b>1</b> | 2 |",
    "`<b>`\n\n    <b>code</b>\n\n> <b>quote</b>",
    '"><img src=x onerror=alert(1)>',
]  # fmt: skip
ALLOWED = {"p", "strong", "em", "ul", "ol", "li", "a", "h2", "h3", "br"}


def tags_of(markup: str) -> list[tuple[str, dict[str, str | None]]]:
    """Every tag a browser would see, with its attributes."""
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[tuple[str, dict[str, str | None]]] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found.append((tag, dict(attrs)))

    reader = Reader()
    reader.feed(markup)
    return reader.found


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_but_the_allowed_tags_comes_out(text: str) -> None:
    for tag, attributes in tags_of(html(text)):
        assert tag in ALLOWED
        assert set(attributes) <= {"href"}
        assert (attributes.get("href") or "https:").startswith(("http:", "https:", "mailto:", "tel:"))


def test_headings_lists_links_and_emphasis_are_kept() -> None:
    made = html("# One\n\n### Two\n\n**bold** *soft*\n\n- a\n- b\n\n1. c\n\n[us](https://a.example)")
    assert [tag for tag, _ in tags_of(made)] == [
        "h2", "h3", "p", "strong", "em", "ul", "li", "li", "ol", "li", "p", "a",
    ]  # fmt: skip


def test_a_bare_address_becomes_a_link_without_its_full_stop() -> None:
    assert '<a href="https://www.police.uk/a">https://www.police.uk/a</a>.' in html(
        "See https://www.police.uk/a."
    )


def test_plain_text_says_where_a_link_goes() -> None:
    text = "Ask **us** [here](https://a.example/b), <https://c.example> or [mail](mailto:a@b.example)."
    assert plain(text) == "Ask us here (https://a.example/b), https://c.example or mail (a@b.example)."


def test_plain_text_keeps_the_shape_of_lists() -> None:
    assert plain("Do:\n\n- one\n- two\n    1. first\n    2. second\n\nDone.") == (
        "Do:\n\n- one\n- two\n  1. first\n  2. second\n\nDone."
    )


def test_marks_of_holes_in_a_persons_words_are_taken_out() -> None:
    assert "\ue000" not in html(f"a {hole('manage_url')} b")
    assert "\ue000" not in plain(f"a {hole('manage_url')} b")


@pytest.mark.parametrize(
    "text",
    ["{{name}}", "{{ NAME }}", "{{nmae}}", "((name))", "{{{{", "{{name", "}}", "{{config.items()}}",
     "{% for x in y %}", "${name}", "#{7*7}", "<%= 1 %>", "{{''.__class__}}"],
)  # fmt: skip
def test_every_kind_of_field_is_named_and_refused(text: str) -> None:
    assert any(problem.startswith("Unknown field") for problem in check_text(f"Dear {text}, hello"))
    assert text[:2] in unescape(html(text))  # shown as typed, never run


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "ftp://x", "/a"]
)
def test_a_link_that_would_not_be_sent_is_named(target: str) -> None:
    assert any("cannot be sent" in problem for problem in check_text(f"[x]({target})"))


@pytest.mark.parametrize(
    "text", ["Plain words (really), 50% off {not a field} $5", "[a](https://b.example) [c](tel:101)"]
)
def test_ordinary_words_have_no_problem(text: str) -> None:
    assert check_text(text) == []


@pytest.mark.parametrize("text", ["a\x00b", "a\x07b", "a\ud800b"])
def test_hidden_characters_are_a_problem(text: str) -> None:
    assert any("hidden characters" in problem for problem in check_text(text))


@pytest.mark.parametrize(
    "text", ["[" * 10_000, "*a" * 5_000, "[a](" * 2_500, "- " * 5_000, "> " * 5_000, "{{" * 5_000]
)
def test_a_text_made_to_be_slow_is_read_quickly(text: str) -> None:
    began = time.process_time()
    html(text), plain(text), check_text(text)
    assert time.process_time() - began < 2
