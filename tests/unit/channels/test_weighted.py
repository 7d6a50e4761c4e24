"""The weighted length of a post."""

import time
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.weighted import RULE, Rule, links, measure
from tests import vectors

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
        ("❤\ufe0f", 2),
        ("✓\ufe0f", 4),  # a sign that is no emoji stays one
        ("see https://link.uk/Hill_(park_(east))", 27),
        ("link.uk?from=post", 33),
        ("link.uk/?from=post", 23),
        ("my_own.link.uk", 26),
        ("ŵyl.link.uk", 24),
        ("https://link.org.uk/a/very/long/path/indeed/that/goes/on", 23),
        ("see link.org.uk now", 4 + 23 + 4),
        ("(https://met.police.uk/x).", 26),
        ("sam@link.org", 12),  # an address is not a link
        ("end.Nextly", 10),  # no such domain
        ("end.Next", 23),  # there is
        ("https://link.example/a", 22),  # never one: X leaves it as it is
        ("http://t.co/abc's", 25),  # X's own short links end with their letters
        ("https://\u2606link.org.uk/", 23),
        ("name.uk-x@link.org", 18),
        ("http://xn--caf\u00e9.com", 19),
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


@pytest.mark.parametrize("mark", ["\ufffe", "\uffff", "\ufeff"])
def test_what_x_refuses_does_not_fit(mark: str) -> None:
    assert not measure(f"road {mark} closed").fits


# X counted otherwise before: no links dearer than letters, then no emoji taken as one. The rule is data, so that the
# published cases of all three can be checked.
RULES = {
    "tweets": Rule(limit=140, light=(), heavy=1, counts_sequences=True),
    "WeightedTweetsCounterTest": replace(RULE, counts_sequences=True),
    "WeightedTweetsWithDiscountedEmojiCounterTest": RULE,
}
OF_ANOTHER_CHECK = (
    "tw-urls-004",
)  # a name and password before the host: an address, though never made a link


def test_published_posts_weigh_what_they_should() -> None:
    score = vectors.Score()
    own = {
        "id": "own",
        "input": f"Tŷ {FAMILY} link.org.uk",
        "expected": {"weightedLength": 29, "valid": True},
    }
    for case in [own, *vectors.cases("tweets/parse_oracle.jsonl"), *vectors.cases("tweets/validate.jsonl")]:
        if case.get("section", "tweets") not in RULES:
            continue
        rule = RULES[case["section"]] if "section" in case else RULE
        size, wanted = measure(case["input"], rule), case["expected"]
        if isinstance(wanted, bool):
            wanted = {"weightedLength": size.length, "valid": wanted}
        wanted.setdefault("permillage", size.length * 1000 // rule.limit)
        found = (size.length, size.fits, size.length * 1000 // rule.limit)
        right = found == (wanted["weightedLength"], wanted["valid"], wanted["permillage"])
        score.add(right, f"{case['id']} {found} {wanted}")
    score.check("weighted length")


def test_published_links_are_found() -> None:
    score = vectors.Score()
    own = {"id": "own", "section": "urls", "input": "see link.org.uk.", "expected": ["link.org.uk"]}
    for case in [own, *vectors.cases("tweets/extract.jsonl")]:
        if "url" not in case["section"]:
            continue
        found = [(case["input"][start:end], [start, end]) for start, end in links(case["input"])]
        named = [(each["url"], each["indices"]) for each in case["expected"] if isinstance(each, dict)]
        right = found == named if named else [text for text, _ in found] == case["expected"]
        score.add(right, f"{case['id']} {found} {case['expected']}")
    for case in vectors.cases("tweets/validate.jsonl"):
        if case["section"].startswith("urls"):
            whole = [(0, len(case["input"]))]
            score.add((links(case["input"]) == whole) == case["expected"], case["id"])
    score.check("links of posts", allowed=OF_ANOTHER_CHECK)


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
