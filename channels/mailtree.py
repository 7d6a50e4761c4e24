"""A mail as a tree of parts, as far as it can be read in a moment.

Pure, for hostile input: what is costly is seen, and cut off, before the library sees it. Called by `mailread`.
"""

import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import Message

MAX_RAW, MAX_HEAD = 10_000_000, 256_000  # octets looked at
MAX_PARTS, MAX_DEPTH, MAX_MAILS_INSIDE, MAX_HEAD_LINES, MAX_FIELD = 100, 20, 20, 5_000, 16_000
# How often each may stand in a body before the rest of it is left unread: the library's time goes by lines,
# by parts (each begins with a line of two dashes) and by blocks of headers (each ends with an empty line).
MAX_LINES, MAX_DASHES, MAX_EMPTY = 140_000, 1_000, 10_000
_COSTLY = {b"\n": MAX_LINES, b"\n--": MAX_DASHES, b"\n\n": MAX_EMPTY}
_BROKEN_LINE = re.compile(rb"(?m)(?<=\n)(?![!-9;-~]{1,80}[ \t]?:|[ \t\n])")
_SPACED_NAME = re.compile(rb"(?m)^([!-9;-~]{1,80})[ \t]:")
_PARAMETER = re.compile(rb";[ \t]{0,8}\n(?=[\w*-]{1,60}[ \t]?=)")
# The line before a part, and its headers: down to an empty line or to the next such line.
_PART = re.compile(
    rb"(\n--[^\n]{1,200}\n)(content-[^\n]{1,998}(?:\n(?!--|\n)[^\n]{1,998}){1,40})", re.IGNORECASE
)
_HEADER = re.compile(rb"(?:From |[!-9;-~]{1,80}[ \t]?:|\Z)")
_BOUNDARY = re.compile(rb"boundary\*?0?\*?\s{0,3}=\s{0,3}\"?([^\s\";]{1,200})", re.IGNORECASE)
_FIELD = re.compile(rb"^content-(?:type|disposition)[ \t]{0,8}:", re.IGNORECASE | re.MULTILINE)
_END = re.compile(rb"\n--([^\n]{1,200}?)--[ \t]{0,8}(?=\n|\Z)")
_MAIL_INSIDE = re.compile(rb"content-type[ \t]{0,8}:\s{0,8}message/(?:rfc822|global)\b", re.IGNORECASE)


def one_line_end(raw: bytes) -> bytes:
    """As much of a mail as is looked at, its lines ended by LF, whichever way they were ended."""
    capped = raw[:MAX_RAW]
    return capped.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in capped else capped


def beyond(raw: bytes) -> str:
    """Which bound of structure a mail exceeds, in words for an operator; empty for all that people write.

    Such a mail is taken apart no further: it would be costly, and no mail program writes it. raw: one line end.
    """
    if raw.count(b"\n", 0, _end_of_head(raw)) > MAX_HEAD_LINES:
        return f"more than {MAX_HEAD_LINES:,} lines of headers"
    if _has_long_field(raw):
        return f"a field of more than {MAX_FIELD:,} octets that says what a part is"
    declared: list[tuple[int, bytes]] = []
    for found in _BOUNDARY.finditer(raw):
        declared.append((found.start(), found[1]))
        if len(declared) > MAX_PARTS:
            return f"more than {MAX_PARTS} parts"
    if len(declared) > MAX_DEPTH and _depth(raw, declared) > MAX_DEPTH:
        return f"parts inside parts, more than {MAX_DEPTH} deep"
    for number, _ in enumerate(_MAIL_INSIDE.finditer(raw)):
        if number >= MAX_MAILS_INSIDE:
            return f"more than {MAX_MAILS_INSIDE} mails inside it"
    delimiters = sum(raw.count(b"\n--" + each) for each in {name for _, name in declared[:3]})
    if delimiters > MAX_PARTS * 4:
        return f"more than {MAX_PARTS} parts"
    return ""


