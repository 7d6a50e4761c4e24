"""The fields of a posted form, url-encoded or multipart, in their order and with whatever is repeated.

Pure, and its time goes by the length of the body alone. Sources: RFC 7578 (multipart/form-data), the URL standard.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from channels.errors import BadHook

MAX_FIELDS, MAX_HEAD = 1000, 4_000
_URLENCODED, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
_PARAM = re.compile(r';\s{0,4}(name|filename\*?)=(?:"([^"]*)"|([^;"\s]*))', re.IGNORECASE)
_BOUNDARY = re.compile(r';\s{0,4}boundary=(?:"([^"]*)"|([^;"\s]*))', re.IGNORECASE)
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


def fields_of(content_type: str, body: bytes, *, only: Collection[str] = ()) -> Sequence[Field]:
    """BadHook where it is no form, or one of too many fields. only: short ones that are wanted, for a form of nobody known."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _URLENCODED:
        pieces = body.split(b"&", MAX_FIELDS)
        wanted = tuple(f"{name}=".encode() for name in only)
        found = (
            [each for each in pieces if len(each) < MAX_HEAD and each.startswith(wanted)] if only else pieces
        )
        try:
            if len(pieces) > MAX_FIELDS:
                raise ValueError
            pairs = parse_qsl(b"&".join(found).decode("ascii"), keep_blank_values=True)
        except ValueError as error:
            raise BadHook("it is no form") from error
        return [Field(name=name, data=value.encode("utf-8", "replace")) for name, value in pairs]
    mark = _boundary(content_type) if kind == _MULTIPART else ""
    if not mark.isascii() or not 0 < len(mark) <= 200:
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
        head = piece[: found.start()].decode("utf-8", "replace")
        about = _header(head, "content-disposition")
        named = {each[1].lower(): _value(each) for each in _PARAM.finditer(about)}
        if "name" not in named:
            raise BadHook("a field without a name")
        yield Field(
            name=named["name"],
            data=piece[found.end() :].removesuffix(b"\r"),
            is_file="filename" in named or "filename*" in named,
            kind=_header(head, "content-type"),
            file_name=named.get("filename*") or named.get("filename", ""),
        )


def _header(head: str, name: str) -> str:
    found = (line.partition(":") for line in head.splitlines())
    return next((value.strip() for own, _, value in found if own.strip().lower() == name), "")


def _value(found: re.Match[str]) -> str:
    """As the URL standard writes it, which escapes nothing by a backslash; `name*` is in RFC 8187's letters."""
    value = found[2] if found[2] is not None else found[3]
    return unquote(value.rpartition("'")[2]) if found[1].endswith("*") else value


def _boundary(content_type: str) -> str:
    found = _BOUNDARY.search(content_type[:1000])
    return (found[1] or found[2] or "") if found else ""
