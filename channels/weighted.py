"""The weighted length of a post on X.

Pure. Called by `social_x` and, through estimates, by the compose page.
Rule: version 3 of X's published counting: a character weighs 1 in the Latin and near ranges and
2 elsewhere, an emoji of any make 2, an address on the web 23; at most 280.
"""

import re
import unicodedata
from dataclasses import dataclass

from channels import toplevel

MAX_LENGTH = 280
LINK_LENGTH = 23
LONGEST_LINK = 4096  # longer is counted as plain text
LONGEST_LABEL = 63
REFUSED = frozenset("\ufffe\uffff\ufeff")  # byte order marks, and what is no character


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How X counts; it has changed twice. light: code points that weigh 1; all others weigh `heavy`.

    counts_sequences: an emoji made of several characters is taken apart.
    """

    limit: int
    light: tuple[tuple[int, int], ...]
    heavy: int = 2
    counts_sequences: bool = False


RULE = Rule(limit=MAX_LENGTH, light=((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247)))


@dataclass(frozen=True, kw_only=True)
class PostSize:
    """What one post measures, in X's own unit; links: how many addresses were counted as one.

    is_clean: it holds no character that X refuses.
    """

    length: int
    links: int
    limit: int = MAX_LENGTH
    is_clean: bool = True

    @property
    def fits(self) -> bool:
        return 0 < self.length <= self.limit and self.is_clean


def measure(text: str, rule: Rule = RULE) -> PostSize:
    """The weighted length of `text`, which is composed (NFC) before it is counted."""
    composed = unicodedata.normalize("NFC", text)
    length = at = count = 0
    for start, end in links(composed):
        length += _weigh(composed[at:start], rule) + LINK_LENGTH
        count += 1
        at = end
    return PostSize(
        length=length + _weigh(composed[at:], rule),
        links=count,
        limit=rule.limit,
        is_clean=REFUSED.isdisjoint(composed),
    )


def _weigh(text: str, rule: Rule) -> int:
    """Weight of text that holds no link."""
    if text.isascii() and rule.light:
        return len(text)
    emoji = 0
    if not rule.counts_sequences:
        text, emoji = EMOJI.subn("", text)
    light = sum(1 for character in text if any(first <= ord(character) <= last for first, last in rule.light))
    return emoji * rule.heavy + light + (len(text) - light) * rule.heavy


# --- Emoji ------------------------------------------------------------------------------
# Grammar of Unicode Technical Standard 51, §1.4.9. One that stands alone weighs 2 by its range
# already, so the classes need only hold what can begin or continue a sequence.

_TONE = "\U0001f3fb-\U0001f3ff"
PICTURE = (
    "\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf\u2934-\u2935"
    "\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f004\U0001f0cf\U0001f170-\U0001f19a"
    "\U0001f201-\U0001f251\U0001f300-\U0001f3fa\U0001f400-\U0001faff"
)
# Those that Unicode also shows as text, by their numbers: before a mark (U+FE0F) that asks for the picture, which counts
# by itself behind any other sign. None has been added since 2020: a new emoji is a picture from the beginning.
_ALSO_TEXT = (
    "203c 2049 2122 2139 2194-2199 21a9-21aa 231a-231b 2328 23cf 23ed-23ef 23f1-23f2 23f8-23fa 24c2 25aa-25ab "
    "25b6 25c0 25fb-25fe 2600-2604 260e 2611 2614-2615 2618 261d 2620 2622-2623 2626 262a 262e-262f 2638-263a "
    "2640 2642 2648-2653 265f-2660 2663 2665-2666 2668 267b 267e-267f 2692-2697 2699 269b-269c 26a0-26a1 26a7 "
    "26aa-26ab 26b0-26b1 26bd-26be 26c4-26c5 26c8 26cf 26d1 26d3-26d4 26e9-26ea 26f0-26f5 26f7-26fa 26fd 2702 "
    "2708-2709 270c-270d 270f 2712 2714 2716 271d 2721 2733-2734 2744 2747 2757 2763-2764 27a1 2934-2935 "
    "2b05-2b07 2b1b-2b1c 2b50 2b55 3030 303d 3297 3299 1f004 1f170-1f171 1f17e-1f17f 1f202 1f21a 1f22f 1f237 "
    "1f321 1f324-1f32c 1f336 1f37d 1f396-1f397 1f399-1f39b 1f39e-1f39f 1f3cb-1f3ce 1f3d4-1f3df 1f3f3 1f3f5 "
    "1f3f7 1f43f 1f441 1f4fd 1f549-1f54a 1f56f-1f570 1f573-1f579 1f587 1f58a-1f58d 1f590 1f5a5 1f5a8 "
    "1f5b1-1f5b2 1f5bc 1f5c2-1f5c4 1f5d1-1f5d3 1f5dc-1f5de 1f5e1 1f5e3 1f5e8 1f5ef 1f5f3 1f5fa 1f6cb "
    "1f6cd-1f6cf 1f6e0-1f6e5 1f6e9 1f6f0 1f6f3 "
)


def _ranges(numbers: str) -> str:
    """`2194-2199 24c2` as the inside of a class of a regular expression."""
    return "".join("-".join(chr(int(end, 16)) for end in each.split("-")) for each in numbers.split())


_ELEMENT = f"(?:[{_ranges(_ALSO_TEXT)}][{_TONE}\ufe0f]?|[{PICTURE}][{_TONE}]?|[{_TONE}])"
_FLAG = "[\U0001f1e6-\U0001f1ff]"
EMOJI = re.compile(
    f"\U0001f3f4[\U000e0061-\U000e007a]{{1,6}}\U000e007f"  # the flags of England, Scotland and Wales
    f"|{_FLAG}{_FLAG}"
    "|[0-9#*]\ufe0f?\u20e3"  # a key cap
    "|[\u00a9\u00ae]\ufe0f"
    f"|{_ELEMENT}(?:\u200d{_ELEMENT})*"
)

# --- Links ------------------------------------------------------------------------------
# With http(s):// or without, only where the last label is a top-level domain that exists. A name without the
# scheme is of Latin letters; with it, of anything but punctuation and space.

_NOT_IN_NAMES = r"\s!'#%&()*+,\\\-./:;<=>?@\[\]^_{|}~$\u0000-\u001f\u007f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff"
_ANY = rf"[^{_NOT_IN_NAMES}]"
_LATIN = "[0-9A-Za-zÀ-ÖØ-öø-ɏ]"
_FULL_LABEL = rf"{_ANY}(?:(?:[-_]|{_ANY}){{0,252}}{_ANY})?"
_BARE_LABEL = rf"{_LATIN}(?:(?:[-_]|{_LATIN}){{0,61}}{_LATIN})?"
_BEFORE = r"(?<![A-Za-z0-9@＠$#＃\u202a-\u202e])"
_NAME = re.compile(
    rf"{_BEFORE}(?P<scheme>https?://)(?P<full>(?:{_FULL_LABEL}\.){{1,10}}{_FULL_LABEL})"
    rf"|{_BEFORE}(?<![-_./])(?P<bare>(?:{_BARE_LABEL}\.){{1,10}}{_BARE_LABEL})",
    re.IGNORECASE,
)
_TOP = re.compile(r"(?P<coded>xn--[-0-9a-z]+)|[0-9a-z]+", re.IGNORECASE)
_ENDS = re.compile(r"[^0-9A-Za-z@+-]|$")
_IN_PATH = r"[A-Za-zА-яÀ-ÖØ-öø-ɏ0-9!*';:=+,.$/%#\[\]\-\u2013_~@|&]"
_LAST_IN_PATH = r"[A-Za-zА-яÀ-ÖØ-öø-ɏ0-9=_#/+\-]"
_BRACKETS = (
    r"\((?:[^()\s]{1,400}|[^()\s]{0,400}\([^()\s]{1,400}\)[^()\s]{0,400})\)"  # one pair within another
)
_PATH = rf"(?:/(?:(?:{_IN_PATH}|{_BRACKETS}){{0,2000}}(?:{_LAST_IN_PATH}|{_BRACKETS}))?)?"
_QUERY = r"(?:\?[A-Za-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]{0,2000}[A-Za-z0-9\-_&=#/])?"
_AFTER_NAME = re.compile(rf"(?::[0-9]+)?{_PATH}{_QUERY}", re.IGNORECASE)
_SHORTENED = re.compile(rf"/([0-9a-z]+){_QUERY}", re.IGNORECASE)  # X's own short links
_SHORTENER, _LONGEST_SLUG = "t.co", 40


def links(text: str) -> list[tuple[int, int]]:
    """Where each address on the web begins and ends in `text`, as X sees them."""
    found: list[tuple[int, int]] = []
    at = 0
    while "." in text and (named := _NAME.search(text, at)):
        link = _link(text, named)
        if link is None:
            at = named.start() + 1
            continue
        if link[1] > link[0]:
            found.append(link)
        at = max(link[1], named.start() + 1)
    return found


def _link(text: str, named: re.Match[str]) -> tuple[int, int] | None:
    """The link whose name may begin there; None where it is none, and an empty one to be stepped over."""
    start, is_full = named.start(), named["scheme"] is not None
    first = named.end("scheme") if is_full else start
    end = _end_of_name(text, first, named.end())
    if end is None:
        return None
    name = text[first:end]
    after = _end_of_link(text, end, is_full=is_full)
    if not is_full:
        start = _start_of_bare(text, start, end)
    if is_full and name.lower() == _SHORTENER and (short := _SHORTENED.match(text, end)):
        return (after, after) if len(short[1]) > _LONGEST_SLUG else (start, short.end())
    is_link = after - start <= LONGEST_LINK and _labels_are_short(name)
    return (start, after) if is_link else (after, after)


def _end_of_link(text: str, end: int, *, is_full: bool) -> int:
    """Where the link ends whose name ends there: without its scheme it has no query but behind a path."""
    tail = _AFTER_NAME.match(text, end)
    after = tail.end() if tail else end
    return after if is_full or "/" in text[end:after].partition("?")[0] else end


def _start_of_bare(text: str, start: int, end: int) -> int:
    """X begins such a name behind an underscore, and behind a letter with an accent that a post begins with."""
    begins_with_accent = start == 0 and not text[0].isascii() and text[1] != "."
    return max(start + begins_with_accent, text.rfind("_", start, end) + 1)


def _end_of_name(text: str, start: int, end: int) -> int | None:
    """Where the longest name ends whose last label is a top-level domain, and the one before it a domain's."""
    dot = text.rfind(".", start, end)
    while dot > start:
        before = max(text.rfind(".", start, dot) + 1, start)
        top = _end_of_top(text, dot + 1)
        if top is not None and "_" not in text[before:dot]:
            return top
        dot = text.rfind(".", start, dot)
    return None


def _end_of_top(text: str, at: int) -> int | None:
    """Where the top-level domain that begins there ends, or none."""
    if word := _TOP.match(text, at):
        is_known = word["coded"] or word[0].lower() in toplevel.ASCII
        return word.end() if is_known and _ENDS.match(text, word.end()) else None
    for length in range(toplevel.LONGEST_OTHER, 1, -1):
        if text[at : at + length] in toplevel.OTHER and _ENDS.match(text, at + length):
            return at + length
    return None


def _labels_are_short(name: str) -> bool:
    """No label over 63 octets once in its ASCII form (RFC 5890 §2.3.2.1), and none that pretends to be in it."""
    return all(
        len(label) <= LONGEST_LABEL
        if label.isascii()
        else len(f"xn--{_punycode(label)}") <= LONGEST_LABEL and not label.lower().startswith("xn--")
        for label in name.split(".")
    )


def _punycode(label: str) -> str:
    return label.encode("punycode").decode("ascii")
