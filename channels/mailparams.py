"""A parameter of a header that says what a part is: the name of a file, a charset.

Pure, for hostile input: each header is cut, and read forward once. Called by `mailparts`. The library gives up the
letters of a name that stands there as eight-bit octets, and takes a plain name before the whole one beside it.
Sources: RFC 2045 §5.1, 2231 (continued and encoded values), 2183 (filename), 6266 §4.3 (which of two names counts).
"""

import re
from collections.abc import Iterator
from email.message import Message
from urllib.parse import unquote_to_bytes

from channels.mailletters import decoded, letters

MAX_FIELD, MAX_PARAMETERS, MAX_VALUE = 16_000, 200, 2_000

_PARAMETER = re.compile(r";\s{0,80}([^\s=;\"]{1,60})\s{0,8}=\s{0,80}(?:\"((?:[^\"\\]|\\.)*+)\"?|([^;]*))")
_SECTION = re.compile(r"([^*]{1,40})(?:\*(\d{1,3}))?(\*?)")
_ESCAPED = re.compile(r"\\([\"\\])")


def parameter(part: Message, header: str, name: str) -> str:
    """The value of one parameter of a part's header, in letters; nothing where there is none."""
    return value_of(_field(part, header), name)


def value_of(field: str, name: str) -> str:
    """The same, of a header's value. What is continued or encoded counts for more than what is plain."""
    plain, sections = "", dict[int, tuple[bool, str]]()
    for key, value in _parameters(field):
        found = _SECTION.fullmatch(key)
        if found is None or found[1] != name:
            continue
        if found[2] or found[3]:
            sections.setdefault(int(found[2] or 0), (bool(found[3]), value))
        else:
            plain = plain or value
    return _joined([sections[at] for at in sorted(sections)]) if sections else decoded(plain[:MAX_VALUE])


def _field(part: Message, header: str) -> str:
    """The first header of that name, its octets outside ASCII as the letters they most likely were."""
    for name, value in part.raw_items():
        if name.lower() == header:
            text = str(value)[:MAX_FIELD]
            return text if text.isascii() else letters(text.encode("utf-8", "surrogateescape"), "")
    return ""


def _parameters(field: str) -> Iterator[tuple[str, str]]:
    for number, found in enumerate(_PARAMETER.finditer(field)):
        if number >= MAX_PARAMETERS:
            return
        quoted = found[2]
        yield found[1].lower(), found[3].strip() if quoted is None else _ESCAPED.sub(r"\1", quoted)


def _joined(sections: list[tuple[bool, str]]) -> str:
    """The sections of one value. The first one names the charset, where it is encoded at all."""
    is_encoded, first = sections[0]
    charset = ""
    if is_encoded and first.count("'") >= 2:
        charset, _, rest = first.partition("'")
        sections = [(True, rest.partition("'")[2]), *sections[1:]]
    octets = b"".join(
        unquote_to_bytes(text) if coded else text.encode("utf-8", "replace") for coded, text in sections
    )[:MAX_VALUE]
    text = letters(octets, charset)
    return decoded(text) if "=?" in text else text
