"""Reading what a mail provider posts: fields of JSON that may be anything, times, and the codes in a server's words.

Pure. Called by the readers of Amazon SES's, Mailgun's and Postmark's calls. Only `document` raises; a field that is
missing or of another kind is an empty one.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from channels.errors import BadHook

LONGEST_WORD = 200

_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_NUMBER = re.compile(r"(?<![\d.])([245]\d\d)(?![\d.])")


def document(body: bytes | str) -> dict[str, Any]:
    """The JSON object. BadHook where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadHook("it is no JSON") from error
    if not isinstance(found, dict):
        raise BadHook("it is no JSON object")
    return found


def part(tree: object, *path: str) -> dict[str, Any]:
    """The object there."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else {}


def text(tree: object, *path: str) -> str:
    """The words there, whole; a number's digits."""
    found = part(tree, *path[:-1]).get(path[-1])
    if isinstance(found, bool) or not isinstance(found, str | int):
        return ""
    return str(found).encode("utf-8", "replace").decode("utf-8")


def word(tree: object, *path: str) -> str:
    """An id or a kind: what is there without spaces and control characters, at most 200 characters."""
    return "".join(
        each for each in text(tree, *path)[: 2 * LONGEST_WORD] if each.isprintable() and each != " "
    )[:LONGEST_WORD]


def rows(tree: object, *path: str) -> Iterator[dict[str, Any]]:
    """The objects in the list there."""
    found = part(tree, *path[:-1]).get(path[-1])
    yield from (each for each in (found if isinstance(found, list) else ()) if isinstance(each, dict))


def moment(value: object) -> datetime | None:
    """An aware time from ISO 8601 or Unix seconds."""
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
            found = datetime.fromisoformat(value)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(float(value), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def code_in(*words: str) -> str:
    """The first enhanced status (RFC 3463) in a server's words, else its reply's number, else nothing."""
    for pattern in (_STATUS, _NUMBER):
        for each in words:
            found = pattern.search(each[:2000])
            if found:
                return found[1]
    return ""
