"""Words on their way to a channel: content with holes in it, and content compiled once for many.

Pure. Part of the channel contract, and handed on by `base`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from html import escape


class Medium(StrEnum):
    """How words travel."""

    EMAIL = "email"
    SMS = "sms"
    SOCIAL = "social"
    PUSH = "push"


# --- Words, and the holes in them -------------------------------------------------------

HOLE_OPENS, HOLE_CLOSES = "\ue000", "\ue001"  # private use: text from outside is stripped of them


class Form(StrEnum):
    """How a value is written where its hole is."""

    TEXT = "text"
    HTML = "html"


@dataclass(frozen=True, kw_only=True)
class Hole:
    """A place for one personal value, filled for each recipient."""

    name: str
    form: Form = Form.TEXT

    def write(self, value: str) -> bytes:
        """The value as bytes: one line, nothing that could open a hole, escaped where it stands in HTML."""
        flat = " ".join(value.split())
        return (escape(flat) if self.form is Form.HTML else flat).encode()


def hole(name: str) -> str:
    """The mark a template leaves where `name` will be written."""
    return f"{HOLE_OPENS}{name}{HOLE_CLOSES}"


def without_holes(text: str) -> str:
    """`text` from outside, with the two marks taken out."""
    return text.replace(HOLE_OPENS, "").replace(HOLE_CLOSES, "")


def cut(text: str, form: Form = Form.TEXT) -> tuple[bytes | Hole, ...]:
    """Split rendered text at its holes, into constant bytes (UTF-8) and holes."""
    pieces: list[bytes | Hole] = []
    head, *rest = text.split(HOLE_OPENS)
    pieces.append(head.encode())
    for part in rest:
        name, _, tail = part.partition(HOLE_CLOSES)
        pieces += [Hole(name=name, form=form), tail.encode()]
    return tuple(piece for piece in pieces if piece != b"")


@dataclass(frozen=True, kw_only=True)
class Content:
    """The words of one message in one language for one medium; all may hold holes.

    subject: email's subject line, empty on other media. text: plain text, the whole of it.
    html: email's second part, empty on other media. sender_name: who it is from, in words.
    link: where a tap on a notification leads, actions: the (words, link) of buttons below it; empty on other media.
    headers: names and values of further email headers that are the same in every copy.
    """

    medium: Medium
    language: str
    text: str
    subject: str = ""
    html: str = ""
    sender_name: str = ""
    link: str = ""
    actions: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Content compiled once: constant pieces with holes between them."""

    medium: Medium
    language: str
    pieces: tuple[bytes | Hole, ...]

    def fill(self, values: Mapping[str, str]) -> bytes:
        """One recipient's bytes. KeyError where a hole has no value: a fault of the caller."""
        parts = self._constants.copy()
        for at, hole in self._holes:
            parts[at] = hole.write(values[hole.name])
        return b"".join(parts)

    @cached_property
    def _constants(self) -> list[bytes]:
        """The pieces, nothing where a hole is."""
        return [piece if isinstance(piece, bytes) else b"" for piece in self.pieces]

    @cached_property
    def _holes(self) -> list[tuple[int, Hole]]:
        """Holes, and which pieces they are."""
        return [(at, piece) for at, piece in enumerate(self.pieces) if isinstance(piece, Hole)]
