"""The headers of a mail from outside: words, addresses, ids and dates, whatever was done to them.

Pure, for hostile input: headers are counted and cut before anything is decoded. Called by `mailread`.
Sources: RFC 5322, 2047 (words in other letters).
"""

import re
from codecs import lookup
from collections.abc import Iterator
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from itertools import islice

from channels.base import without_holes

MAX_HEADERS, MAX_HEADER = 200, 8_000
MAX_RECIPIENTS = 200

MESSAGE_ID = re.compile(r"<[^<>\s]{1,996}>")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPACE = re.compile(r"\s+")
# Codecs that decode something other than letters, or slowly, or into what the sender hides.
_NOT_CHARSETS = frozenset(
    {"idna", "punycode", "utf-7", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs"}
)


class Headers:
    """The first headers of a mail, each cut to a length that is quick to decode."""

    def __init__(self, mail: Message) -> None:
        self._rows = [
            (name.lower(), _unsurrogated(str(value))[:MAX_HEADER])
            for name, value in islice(mail.raw_items(), MAX_HEADERS)
        ]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._rows if key == name.lower()]

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    def text(self, name: str) -> str:
        return clean(decoded(self.first(name)))

    def people(self, *names: str) -> list[tuple[str, str]]:
        """Names and lower-case addresses of all such headers, no address twice."""
        found: dict[str, str] = {}
        for name in names:
            for value in self.all(name):
                for person, address in addresses_in(value):
                    found.setdefault(address, person)
        return [(person, address) for address, person in found.items()][:MAX_RECIPIENTS]


def addresses_in(value: str) -> Iterator[tuple[str, str]]:
    flat = _SPACE.sub(" ", value)
    if flat.count("(") > 20:  # comments nest, and the library follows them down
        flat = flat.replace("(", " ").replace(")", " ")
    try:
        found = getaddresses([flat])
    except (RecursionError, IndexError, ValueError):
        found = []
    for person, address in found:
        bare = address.strip().strip("<>").lower()
        if "@" in bare and len(bare) <= 320 and " " not in bare:
            yield clean(decoded(person)), bare


def decoded(value: str) -> str:
    """A header's words, encoded words decoded as far as they make sense."""
    flat = _SPACE.sub(" ", value)
    if "=?" not in flat:
        return flat
    try:
        chunks = decode_header(flat)
    except (HeaderParseError, ValueError, LookupError):
        return flat
    return "".join(
        chunk if isinstance(chunk, str) else letters(chunk, charset or "utf-8") for chunk, charset in chunks
    )


def _unsurrogated(value: str) -> str:
    """Octets outside ASCII, which the parser keeps as surrogates, as the letters they most likely were."""
    if value.isascii():
        return value
    return letters(value.encode("utf-8", "surrogateescape"), "utf-8")


def letters(data: bytes, charset: str) -> str:
    """Octets as text, whatever their charset calls itself."""
    try:
        name = lookup(charset.strip("'\" ")).name
        if name not in _NOT_CHARSETS:
            return data.decode(name)
    except (LookupError, ValueError, AssertionError, TypeError):
        pass
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def clean(text: str) -> str:
    """One line without control characters, half characters or hole marks."""
    whole = without_holes(text).encode("utf-8", "replace").decode("utf-8")
    return _SPACE.sub(" ", _CONTROL.sub("", whole)).strip()


def first_id(value: str) -> str:
    found = MESSAGE_ID.search(value)
    return found[0] if found else ""


def date_of(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