def parse(raw: bytes) -> Message:
    """The tree of parts; of a mail too deep to be one, its headers alone. raw: one line end."""
    end = _end_of_head(raw)
    head = _mended(raw[:end])
    if not _HEADER.match(head):
        head = b"X-Unread: " + head.lstrip(b" \t\n")
    if beyond(raw):
        return message_from_bytes(_without_type(head), policy=policy.compat32)
    try:
        return message_from_bytes(
            head + _PART.sub(_mended_part, _quick_to_read(raw[end:])), policy=policy.compat32
        )
    except (RecursionError, ValueError, LookupError, AttributeError, TypeError):
        return message_from_bytes(_without_type(head), policy=policy.compat32)


def head_of(raw: bytes) -> bytes:
    """A mail's headers without what says how to take it apart. raw: one line end."""
    return _without_type(raw[: _end_of_head(raw)]) + b"\n\n"


def parts_of(mail: Message) -> Iterator[Message]:
    """The mail and its parts, outermost first, the parts of a mail inside a mail not among them."""
    waiting: list[tuple[Message, int]] = [(mail, 0)]
    seen = 0
    while waiting and seen < MAX_PARTS:
        part, depth = waiting.pop(0)
        seen += 1
        yield part
        if part.get_content_maintype() == "multipart" and depth < MAX_DEPTH:
            waiting[:0] = [(each, depth + 1) for each in inside(part)[:MAX_PARTS]]


def inside(part: Message) -> list[Message]:
    """What a part is made of: parts, the mail inside it, or blocks of a report; nothing for one that holds octets.

    Asked for octets without decoding them, the library decodes them all the same, by whatever the part calls a charset.
    """
    held = part.get_payload() if part.is_multipart() else []
    return [each for each in held if isinstance(each, Message)] if isinstance(held, list) else []


def octets(part: Message) -> bytes:
    """What a part holds, its transfer encoding undone; nothing for a part made of others."""
    try:
        data = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError, TypeError):
        return b""
    return data if isinstance(data, bytes) else b""


def _end_of_head(raw: bytes) -> int:
    """Where the headers end: at the first empty line, or where they are too long to be any."""
    end = raw.find(b"\n\n", 0, MAX_HEAD)
    if end >= 0:
        return end
    return len(raw) if len(raw) <= MAX_HEAD else raw.rfind(b"\n", 0, MAX_HEAD) + 1


def _has_long_field(raw: bytes) -> bool:
    """Is there a Content-Type or Content-Disposition so long that its parameters would take the library seconds?"""
    for number, found in enumerate(_FIELD.finditer(raw)):
        if number >= MAX_DASHES:
            return False  # there are too many parts anyhow
        end = found.end()
        while end - found.start() <= MAX_FIELD:
            end = raw.find(b"\n", end)
            if end < 0:
                end = len(raw)
            if raw[end + 1 : end + 2] not in (b" ", b"\t"):
                break
            end += 1
        if end - found.start() > MAX_FIELD:
            return True
    return False


def _depth(raw: bytes, declared: list[tuple[int, bytes]]) -> int:
    """How many multiparts are open at once, at most."""
    ends = {found[1]: found.start() for found in _END.finditer(raw)}
    steps = [(at, 1) for at, _ in declared] + [(ends[name], -1) for _, name in declared if name in ends]
    now = most = 0
    for _, step in sorted(steps):
        now += step
        most = max(most, now)
    return most


def _mended(head: bytes) -> bytes:
    """Headers that the library reads to their end: at a line it does not know it takes the rest for the body.

    A line that is no header goes on with the one before it. A space may stand before a colon (RFC 5322 §4.5.8).
    """
    return _SPACED_NAME.sub(rb"\1:", _BROKEN_LINE.sub(b" ", head))


def _mended_part(found: re.Match[bytes]) -> bytes:
    """Of a part only what surely goes on: a parameter after a semicolon. Its words may begin without an empty line."""
    return found[1] + _SPACED_NAME.sub(rb"\1:", _PARAMETER.sub(b";\n ", found[2]))


def _quick_to_read(body: bytes) -> bytes:
    """The body up to where it becomes costly to parse: whole, for all that people write."""
    for mark, most in _COSTLY.items():
        if body.count(mark) <= most:
            continue
        end = -1
        for _ in range(most):
            end = body.find(mark, end + 1)
        body = body[:end]
    return body


def _without_type(head: bytes) -> bytes:
    return re.sub(rb"(?im)^content-type:", b"X-Unread-Type:", head)
