"""How many characters a reader sees in a text: the unit in which Bluesky and Mastodon limit a post.

Pure. Rule: Unicode Standard Annex 29, extended grapheme clusters, without the rule for Indic conjuncts: there a
text counts as longer than it is, never as shorter.
"""

import re
import unicodedata

from channels.weighted import PICTURE

_JOINER = "\u200d"
_MARKS = frozenset(("Mn", "Me", "Mc"))
# Vowels and tones that stand beside their letter as letters do (Grapheme_Cluster_Break: Other), of Burmese, Tai and Ahom.
_NO_MARKS = re.compile(
    r"[\u102b\u102c\u1038\u1062-\u1064\u1067-\u106d\u1083\u1087-\u108c\u108f\u109a-\u109c\u1a61\u1a63\u1a64\uaa7b\uaa7d\U00011720\U00011721]"
)
_ALSO_MARKS = re.compile(r"[\u200c\u200d\uff9e\uff9f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
_PICTURES = re.compile(f"[{PICTURE}\u00a9\u00ae]")
_FLAGS = re.compile("[\U0001f1e6-\U0001f1ff]")
_HANGUL = re.compile(
    "[\u1100-\u115f\ua960-\ua97c]*(?:[\uac00-\ud7a3]|[\u1160-\u11a7\ud7b0-\ud7c6])[\u1160-\u11ff\ud7b0-\ud7fb]*"
)


def count(text: str) -> int:
    """Grapheme clusters of `text`."""
    if text.isascii():
        return len(text) - text.count("\r\n")
    seen = at = 0
    while at < len(text):
        at = _end(text, at)
        seen += 1
    return seen


def _end(text: str, at: int) -> int:
    """Where the cluster that begins there ends."""
    if text.startswith("\r\n", at):
        return at + 2
    if unicodedata.category(text[at]) in ("Cc", "Cf", "Zl", "Zp") and not _ALSO_MARKS.match(text, at):
        return at + 1
    if found := _HANGUL.match(text, at):
        return _past_marks(text, found.end())
    is_flag = bool(_FLAGS.match(text, at) and _FLAGS.match(text, at + 1))
    is_picture = bool(_PICTURES.match(text, at))
    at = _past_marks(text, at + (2 if is_flag else 1))
    while is_picture and text[at - 1] == _JOINER and _PICTURES.match(text, at):
        at = _past_marks(text, at + 1)
    return at


def _past_marks(text: str, at: int) -> int:
    while at < len(text) and _is_mark(text, at):
        at += 1
    return at


def _is_mark(text: str, at: int) -> bool:
    kind = unicodedata.category(text[at])
    return bool(_ALSO_MARKS.match(text, at)) or (kind in _MARKS and not _NO_MARKS.match(text, at))
