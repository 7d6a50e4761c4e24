"""Mail that reads well: styles where every program obeys them, headings in order, links that stand alone, short lines."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import HOLE_CLOSES, HOLE_OPENS, hole
from channels.email_smtp import EmailSmtp
from templates.mail import beginning, in_short_lines, with_inline_styles
from templates.markdown import html, plain
from tests.unit.templates.mails import EVERYTHING, Shown, every_kind, message

MAILS = list(every_kind())
HOLE = re.compile(f"{HOLE_OPENS}(\\w+){HOLE_CLOSES}")


class Reader(HTMLParser):
    """Levels of headings in order, and the words of each link with where it leads."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.links: list[tuple[str, str]] = []
        self.styled: set[str] = set()
        self._open = False
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "a":
            self._open = True
            self.links.append((dict(attrs)["href"] or "", ""))
        if dict(attrs).get("style"):
            self.styled.add(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            href, words = self.links[-1]
            self.links[-1] = (href, words + data)

    def handle_endtag(self, tag: str) -> None:
        self._open &= tag != "a"


@pytest.mark.parametrize("shown", MAILS, ids=lambda shown: f"{shown.name}-{shown.language}")
def test_headings_come_in_order_and_links_say_where_they_lead(shown: Shown) -> None:
    read = Reader(shown.content.html)
    assert read.levels[0] == 1
    assert read.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(read.levels, read.levels[1:], strict=False))
    assert all(words.strip() for _, words in read.links)
    vague = {"here", "click here", "this", "link", "more", "read more", "yma"}
    assert not {words.strip().lower() for _, words in read.links} & vague
    named: dict[str, set[str]] = {}
    for href, words in read.links:
        named.setdefault(words, set()).add(href)
    assert all(len(places) == 1 for places in named.values())


@pytest.mark.parametrize("shown", MAILS, ids=lambda shown: f"{shown.name}-{shown.language}")
def test_every_style_stands_in_its_tag_and_the_head_keeps_only_what_depends(shown: Shown) -> None:
    made = shown.content.html
    assert {"body", "h1", "p", "a", "td"} <= Reader(made).styled
    (sheet,) = re.findall(r"<style>(.*?)</style>", made, re.DOTALL)
    assert "prefers-color-scheme:dark" in sheet
    assert re.sub(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*\s*\}", "", sheet).strip() == ""
    assert made.index('<meta charset="utf-8">') < 200
    assert len(made.encode()) < 20_000


@pytest.mark.parametrize("shown", MAILS, ids=lambda shown: f"{shown.name}-{shown.language}")
def test_the_text_says_what_the_html_says_in_lines_that_fit(shown: Shown) -> None:
    text = shown.content.text
    assert all(len(line) <= 78 or "://" in line for line in text.splitlines())
    assert "<" not in text
    assert "**" not in text
    for href, _ in Reader(shown.content.html).links:
        if href.startswith("http"):
            assert href in text
    assert "999" in text


def test_personal_links_are_holes_in_both_parts_and_nowhere_torn() -> None:
    made = message("en")
    for part in (made.text, made.html):
        assert sorted(HOLE.findall(part)) == ["manage_url", "unsubscribe_url"]
        assert part.count(HOLE_OPENS) == part.count(HOLE_CLOSES) == 2
    for name in ("manage_url", "unsubscribe_url"):
        assert f'href="{hole(name)}"' in made.html


def test_a_mail_is_compiled_from_its_styles_to_its_octets_once() -> None:
    channel = EmailSmtp.from_env(
        {"NOTIFIER_SMTP_URL": "smtp://127.0.0.1:1", "NOTIFIER_MAIL_DOMAIN": "link.example"}
    )
    pieces = channel.prepare(message("en")).pieces
    constants = [piece for piece in pieces if isinstance(piece, bytes)]
    assert b"style=3D" in b"".join(constants)
    assert all(len(line) <= 78 for piece in constants for line in piece.split(b"\r\n"))


def test_values_in_html_are_not_read_as_styles_or_markup_by_the_inliner() -> None:
    nasty = "</style><script>x</script><b style='color:red'>"
    made = message("en", title=nasty, team_name=nasty, body=nasty).html
    assert "<script" not in made
    assert "<b style" not in made
    assert with_inline_styles("<html><head></head><body><p>&lt;style&gt;p{}&lt;/style&gt;</p></body></html>").count("&lt;style&gt;") == 1  # fmt: skip


def test_a_list_item_goes_on_below_its_words() -> None:
    item = "- " + "word " * 20
    first, second = in_short_lines(item).split("\n")
    assert first.startswith("- word")
    assert second.startswith("  word")
    numbered = in_short_lines("  12. " + "word " * 20).split("\n")
    assert numbered[1].startswith("      word")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")))
def test_folding_loses_no_word(text: str) -> None:
    assert in_short_lines(text).split() == text.split()
    assert all(len(line) <= 72 or " " not in line.strip() for line in in_short_lines(text).split("\n"))


def test_an_address_is_never_broken() -> None:
    address = "https://link.example/" + "a-b/" * 40
    assert address in in_short_lines(f"See our page, which has all of it: {address} (in English)").split("\n")


@pytest.mark.parametrize(
    ("markdown", "under", "tags"),
    [
        ("# a\n\n## b\n\n### c", 1, ["h2", "h2", "h3"]),
        ("### a\n\n## b\n\n#### c", 1, ["h2", "h2", "h3"]),
        ("# a\n\n### b", 2, ["h3", "h4"]),
        ("### a", 2, ["h3"]),
    ],
)
def test_headings_stand_one_below_what_they_are_under(markdown: str, under: int, tags: list[str]) -> None:
    assert re.findall(r"<(h\d)>", html(markdown, under=under)) == tags


def test_headings_of_the_text_are_underlined_in_mail_alone() -> None:
    assert plain("## What to do\n\nLock up.", underlined=True) == "What to do\n----------\n\nLock up."
    assert "----------" in message("en").text
    assert plain(EVERYTHING).count("---") == 0


def test_what_a_list_of_mails_shows_is_how_the_text_begins() -> None:
    assert beginning("Back doors\n\nwere forced. " + "x" * 200) == "Back doors were forced. …"
    assert ">Back doors were forced between 6pm and 9pm. See …</div>" in message("en").html
