"""Octets from outside as letters: bodies in any charset, headers in encoded words.

Pure, for hostile input: each step reads forward once. Called by the readers of mail.
Sources: RFC 2047 and 2231 §5 (encoded words), the WHATWG Encoding Standard §4.2 (what a charset's name means in practice).
"""

import re
from binascii import Error, a2b_base64, a2b_qp
from codecs import BOM_UTF8, lookup
from collections.abc import Iterator
from functools import lru_cache

_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"=\?([^?\s]{1,80})\?([bBqQ])\?")
_NO_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
# Programs write the narrow name and mean the wide one; names that Python does not know.
_MEANS = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
    "utf-8-sig": "utf-8",
}
_ALIASES = {
    "ks_c_5601-1987": "cp949",
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc_jp",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "windows-874": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "utf8mb4": "utf-8",
    "cp-850": "cp850",
    "ansi": "cp1252",
}
# Codecs that decode something other than letters, or slowly.
_NOT_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs"})
# Several octets to a letter: what looks like UTF-8 may be anything in these.
_WIDE = re.compile(r"utf|gb|big5|cp9|euc|iso2022|hz|johab|shift")
_SAY_NOTHING = frozenset({"ascii", "utf-8", ""})
# An octet that is no UTF-8, where the rest is: as Western Europe's programs mean it.
_WESTERN = {0xDC00 + octet: bytes([octet]).decode("cp1252", "replace") for octet in range(0x80, 0x100)}


def letters(data: bytes, charset: str) -> str:
    """Octets as text, whatever their charset calls itself; nothing is lost but what no charset explains."""
    name, data = _codec(charset[:80]), data.removeprefix(BOM_UTF8)
    if name in _SAY_NOTHING or not _WIDE.search(name):
        try:
            return data.decode("utf-8")  # which other octets hardly ever are by accident
        except UnicodeDecodeError:
            pass
    if name in _SAY_NOTHING:
        return data.decode("utf-8", "surrogateescape").translate(_WESTERN)
    try:
        return data.decode(name)
    except ValueError:
        pass
    if name == "utf-7":  # seven bits only: whoever says so and writes eight means something else
        return letters(data, "")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(name, "replace")


def decoded(value: str) -> str:
    """A header's words, encoded words decoded as far as they make sense, spaces single."""
    flat = _SPACE.sub(" ", value)
    return "".join(_decoded(flat)) if "=?" in flat else flat


def _decoded(flat: str) -> Iterator[str]:
    """Neighbours of one charset are joined before they are decoded: a letter may be cut in two between them."""
    at, charset, octets = 0, "", b""
    for start, end, named, found in _words(flat):
        between = flat[at:start]
        if octets and (between.strip() or named != charset):
            yield letters(octets, charset)
            octets = b""
        if between.strip() or not charset:
            yield between
        octets, charset, at = octets + found, named, end
    if octets:
        yield letters(octets, charset)
    yield flat[at:]


def _words(flat: str) -> Iterator[tuple[int, int, str, bytes]]:
    """Where each encoded word stands, its charset without a language, and its octets."""
    at = flat.find("=?")
    while at >= 0:
        begins = _WORD.match(flat, at)
        if begins is None:
            at = flat.find("=?", at + 2)
            continue
        end = flat.find("?=", begins.end())
        if end < 0:
            return
        text = flat[begins.end() : end]
        charset = begins[1].partition("*")[0].lower()
        yield at, end + 2, charset, _octets(text, is_base64=begins[2] in "bB")
        at = flat.find("=?", end + 2)


def _octets(text: str, *, is_base64: bool) -> bytes:
    """What a word holds. Padding may be missing, and stands in the middle where two words were made one."""
    if not is_base64:
        return a2b_qp(text.encode("utf-8", "replace"), header=True)
    bare = _NO_BASE64.sub("", text)
    try:
        return a2b_base64(bare[: len(bare) - (len(bare) % 4 == 1)] + "=" * (-len(bare) % 4))
    except Error:
        return b""


@lru_cache(maxsize=128)
def _codec(charset: str) -> str:
    """Python's name of the charset that is meant; nothing where it says nothing."""
    name = charset.strip("'\" \t;").lower()
    try:
        found = lookup(_ALIASES.get(name, name)).name
        b" ".decode(found, "replace")  # a codec may turn octets into something other than letters
    except (LookupError, ValueError, AssertionError, TypeError):
        return ""
    return "" if found in _NOT_CHARSETS else _MEANS.get(found, found)
