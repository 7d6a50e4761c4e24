"""Composing mail: compiled once for a message in a language, joined for each recipient.

Pure. Called by `email_smtp`. Sources: RFC 5322 (headers), 2045 §6.7 (quoted-printable), 2047 (encoded
words), 2046 §5.1.4 (alternative), 8058 (one-click unsubscribe), 6532 (an address in other letters). A soft
line break stands on each side of a value, so no value can make a line longer than 76 octets or end a line of
ours. No line begins with a dot, so none needs stuffing on its way.

Bodies are quoted-printable for every server, also for one that takes 8BITMIME: a mail is compiled once, before it
is known which server carries it. It is right at each hop, so a signature (DKIM) outlives a relay that may not pass
eight bits on, and English and Welsh grow by a few per cent. So BODY=8BITMIME is never said.
"""

import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256

from channels.base import Content, Form, Hole, Prepared, cut, without_holes
from channels.errors import CannotExpress

# Holes that the channel itself fills; a template's own names hold no dot.
FROM, HEAD = ".from", ".head"

_OURS = frozenset(
    {"from", "to", "subject", "date", "message-id", "reply-to", "mime-version", "bcc", "return-path"}
)
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
_ATOMS = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]*")
_PLAIN_IN_WORD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_LEADING = re.compile(rb"(?m)^(?:(\.+)(From )?|From )")
_ENDS_LATE = re.compile(rb"(?m)^(.{74,})(=20|=09)$")  # the library does not count the space that ends a line
_LINE = 76
_FULL, _DOT = _LINE - 1, ord(".")  # of a line with a soft break; a line must not begin with a dot
_LONGEST_WORD = 900  # that goes behind any name: a line has at most 998 octets
# What stands in text, HTML and quoted-printable as it is.
_IN_LINK = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/:._~-"


@dataclass(frozen=True, kw_only=True)
class QuotedHole(Hole):
    """A hole in a quoted-printable part."""

    def write(self, value: str) -> bytes:
        link = _quoted_link(value)  # as nearly every value is
        if link:
            return link
        quoted = _quoted(super().write(value), goes_on=True)
        return b"=\r\n" + quoted + b"=\r\n" if quoted else b"=\r\n"


@dataclass(frozen=True, kw_only=True)
class WordHole(Hole):
    """A hole in a header line, written as encoded words between encoded words. folds: on a line of its own."""

    folds: bool = True

    def write(self, value: str) -> bytes:
        words = _encoded_words(super().write(value).decode())
        return words if self.folds else words.removeprefix(b"\r\n")


@dataclass(frozen=True, kw_only=True)
class RawHole(Hole):
    """A hole for what this module wrote and checked itself: ASCII but for an address in other letters (RFC 6532)."""

    def write(self, value: str) -> bytes:
        return value.encode()


def compile_mail(content: Content) -> Prepared:
    """A whole message as pieces. CannotExpress where subject, sender's name or a header would break a line."""
    pieces: list[bytes | Hole] = [
        b"From:",
        _display_name(content.sender_name),
        b"<",
        RawHole(name=FROM),
        b">\r\nSubject:",
        *_subject(content.subject),
        b"\r\n",
        RawHole(name=HEAD),
        *(_constant(*each) for each in content.headers),
        f"Content-Language: {_token(content.language)}\r\nMIME-Version: 1.0\r\n".encode(),
        *_body(content),
    ]
    return Prepared(medium=content.medium, language=content.language, pieces=tuple(_joined(pieces)))


