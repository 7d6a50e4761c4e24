"""Where links with their scheme stand in a post, without the punctuation of the sentence around them.

Pure. Called by the channels of posts: Bluesky is told where they are, Facebook which one to show, Mastodon counts each
as one length. A sentence ends with a mark of its own in Urdu, Hindi or Chinese, and a bracket belongs to a link that opened it.
"""

import re
import unicodedata

from channels.weighted import PICTURE

_LINK = re.compile(
    rf"https?://\w[^\s<>\"\u200b-\u200f\u2028-\u202e\u2066-\u2069{PICTURE}]{{0,2000}}", re.IGNORECASE
)
_MAY_END = frozenset("/-_#%&@")  # of all punctuation
_OPENED_BY = {")": "(", "]": "[", "}": "{"}


def spans(text: str) -> list[tuple[int, int]]:
    """Where each begins and ends."""
    return [(link.start(), _end(text, link.start(), link.end())) for link in _LINK.finditer(text)]


def links(text: str) -> list[str]:
    """Each as it is written."""
    return [text[start:end] for start, end in spans(text)]


def without(text: str) -> str:
    """The text around them."""
    kept, at = [], 0
    for start, end in spans(text):
        kept.append(text[at:start])
        at = end
    return "".join([*kept, text[at:]])


def _end(text: str, start: int, end: int) -> int:
    while not _belongs(text, start, end):
        end -= 1
    return end


def _belongs(text: str, start: int, end: int) -> bool:
    """Whether the last character is the link's own and not the sentence's."""
    last = text[end - 1]
    if last in _MAY_END:
        return True
    if last in _OPENED_BY:
        return text.count(_OPENED_BY[last], start, end) >= text.count(last, start, end)
    return unicodedata.category(last)[0] != "P"
