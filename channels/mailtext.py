"""The words of a mail: HTML turned to plain text, and what is new in a reply.

Pure, for hostile input: every step reads forward only, and sizes are capped. Called by `mailread` and by
the inbox. Signatures and quotes are found by mail-parser-reply; a plain cut of our own stands in where a text
is too large for its regular expressions.
"""

import re
from collections.abc import Sequence
from html import unescape

from mailparser_reply.constants import MAIL_LANGUAGES
from mailparser_reply.parser import EmailMessage

MAX_TEXT = 200_000  # characters kept of one mail's words
_SCANNED_LINES = 20_000
_PARSED_TEXT, _PARSED_LINES, _LONGEST_LINE = 20_000, 400, 1_000  # what the reply parser is given

_SKIPPED = frozenset({"script", "style", "head", "title", "template", "noscript"})
_BREAKS = frozenset(
    [
        "br",
        "p",
        "div",
        "li",
        "tr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "table",
        "ul",
        "ol",
        "hr",
        "blockquote",
        "pre",
        "section",
        "article",
        "header",
        "footer",
    ]
)
_TAG_NAME = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]{0,20})")
_SPACES = re.compile(r"[ \t\r\n\f]+")
_BLANKS = re.compile(r"\n{3,}")
_QUOTED_LINE = re.compile(r"\s{0,8}>")
_ATTRIBUTION = re.compile(
    r"\s{0,8}(?:-{3,} ?original message|_{20,}\s*$|on .{3,200}wrote:?\s*$|ar .{3,100}ysgrifennodd .{1,100}:\s*$)",
    re.IGNORECASE,
)
_NAMES_A_WRITER = re.compile(
    r"(?=.*\d)(?=.*[^\s@]@[^\s@]).{5,300}:\s*$"
)  # "… 2026 … <sam@example.com> …:" in any language
_FIRST_OF_HEADERS = re.compile(
    r"[\s*]{0,8}(?:from|von|de|da|van|oddi wrth|od|från)\s?:.{0,200}@", re.IGNORECASE
)
_NO_CHARACTER = re.compile(
    r"&#[xX]?[0-9a-fA-F]{8,};?"
)  # longer than any character's number: costly, or refused
_UU_BEGINS = re.compile(r"begin [0-7]{3,4} (\S.{0,200})")
_NEXT_OF_HEADERS = re.compile(r"[\s*]{0,8}[^\W\d][\w-]{1,14}[\s*]{0,3}:")


def plain_of(html: str) -> str:
    """Readable text of an HTML body; quoted blocks begin each line with `> `."""
    source, at, depth = html[: MAX_TEXT * 2], 0, 0
    lines: list[str] = [""]
    while at < len(source):
        opens = source.find("<", at)
        if opens < 0:
            _add(lines, source[at:])
            break
        _add(lines, source[at:opens])
        closes = _end_of_tag(source, opens)
        if closes < 0:
            break
        found = _TAG_NAME.match(source, opens + 1)
        name, is_end = (found[1].lower(), source[opens + 1] == "/") if found else ("", False)
        at = closes
        if name in _SKIPPED and not is_end:
            at = _after(source, closes, name)
        elif name == "blockquote":
            depth = max(0, depth - 1) if is_end else depth + 1
        if name in _BREAKS:
            _end_line(lines, depth)
    return _BLANKS.sub("\n\n", "\n".join(line.rstrip() for line in lines)).strip()[:MAX_TEXT]


def new_text(text: str, languages: Sequence[str] = ("en",)) -> str:
    """What a person wrote themselves: no quoted mail below it, no signature. Never raises, never slow."""
    capped = text[:MAX_TEXT].replace("\r\n", "\n").replace("\r", "\n")
    own = _above_the_quote(capped)
    if len(own) > _PARSED_TEXT or own.count("\n") > _PARSED_LINES or _has_long_line(own):
        return own.strip()
    known = [language for language in languages if language in MAIL_LANGUAGES]
    replies = EmailMessage(text=own, languages=known or ["en"], keep_hyphen_lists=True).read().replies
    found: str = replies[0].body if replies else ""
    return _without_quotes(found).strip() or _without_quotes(own).strip()


