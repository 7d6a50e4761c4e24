"""What the parts of a mail say, and which of them are files that came with it.

Pure, for hostile input. Called by `mailread`. Of several forms of the same words (`multipart/alternative`) the plain one
is read, and HTML where there is none; parts that stand one after the other are all read.
Sources: RFC 2046 §5.1, 2183 (disposition), 3676 (flowed text); uuencode as POSIX has it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from email.message import Message

from channels.base import without_holes
from channels.mailheaders import clean
from channels.mailletters import letters
from channels.mailparams import parameter
from channels.mailtext import MAX_TEXT, plain_of, unflowed, without_uuencoded
from channels.mailtree import inside, octets

MAX_NAME, MAX_HTML = 255, MAX_TEXT * 2
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_META = re.compile(rb"<meta[^<>]{1,200}?charset\s{0,3}=\s{0,3}[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
_WORD = re.compile(r"\w{2,40}")
# How many of the words of one part stand in those before it where it is those once more: so much of them, and no fewer.
_MOSTLY, _FEW = 0.8, 4
# Forms of the words themselves, and headers of a mail that came back: no files.
_FORMS = frozenset(
    {"plain", "html", "enriched", "richtext", "markdown", "x-markdown", "x-amp-html", "watch-html", "x-watch-html", "rfc822-headers"}
)  # fmt: skip
_OF_REPORTS = frozenset(
    {"message/delivery-status", "message/feedback-report", "message/disposition-notification"}
)


@dataclass(frozen=True, kw_only=True)
class _Said:
    """The words of one part. is_html: they were HTML, and are plain now."""

    words: str
    is_html: bool = False


def text_of(parts: Sequence[Message]) -> str:
    """The words of a mail, at most MAX_TEXT characters. parts: as `mailtree.parts_of` gives them."""
    listener = _Listener(parts)
    said = list(listener.said(parts[0]))
    if not any(each.words.strip() for each in said):
        said = list(listener.left_over(parts))
    return _whole("\n".join(_each_once(said)))


def files_of(parts: Sequence[Message], text: str) -> tuple[str, list[str]]:
    """The words without what was uuencoded among them, and names of all that came with them; a kind stands in for a name."""
    words, written = without_uuencoded(text)
    is_report = any(part.get_content_type() in _OF_REPORTS for part in parts)
    return words, [*_files(parts, is_report=is_report), *(clean(name)[:MAX_NAME] for name in written)]


def content_of(part: Message) -> str:
    """A part's octets as letters."""
    data = octets(part)
    charset = parameter(part, "content-type", "charset")
    if not charset and part.get_content_type() == "text/html":
        found = _META.search(data[:4_000])
        charset = found[1].decode() if found else ""
    return letters(data[: MAX_TEXT * 4], charset)


def charset_of(parts: Iterable[Message]) -> str:
    """The charset that the first part to name one has: a program that writes headers in eight bits means that one."""
    return next(filter(None, (parameter(part, "content-type", "charset") for part in parts)), "")


# --- Words ----------------------------------------------------------------------------------


class _Listener:
    """Hears the parts of one mail, and turns only so much HTML to text: that is the costly part of it."""

    def __init__(self, parts: Iterable[Message]) -> None:
        self._known = {id(part) for part in parts}
        self._html_left = MAX_HTML

    def said(self, part: Message) -> Iterator[_Said]:
        """In their order, what a part and those in it say."""
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            within = [one for one in inside(part) if id(one) in self._known]
            said = [each for one in within for each in self.said(one)]
            yield from _best(said) if part.get_content_type() == "multipart/alternative" else said
        elif not _is_attached(part):
            yield from self._words_of(part)

    def left_over(self, parts: Iterable[Message]) -> Iterator[_Said]:
        """Of a mail that says nothing else: text shown in its place although it has a name, and text of rarer kinds."""
        for part in parts:
            kind = part.get_content_type()
            if part.get_content_maintype() != "text" or part.get_content_disposition() == "attachment":
                continue
            if kind in ("text/plain", "text/html"):
                yield from self._words_of(part)
            elif part.get_content_subtype() in _FORMS - {"rfc822-headers"}:
                yield self._plain(content_of(part))

    def _words_of(self, part: Message) -> Iterator[_Said]:
        kind = part.get_content_type()
        if kind == "text/plain":
            yield _Said(words=_lines(part))
        elif kind == "text/html":
            yield self._plain(content_of(part))
        elif (
            part.get_content_maintype() == "multipart"
        ):  # without parts: its boundary is not the one it declares
            yield _Said(words=content_of(part))

    def _plain(self, html: str) -> _Said:
        looked_at = html[: self._html_left]
        self._html_left -= len(looked_at)
        return _Said(words=plain_of(looked_at), is_html=True)


def _best(forms: Sequence[_Said]) -> Sequence[_Said]:
    """All that is plain; else the last that says anything."""
    plain = [each for each in forms if not each.is_html and each.words.strip()]
    return plain or [each for each in forms if each.words.strip()][-1:]


def _lines(part: Message) -> str:
    text = content_of(part).replace("\r\n", "\n").replace("\r", "\n")
    if parameter(part, "content-type", "format").lower() != "flowed":
        return text
    return unflowed(text, without_space=parameter(part, "content-type", "delsp").lower() == "yes")


def _each_once(said: Iterable[_Said]) -> Iterator[str]:
    """Without HTML that says what was said before it: some programs call two forms of one text parts of it."""
    seen: set[str] = set()
    length = 0
    for each in said:
        words = set(_WORD.findall(each.words.lower()))
        is_again = each.is_html and len(words & seen) >= max(len(words) * _MOSTLY, _FEW)
        if is_again or length > MAX_TEXT:
            continue
        seen |= words
        length += len(each.words)
        yield each.words.strip("\n")


def _whole(text: str) -> str:
    whole = without_holes(text.strip("\n")[:MAX_TEXT]).encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub("", whole.replace("\r\n", "\n").replace("\r", "\n"))


# --- Files ----------------------------------------------------------------------------------


def _files(parts: Iterable[Message], *, is_report: bool) -> Iterator[str]:
    for part in parts:
        kind = part.get_content_maintype()
        if part.is_multipart() and kind == "multipart":
            continue
        if part.get_content_type() == "message/delivery-status":
            continue
        is_form = kind == "multipart" or (kind == "text" and part.get_content_subtype() in _FORMS)
        if _is_attached(part) or not (is_form or (kind == "message" and is_report)):
            yield _name(part) or part.get_content_type()


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(_name(part))


def _name(part: Message) -> str:
    named = parameter(part, "content-disposition", "filename") or parameter(part, "content-type", "name")
    return clean(named)[:MAX_NAME]