def envelope(
    *,
    sender: str,
    to: str,
    message_id: str,
    date: str,
    reply_to: str = "",
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Values of the channel's own holes. date: from `date_line`. ValueError where one would break a header line.

    to: a checked address. One in other letters stands as it is, for a server that takes SMTPUTF8 (RFC 6532 §3.2).
    """
    own = {"To": to, "Message-ID": message_id}
    if reply_to:
        own["Reply-To"] = reply_to
    form = _form(tuple(own), tuple(headers or ()))
    if headers:
        own |= headers
    if _are_words("".join(own.values())):  # as they nearly always are
        return {FROM: _one_line(sender), HEAD: form % (date, *own.values())}
    lines = [_to(own.pop("To")), *(header(*each) for each in own.items())]
    return {FROM: _one_line(sender), HEAD: date + "".join(lines)}


@lru_cache(maxsize=64)
def _form(own: tuple[str, ...], further: tuple[str, ...]) -> str:
    """The line of the date and header lines with those names, open for their values.

    ValueError for a further one that is no name, or that the channel writes itself.
    """
    for name in further:
        _refuse_ours(name)
        _refuse_no_name(name)
    return "%s" + "".join(f"{name}: %s\r\n" for name in own + further)


def date_line(at: datetime) -> str:
    """The Date header of mail that leaves at that moment."""
    return header("Date", format_datetime(at.replace(microsecond=0).astimezone(UTC)))


def header(name: str, value: str) -> str:
    """One folded ASCII header. ValueError for line breaks, control characters, other letters, overlong words."""
    _refuse_no_name(name)
    if len(name) + 2 + len(_one_line(value)) <= _LINE or (" " not in value and len(value) <= _LONGEST_WORD):
        return f"{name}: {value}\r\n"
    lines = [f"{name}:"]
    for word in value.split(" "):
        if len(lines[-1]) + 1 + len(word) > _LINE and len(lines[-1]) > len(name) + 1:
            lines.append("")
        lines[-1] += f" {word}"
    folded = "\r\n".join(lines)
    if any(len(line) > 998 for line in lines) or any(not line.strip() for line in lines[1:]):
        raise ValueError(f"{name} cannot be folded")
    return f"{folded}\r\n"


def _are_words(values: str) -> bool:
    """Whether each of the values, joined, is a word that goes behind any name as it is."""
    is_visible = values.isascii() and values.isprintable() and " " not in values
    return is_visible and len(values) <= _LONGEST_WORD


@lru_cache(maxsize=8)
def _quoted_link(value: str) -> bytes:
    """A link between soft line breaks, once for text and HTML of the same mail; nothing for any other value."""
    link = value.encode("ascii", "replace")
    first, second = link[:_FULL], link[_FULL:]
    if not link or link.translate(None, _IN_LINK) or link[0] == _DOT:
        return b""
    if not second:
        return b"=\r\n%b=\r\n" % link
    if len(second) > _FULL or second[0] == _DOT:
        return b""
    return b"=\r\n%b=\r\n%b=\r\n" % (first, second)


# --- Header lines -------------------------------------------------------------------------


def _refuse_no_name(name: str) -> None:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("not a header name")


def _refuse_ours(name: str) -> None:
    if name.lower() in _OURS or name.lower().startswith("content-"):
        raise ValueError(f"{name} is written by the channel")


def _one_line(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("a header value holds a line break or a character outside ASCII")
    return value


def _to(address: str) -> str:
    """The line of the recipient, whose address may be in other letters."""
    if address.isascii():
        return header("To", address)
    if not address.isprintable() or len(address) > _LONGEST_WORD // 4:
        raise ValueError("an address holds a line break or is too long")
    return f"To: {address}\r\n"


def _constant(name: str, value: str) -> bytes:
    """A header that every copy has. Words before an address or id in angle brackets may be in any letters."""
    words, bracket, rest = value.rpartition(" <")
    try:
        _refuse_ours(name)
        if not bracket:
            return header(name, value).encode()
        _refuse_no_name(name)
        shown, marked = _display_name(words), _one_line(f"<{rest}").encode()
    except ValueError as error:
        raise CannotExpress(f"The header {name} cannot be written: {error}") from error
    fits = len(name) + 1 + len(shown) + len(marked) <= _LINE or shown.endswith(b"\r\n ")
    line = shown + marked if fits else shown.rstrip() + b"\r\n " + marked
    return name.encode() + b":" + line + b"\r\n"


def _token(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "", text) or "en"


def _refuse_breaks(text: str, what: str) -> str:
    if any(character in text for character in "\r\n\0"):
        raise CannotExpress(f"Remove line breaks from the {what}")
    return text


def _display_name(name: str) -> bytes:
    """A name between a header's colon and an address, with its spaces: as it is, quoted or encoded."""
    text = " ".join(without_holes(_refuse_breaks(name, "sender's name")).split())
    if not text:
        return b" "
    if text.isascii() and text.isprintable() and "=?" not in text:
        bare = text if _ATOMS.fullmatch(text) else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
        if len(bare) <= _LINE - 8:
            return f" {bare} ".encode()
    words = _encoded_words(text)
    return (words.removeprefix(b"\r\n") if len(words) <= _LINE - 8 else words) + b"\r\n "


def _subject(subject: str) -> Iterator[bytes | Hole]:
    """One plain line where it can be one, else encoded words (the space between two is not read)."""
    pieces = cut(_refuse_breaks(subject, "subject"))
    if all(isinstance(piece, bytes) for piece in pieces) and "=?" not in subject:
        try:
            yield header("Subject", subject).removeprefix("Subject:").removesuffix("\r\n").encode()
        except ValueError:
            yield _encoded_words(subject).removeprefix(b"\r\n")
        return
    for number, piece in enumerate(pieces):
        if isinstance(piece, Hole):
            yield WordHole(name=piece.name, folds=number > 0)
        else:
            words = _encoded_words(piece.decode())
            yield words if number > 0 else words.removeprefix(b"\r\n")


def _encoded_words(text: str) -> bytes:
    """UTF-8 encoded words, each on a folded line of its own, none over 75 octets; empty for no text.

    The first leaves room for a header's name, as no line with such words may pass 76 (RFC 2047 §2).
    """
    words: list[bytes] = []
    word = b""
    for character in text:
        step = b"".join(_q(octet) for octet in character.encode())
        if len(word) + len(step) > (60 if words else 50):
            words.append(word)
            word = b""
        word += step
    words += [word] if word else []
    return b"".join(b"\r\n =?utf-8?q?" + each + b"?=" for each in words)


def _q(octet: int) -> bytes:
    if octet in _PLAIN_IN_WORD:
        return bytes([octet])
    return b"_" if octet == 0x20 else b"=%02X" % octet


# --- Body ---------------------------------------------------------------------------------


def _body(content: Content) -> Iterator[bytes | Hole]:
    if not content.html:
        yield from _part("plain", content.text)
        return
    # "=_" cannot occur in quoted-printable text, so the line between parts is never in one.
    line = "=_" + sha256(f"{content.text}\0{content.html}".encode()).hexdigest()[:32]
    yield f'Content-Type: multipart/alternative;\r\n boundary="{line}"\r\n\r\n'.encode()
    for kind, text in (("plain", content.text), ("html", content.html)):
        yield f"--{line}\r\n".encode()
        yield from _part(kind, text)
    yield f"--{line}--\r\n".encode()


def _part(kind: str, text: str) -> Iterator[bytes | Hole]:
    """One part with its headers, ending in a line break of the part's own."""
    yield f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n".encode()
    form = Form.HTML if kind == "html" else Form.TEXT
    pieces = cut(text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", ""), form)
    for number, piece in enumerate(pieces, 1):
        if isinstance(piece, bytes):
            yield _quoted(piece, goes_on=number < len(pieces))
        else:
            yield QuotedHole(name=piece.name, form=piece.form)
    yield b"\r\n"


def _quoted(text: bytes, *, goes_on: bool = False) -> bytes:
    """Quoted-printable. goes_on: a soft line break follows, for which the last line must have room.

    A line's leading dots each go on a line of their own, so that none gets too long; so does the F of a line that
    begins with "From ", before which stores and old relays set a sign (RFC 4155), and a signature would not hold.
    """
    quoted = binascii.b2a_qp(text + b"x" * goes_on, istext=True)
    if goes_on:
        quoted = quoted[:-1]
    if b"=20" in quoted or b"=09" in quoted:
        quoted = _ENDS_LATE.sub(rb"\1=\n\2", quoted)
    if quoted.startswith(b".") or b"\n." in quoted or b"From " in quoted:
        quoted = _LEADING.sub(_escaped, quoted)
    return quoted.replace(b"\n", b"\r\n")


def _escaped(leading: re.Match[bytes]) -> bytes:
    dots, from_ = leading[1] or b"", leading[0].endswith(b"From ")
    return b"=2E=\n" * len(dots) + (b"=46=\nrom " if from_ else b"")


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
