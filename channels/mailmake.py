"""A mail made again from the fields a provider took it apart into, and the trace a last server leaves on top of one.

Pure, and the same bytes each time. Called by the readers of inbound web calls. Sources: RFC 5322 and 5321 §4.4 (trace),
2045 and 2046 (parts), 2047 (encoded words), 3462 (reports keep their kind, or nobody could read them as such).
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.header import Header
from email.message import Message
from email.utils import formataddr, getaddresses
from hashlib import sha256

MAX_HEADERS, MAX_ATTACHMENTS = 400, 200
MAX_HEAD, MAX_HEADER = 256_000, 16_000  # octets and characters looked at
MAX_OURS = 200_000  # octets of the headers made here, so that whoever reads the mail reads on to its words
_FOLD_AT = 900

_NAME = re.compile(r"[!-9;-~]{1,80}")
_KIND = re.compile(r"[A-Za-z0-9][\w.+-]{0,60}/[A-Za-z0-9][\w.+-]{0,80}")
_SPACES = re.compile(r"[\s\0]+")
_RETURN_PATH = re.compile(rb"(?im)^return-path[ \t]*:")
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_OF_ADDRESSES = frozenset({"from", "to", "cc", "bcc", "reply-to", "sender"})
# What the body made here says of itself.
_OF_BODY = frozenset({"mime-version", "content-type", "content-transfer-encoding", "content-length"})


@dataclass(frozen=True, kw_only=True)
class Attached:
    """One part that came with a mail. content_id: by which the HTML shows it."""

    name: str
    kind: str
    data: bytes
    content_id: str = ""


def traced(raw: bytes, *, mail_from: str, recipients: Iterable[str] = ()) -> bytes:
    """The mail with its envelope on top, as far as it does not say it already. mail_from: "" unknown, "<>" for none."""
    head = raw[:MAX_HEAD]
    found = _BLANK_LINE.search(head)
    lines = [f"Delivered-To: {_flat(each)}\r\n" for each in recipients]
    if mail_from and not _RETURN_PATH.search(head[: found.start()] if found else head):
        lines.insert(0, f"Return-Path: <{_flat(mail_from).strip('<> ')}>\r\n")
    return "".join(lines).encode("utf-8", "replace") + raw


def made_again(
    headers: Sequence[tuple[str, str]], *, text: str, html: str = "", attached: Sequence[Attached] = ()
) -> bytes:
    """A whole mail with those headers, in their order. What they say of the body counts only where it was a report."""
    kept = [(name, value) for name, value in headers[:MAX_HEADERS] if name.lower() not in _OF_BODY]
    was = next((value for name, value in headers if name.lower() == "content-type"), "")
    head, left = b"", MAX_OURS
    for name, value in kept:
        left -= min(len(value), MAX_HEADER)
        if left < 0:  # writing a header is costly too, whether or not there is room for it
            break
        line = _header(name, value) if _NAME.fullmatch(name) else b""
        head += line if len(head) + len(line) <= MAX_OURS else b""
    return head + b"MIME-Version: 1.0\r\n" + _body(text, html, attached[:MAX_ATTACHMENTS], was)


# --- Headers --------------------------------------------------------------------------------


def _header(name: str, value: str) -> bytes:
    flat = _flat(value)[:MAX_HEADER]
    if not flat.isascii():
        flat = _addresses(flat) if name.lower() in _OF_ADDRESSES else _encoded(flat, name)
    elif len(flat) > _FOLD_AT:
        flat = "\r\n ".join(_folded(flat))
    return f"{name}: {flat}\r\n".encode("utf-8", "replace")


def _folded(value: str) -> Iterator[str]:
    line = ""
    for each in value.split(" "):
        if line and len(line) + len(each) > _FOLD_AT:
            yield line
            line = each
        else:
            line = f"{line} {each}" if line else each
    yield line


def _addresses(value: str) -> str:
    """Names in encoded words. An address of other letters stays as it is (RFC 6532)."""
    if value.count("(") > 20:  # comments nest, and the library follows them down
        return value
    try:
        people = [_person(name, address) for name, address in getaddresses([value]) if address]
    except (ValueError, IndexError, RecursionError):
        return value
    return "\r\n ".join(_folded(", ".join(people)))


def _person(name: str, address: str) -> str:
    if address.isascii():
        return formataddr((name, address))
    return f"{_encoded(name, '')} <{address}>" if name else f"<{address}>"


def _encoded(value: str, name: str) -> str:
    return Header(value, "utf-8", header_name=name).encode(linesep="\r\n")


def _flat(value: str) -> str:
    """One line, whole characters."""
    return _SPACES.sub(" ", value).strip().encode("utf-8", "replace").decode("utf-8")


# --- Body -----------------------------------------------------------------------------------


def _body(text: str, html: str, attached: Sequence[Attached], was: str) -> bytes:
    """The words, and what came with them: head of the body, empty line and all."""
    words = [_words("plain", text)] if text or not html else []
    words += [_words("html", html)] if html else []
    whole = words[0] if len(words) == 1 else _multipart("alternative", words)
    if not attached:
        return whole
    return _multipart(_kind_of_report(was) or "mixed", [whole, *(_attachment(each) for each in attached)])


def _kind_of_report(was: str) -> str:
    """`report; report-type=…` where the mail was one: its parts tell of a bounce or a complaint."""
    mail = Message()
    mail["Content-Type"] = _flat(was)[:1000].encode("ascii", "replace").decode()
    if mail.get_content_type() != "multipart/report":
        return ""
    kind = str(mail.get_param("report-type") or "")
    return f"report; report-type={kind}" if re.fullmatch(r"[A-Za-z-]{1,40}", kind) else ""


def _words(subtype: str, words: str) -> bytes:
    return _part(f"text/{subtype}; charset=utf-8", words.encode("utf-8", "replace"))


def _attachment(each: Attached) -> bytes:
    kind = each.kind.partition(";")[0].strip().lower()
    kind = kind if _KIND.fullmatch(kind) and not kind.startswith("multipart/") else "application/octet-stream"
    name = re.split(r"[/\\\\]", _flat(each.name))[-1][:255].lstrip(".")  # of a file, never of a place
    more = "Content-Disposition: " + ("inline" if each.content_id and not name else "attachment")
    if name:
        holder = Message()
        holder.add_header("Content-Disposition", "attachment", filename=("utf-8", "", name))
        more = f"Content-Disposition: {holder['Content-Disposition']}"
    lines = [more]
    if each.content_id:
        lines.append(f"Content-ID: <{_flat(each.content_id).strip('<> ')[:200]}>")
    if kind.startswith("message/"):  # which may not be encoded (RFC 2046 §5.2.1)
        return _part(kind, each.data, [] if kind == "message/delivery-status" else lines, encoded=False)
    return _part(kind, each.data, lines)


def _part(kind: str, data: bytes, lines: Sequence[str] = (), *, encoded: bool = True) -> bytes:
    how = "base64" if encoded else "8bit"
    head = "".join(
        f"{line}\r\n" for line in (f"Content-Type: {kind}", f"Content-Transfer-Encoding: {how}", *lines)
    )
    body = base64.encodebytes(data).replace(b"\n", b"\r\n") if encoded else data
    return head.encode("utf-8", "replace") + b"\r\n" + body


def _multipart(kind: str, parts: Sequence[bytes]) -> bytes:
    """Parts between a line that is in none of them, save by an accident of 128 bits."""
    mark = sha256(b"\0".join(sha256(each).digest() for each in parts)).hexdigest()[:32].encode()
    inside = b"".join(b"--%b\r\n%b\r\n" % (mark, each) for each in parts)
    head = f'Content-Type: multipart/{kind}; boundary="'.encode() + mark + b'"\r\n\r\n'
    return head + inside + b"--" + mark + b"--\r\n"
