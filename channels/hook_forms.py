"""The fields of a posted form, url-encoded or multipart, in their order and with whatever is repeated.

Pure, and its time goes by the length of the body alone. Sources: RFC 7578 (multipart/form-data), the URL standard.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qsl

from channels.errors import BadHook

MAX_FIELDS, MAX_HEAD = 1000, 8_000
_URLENCODED, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field. kind, file_name: of a file alone."""

    name: str
    data: bytes
    is_file: bool = False
    kind: str = ""
    file_name: str = ""

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


def fields_of(content_type: str, body: bytes) -> Sequence[Field]:
    """BadHook where it is no form, or one of too many fields."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _URLENCODED:
        try:
            pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
        except ValueError as error:
            raise BadHook("it is no form") from error
        return [Field(name=name, data=value.encode("utf-8", "replace")) for name, value in pairs]
    mark = _params(content_type).get_param("boundary", header="Content-Type") if kind == _MULTIPART else None
    if not isinstance(mark, str) or not 0 < len(mark) <= 200 or not mark.isascii():
        raise BadHook("it is no form")
    return list(_parts(body, b"--" + mark.encode()))


def _parts(body: bytes, mark: bytes) -> Iterator[Field]:
    pieces = (b"\n" + body).split(b"\n" + mark)
    if len(pieces) > MAX_FIELDS + 2 or len(pieces) < 2:
        raise BadHook("it is no form, or one of too many fields")
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            return
        found = _BLANK_LINE.search(piece, 0, MAX_HEAD)
        if found is None:
            raise BadHook("a field without a name")
        head = _head(piece[: found.start()])
        named = head.get_param("name", header="Content-Disposition")
        if not isinstance(named, str):
            raise BadHook("a field without a name")
        file_name = head.get_filename()
        is_file = head.get_param("filename", header="Content-Disposition") is not None or bool(file_name)
        yield Field(
            name=named,
            data=piece[found.end() :].removesuffix(b"\r"),
            is_file=is_file,
            kind=str(head.get("Content-Type", "")),
            file_name=file_name or "",
        )


def _head(lines: bytes) -> Message:
    head = Message()
    for line in lines.decode("utf-8", "replace").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            head[name.strip()] = value.strip()
    return head


def _params(content_type: str) -> Message:
    head = Message()
    head["Content-Type"] = content_type[:1000]
    return head
