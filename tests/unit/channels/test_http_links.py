"""Where links stand in a post."""

import time

import pytest

from channels.http_links import links, spans, without

PAGE = "https://link.example/a"


@pytest.mark.parametrize(
    ("text", "link"),
    [
        (f"See {PAGE}.", PAGE),
        (f"({PAGE}/Hill_(park)).", f"{PAGE}/Hill_(park)"),
        (f"{PAGE}?list=[x]", f"{PAGE}?list=[x]"),
        (f"[{PAGE}]", PAGE),
        (f"**{PAGE}**", PAGE),
        (f"{PAGE}/", f"{PAGE}/"),
        (f"{PAGE}?q=", f"{PAGE}?q="),
        (f"{PAGE}…", PAGE),
        (f"مزید {PAGE}۔", PAGE),
        (f"{PAGE}، اور", PAGE),
        (f"देखें {PAGE}।", PAGE),
        (f"「{PAGE}」。", PAGE),
        (f"«{PAGE}»", PAGE),
        (f"\u2067{PAGE}\u2069", PAGE),
        (f"{PAGE}\U0001f6a8", PAGE),
        (f"{PAGE}/خبریں", f"{PAGE}/خبریں"),
        ("HTTPS://LINK.EXAMPLE/A!", "HTTPS://LINK.EXAMPLE/A"),
    ],
)
def test_a_link_ends_where_its_sentence_goes_on(text: str, link: str) -> None:
    assert links(text) == [link]
    ((start, end),) = spans(text)
    assert without(text) == text[:start] + text[end:]


@pytest.mark.parametrize("text", ["", "link.example/a", "https://", "https:///", "https://.", "http:// a"])
def test_what_is_no_link_is_none(text: str) -> None:
    assert links(text) == []
    assert without(text) == text


@pytest.mark.parametrize("end", [")" * 50_000, "۔" * 50_000, "(" * 50_000])
def test_no_end_is_slow_to_find(end: str) -> None:
    began = time.process_time()
    assert links(f"{PAGE}{end}")
    assert time.process_time() - began < 1
