"""Words as JSON with holes, for the channels that keep what they are given: `outbox` and `memory`.

Pure. `compile_words` makes the pieces once; `read_words` takes a filled copy apart again.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from channels.base import Content, Form, Hole, Prepared, cut


@dataclass(frozen=True, kw_only=True)
class Words:
    """What one person reads."""

    subject: str = ""
    text: str = ""
    html: str = ""
    sender_name: str = ""
    link: str = ""
    actions: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, kw_only=True)
class JsonHole(Hole):
    """A hole inside a JSON string."""

    def write(self, value: str) -> bytes:
        return _inside(super().write(value).decode())


def compile_words(content: Content) -> Prepared:
    """`content` as pieces of one JSON object, a hole wherever the content has one."""
    pieces: list[bytes | Hole] = []
    for number, (name, text) in enumerate(_fields(content)):
        pieces += [f'{", " if number else "{"}"{name}": '.encode(), *json_pieces(text, _form_of(name))]
    if content.link:
        pieces += [b', "link": ', *json_pieces(content.link)]
    if content.actions:
        pieces += [b', "actions": [', *_actions(content.actions), b"]"]
    pieces.append(b"}")
    return Prepared(medium=content.medium, language=content.language, pieces=joined(pieces))


def json_pieces(text: str, form: Form = Form.TEXT) -> Iterator[bytes | Hole]:
    """`text` as a JSON string, a hole wherever it has one."""
    yield b'"'
    yield from _pieces(text, form)
    yield b'"'


def joined(pieces: Iterable[bytes | Hole]) -> tuple[bytes | Hole, ...]:
    """The same pieces with neighbouring constants made one."""
    return tuple(_joined(pieces))


def read_words(filled: bytes) -> Words:
    """The words in a filled copy. ValueError where it is not one."""
    return Words(**json.loads(filled))


def _fields(content: Content) -> Iterator[tuple[str, str]]:
    yield "subject", content.subject
    yield "text", content.text
    yield "html", content.html
    yield "sender_name", content.sender_name


def _form_of(name: str) -> Form:
    return Form.HTML if name == "html" else Form.TEXT


def _actions(actions: Sequence[tuple[str, str]]) -> Iterator[bytes | Hole]:
    for number, (words, link) in enumerate(actions):
        yield b", [" if number else b"["
        yield from json_pieces(words)
        yield b", "
        yield from json_pieces(link)
        yield b"]"


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
    constant = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            constant += piece
            continue
        yield constant
        yield piece
        constant = b""
    yield constant