def _above_the_quote(text: str) -> str:
    """Text down to the line that announces a quoted mail, or to a quote at the end."""
    lines = text.split("\n")
    for number, line in enumerate(lines[:_SCANNED_LINES]):
        if number and _announces_a_quote(line[:400], lines[number + 1 : number + 2]):
            return "\n".join(lines[:number])
    while lines and (not lines[-1].strip() or _QUOTED_LINE.match(lines[-1])):
        lines.pop()
    return "\n".join(lines)


def _announces_a_quote(line: str, following: list[str]) -> bool:
    if _ATTRIBUTION.match(line):
        return True
    next_line = following[0][:400] if following else ""
    if _FIRST_OF_HEADERS.match(line) and _NEXT_OF_HEADERS.match(next_line):
        return True
    if _QUOTED_LINE.match(line) or not line.strip():
        return False
    return bool(_NAMES_A_WRITER.match(line) or _NAMES_A_WRITER.match(f"{line} {next_line}"))


def _without_quotes(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not _QUOTED_LINE.match(line))


def _has_long_line(text: str) -> bool:
    return any(len(line) > _LONGEST_LINE for line in text.split("\n"))


def unflowed(text: str, *, without_space: bool = False) -> str:
    """Paragraphs whose lines were broken on the way (RFC 3676 §4) as whole lines. without_space: DelSp=yes."""
    lines: list[str] = []
    flows, depth = False, 0
    for line in text.split("\n"):
        bare = line.lstrip(">")
        quoted = len(line) - len(bare)
        words = bare.removeprefix(" ")
        is_signature = words in ("-- ", "--")
        if flows and quoted == depth and not is_signature:
            lines[-1] += words
        else:
            lines.append(f"{'>' * quoted} {words}" if quoted else words)
        depth, flows = quoted, words.endswith(" ") and not is_signature
        if flows and without_space:
            lines[-1] = lines[-1][:-1]
    return "\n".join(lines)


def without_uuencoded(text: str) -> tuple[str, list[str]]:
    """Text without the files that were written into it by uuencode, and their names."""
    if "\nbegin " not in f"\n{text}":
        return text, []
    kept: list[str] = []
    names: list[str] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        begins = _UU_BEGINS.fullmatch(lines[at])
        end = _end_of_uuencoded(lines, at + 1) if begins else at
        if begins and end > at + 1:
            names.append(begins[1])
            at = end
        else:
            kept.append(lines[at])
            at += 1
    return "\n".join(kept), names


def _end_of_uuencoded(lines: list[str], at: int) -> int:
    """After the last line of a file: each begins with its own length (POSIX uuencode), the last is "end"."""
    while at < len(lines) and _is_uuencoded(lines[at]):
        at += 1
    return at + (at < len(lines) and lines[at].strip() == "end")


def _is_uuencoded(line: str) -> bool:
    if not line or not 0x20 <= ord(line[0]) <= 0x60:
        return False
    octets = (ord(line[0]) - 0x20) & 0x3F
    return abs(len(line.rstrip()) - 1 - -(-octets // 3) * 4) <= 2 and (
        octets > 0 or line.strip() in ("`", "")
    )


# --- HTML -----------------------------------------------------------------------------------


def _end_of_tag(source: str, opens: int) -> int:
    """Where what follows a tag or comment begins; -1 where it never ends."""
    if source.startswith("<!--", opens):
        closes = source.find("-->", opens + 4)
        return closes + 3 if closes >= 0 else -1
    closes = source.find(">", opens)
    return closes + 1 if closes >= 0 else -1


def _after(source: str, start: int, name: str) -> int:
    """After the end tag of an element that is not read; the end of the source where there is none."""
    found = re.compile(f"</{name}", re.IGNORECASE).search(source, start)
    closes = source.find(">", found.end()) if found else -1
    return closes + 1 if closes >= 0 else len(source)


def _add(lines: list[str], text: str) -> None:
    words = _SPACES.sub(" ", unescape(_NO_CHARACTER.sub("\ufffd", text))).replace("\u00a0", " ")
    if words.strip() or (words and lines[-1].strip()):
        lines[-1] += words if lines[-1].strip("> ") else words.lstrip()


def _end_line(lines: list[str], depth: int) -> None:
    lines.append("> " * min(depth, 5))
