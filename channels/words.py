"""Words as JSON with holes, for the channels that keep what they are given: `outbox` and `memory`.

Pure. `compile_words` makes the pieces once; `read_words` takes a filled copy apart again.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from channels.base import Content, Form, Hole, Prepared, cut


@dataclass(frozen=True, kw_only=True)
class Words:
    """What one person reads."""

    subject: str = ""
    text: str = ""
    html: str = ""
    sender_name: str = ""


@dataclass(frozen=True, kw_only=True)
class JsonHole(Hole):
    """A hole inside a JSON string."""

    def write(self, value: str) -> bytes:
        return _inside(super().write(value).decode())


def compile_words(content: Content) -> Prepared:
    """`content` as pieces of one JSON object, a hole wherever the content has one."""
    pieces: list[bytes | Hole] = []
    for number, (name, text) in enumerate(_fields(content)):
        pieces.append(f'{", " if number else "{"}"{name}": "'.encode())
        pieces += _pieces(text, Form.HTML if name == "html" else Form.TEXT)
        pieces.append(b'"')
    pieces.append(b"}")
    return Prepared(medium=content.medium, language=content.language, pieces=tuple(_joined(pieces)))


def read_words(filled: bytes) -> Words:
    """The words in a filled copy. ValueError where it is not one."""
    return Words(**json.loads(filled))


def _fields(content: Content) -> Iterator[tuple[str, str]]:
    yield "subject", content.subject
    yield "text", content.text
    yield "html", content.html
    yield "sender_name", content.sender_name


def _pieces(text: str, form: Form) -> Iterator[bytes | Hole]:
    for piece in cut(text, form):
        if isinstance(piece, bytes):
            yield _inside(piece.decode())
        else:
            yield JsonHole(name=piece.name, form=piece.form)


def _inside(text: str) -> bytes:
    """`text` as the inside of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def _joined(pieces: Iterable[bytes | Hole]) -> Iterator[bytes | Hole]:
    """The same pieces with neighbouring constants made one."""
    constant = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            constant += piece
            continue
        yield constant
        yield piece
        constant = b""
    yield constant
