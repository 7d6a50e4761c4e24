"""The headers of a mail from outside: words, addresses, ids and dates, whatever was done to them.

Pure, for hostile input: headers are counted and cut before anything is decoded. Called by `mailread`.
Source: RFC 5322.
"""

import re
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from itertools import chain, islice

from channels.base import without_holes
from channels.mailletters import decoded, letters
from channels.mailpeople import people_in

MAX_HEADERS, MAX_HEADER = 200, 8_000
MAX_RECIPIENTS, MAX_LISTS = 200, 64_000  # people, and characters in which they are looked for

MESSAGE_ID = re.compile(r"<[^<>\s]{1,996}>")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPACE = re.compile(r"\s+")


class Headers:
    """The first headers of a mail, each cut to a length that is quick to decode."""

    def __init__(self, mail: Message, charset: str = "") -> None:
        """charset: of headers written in eight bits that are no UTF-8."""
        self._rows = [
            (name.lower(), _in_letters(str(value)[:MAX_HEADER], charset))
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
        lists = "\n".join(_SPACE.sub(" ", value) for name in names for value in self.all(name))[
            :MAX_LISTS
        ].split("\n")
        for person, address in chain.from_iterable(map(people_in, lists)):
            found.setdefault(address, clean(person))
            if len(found) >= MAX_RECIPIENTS:
                break
        return [(person, address) for address, person in found.items()]


def _in_letters(value: str, charset: str) -> str:
    """Octets outside ASCII, which the parser keeps as surrogates, as the letters they most likely were."""
    if value.isascii():
        return value
    return letters(value.encode("utf-8", "surrogateescape"), charset)


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
