"""Who was not reached, by the words of mail systems that write no standard report.

Pure. Called by `reports` for a mail that a mail system wrote. It knows no system by name: it reads what they have in
common. The text of the report ends where the returned mail begins; above that, a line that begins with an address says
whom it is about, then come fields ("Recipient: …"), sentences ("could not be delivered to …"), and what was said over
SMTP. Last, a returned mail with one recipient can only be about that one. Every step reads forward, and sizes are capped.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from channels.bounce_reasons import Failure, Reason, reason_of
from channels.delivery_fields import ADDRESS, Bounce, clean_address

MAX_TEXT, MAX_LINES, MAX_LINE = 100_000, 1_500, 400
MAX_ADDRESSES = 50
AFTER = 120  # characters after an address that say whether a line is about it
REASON_LINES = 14  # of explanation below an address

_RETURNED = re.compile(
    r"(?i)(?=.{0,200}(?:message|mail|header|copy|text|nachricht|mensaje))(?:"
    r"[\s>*|]{0,8}(?:-|=|_|\*|#){2,}.{0,60}(?:below this line|copy of|original|returned|unsent|undelivered|message (?:text )?follows|header)"
    r"|[\s>*|]{0,8}(?:below (?:is|this line)|this is a copy|(?:the )?(?:following|attached) is a copy)"
    r"|[\s>*|]{0,8}(?:your |the )?(?:original|unsent|returned|undelivered|rejected) (?:mail|message|header|text|e-mail)[^.]{0,40}(?:follows?\b|:\s*$|attached|below)"
    r"|[\s>*|]{0,8}(?:your |the )?(?:message|received|mail)(?: headers?| text)?[^.]{0,30}(?:follows?\b|headers:\s*$)"
    r"|content-type:\s?(?:message/rfc822|text/rfc822-headers))"
)
_FIRST_OF_HEADERS = re.compile(
    r"(?i)\s{0,8}(?:return-path|received|delivered-to|x-original-to|mime-version):\s"
)
_BULLET = re.compile(r"[\s>*|\-•·#]{0,12}")
_NAMED = re.compile(r"(?:\"[^\"]{0,100}\"|'[^']{0,100}'|[^<@:;,\d]{1,60})\s{0,3}<")
_LABEL = re.compile(
    r"(?i)[\s>*|\-]{0,12}(?:(?:final|original|intended|failed|your|the|unknown|invalid|bad|undeliverable|delivery)[ -])?"
    r"(?:recipients?|rcpt|addressees?|user|mailbox|account|e-?mail|empf.nger|destinata(?:rio|ire)|destinat.rio|ontvanger|mottagare|modtager|odbiorca)"
    r"(?: ?(?:address|e-?mail|name|id|list))?(?:\(s\)|s|es)?\s{0,4}[:=\[]+\s{0,8}(.{0,400})"
)
_SENT_TO = re.compile(
    r"(?i)(?:deliver|reject|refus|unknown|fail|error|bounce|unable|could not|couldn't|cannot|can't|undeliv|invalid|not (?:exist|found)|unreach|problem|returned|blocked|entreg|zustell|zugestellt|remis |livr|consegn|bezorgd|enviar)"
)
_NOT_ABOUT = re.compile(
    r"(?i)contact|sent by|written by|assistance|support|help\b|questions?|mail from|sender|originator|from:|message-id|please (?:send|mail|forward|e-?mail|visit)|generated (?:from|by)"
    r"|expanded from|reply.to|return-path|postmaster|abuse|write to|mailto:|administrator|forward(?:ed)? to|report(?:ed)? (?:this|to)|unsubscribe|cc:"
)
_RCPT = re.compile(r"(?i)rcpt to:\s{0,4}(.{1,330})")
_ANSWER = re.compile(r"[\s<>:a-zA-Z]{0,24}?([245]\d\d)[ \-]")
_CODE_FIRST = re.compile(r"\s{0,8}(?:<<<\s|Out:\s)?[45]\d\d[ \-]")
_ENDS_NAME = re.compile(
    r"[\"']?\s{0,4}>?\s{0,8}(?:$|:|\.\.\.|\(|<|;|,|\[|-{1,3}\s|on (?:[a-z]{3},? |\d{1,4}[/.-]))",
    re.IGNORECASE,
)
_AGAIN = re.compile(rf"\s{{1,8}}<({ADDRESS.pattern})>")
_X400 = re.compile(r"(?i)\bsmtp[=:]\s?([^\s;<>]{3,320})")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is known of a mail that a mail system wrote.

    text: its words, the returned mail perhaps below them. named: addresses of X-Failed-Recipients. ours: addresses the
    report came from or was sent to. returned_to: recipients of the returned mail, where that is a part of its own.
    """

    text: str
    named: tuple[str, ...] = ()
    ours: frozenset[str] = frozenset()
    returned_to: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Found:
    """An address, and the words said of it."""

    address: str
    words: str


def read(told: Told) -> list[Bounce]:
    """The recipients its words name, each with its reason; empty where they name none."""
    notice, below = _split(told.text)
    ours = told.ours | {_field(below, "return-path"), _field(below, "from")}
    for reader in (_heads, _labelled, _in_sentences, _in_transcript):
        kept = [each for each in reader(notice) if each.address and each.address not in ours]
        if kept:
            return _bounces(kept, notice)
    return _bounces([_Found(address=each, words="") for each in told.named], notice)


def by_returned(told: Told) -> list[Bounce]:
    """The one recipient of the returned mail, where its words name nobody."""
    notice, below = _split(told.text)
    returned = set(told.returned_to or _recipients_below(below) or _recipients_below(notice))
    return (
        _bounces([_Found(address=each, words="") for each in returned], notice) if len(returned) == 1 else []
    )


def _split(text: str) -> tuple[list[str], list[str]]:
    lines = [line[:MAX_LINE] for line in text[:MAX_TEXT].split("\n")[:MAX_LINES]]
    end = _end_of_notice(lines)
    return lines[:end], lines[end:]


def _end_of_notice(lines: Sequence[str]) -> int:
    """Where the returned mail begins."""
    for number, line in enumerate(lines):
        if number and (_RETURNED.match(line) or _FIRST_OF_HEADERS.match(line)):
            return number
    return len(lines)


# --- Lines that begin with an address ---------------------------------------------------------


def _heads(lines: Sequence[str]) -> list[_Found]:
    marks: list[tuple[int, str, bool]] = []
    for number, line in enumerate(lines):
        address, is_named = _head(lines, number, line)
        if address:
            marks.append((number, address, is_named))
    if not all(is_named for _, _, is_named in marks):  # words before an address may be about anything
        marks = [mark for mark in marks if not mark[2]]
    found = []
    for at, (number, address, _) in enumerate(marks):
        until = marks[at + 1][0] if at + 1 < len(marks) else len(lines)
        words = " ".join(lines[number : min(max(until, number + 1), number + REASON_LINES)])
        found.append(_Found(address=address, words=words))
    return found


def _head(lines: Sequence[str], number: int, line: str) -> tuple[str, bool]:
    """The address a line begins with, where the line is about that address; and whether a name stands before it."""
    if "@" not in line:
        return "", False
    bullet = _BULLET.match(line)
    start = bullet.end() if bullet else 0
    named = _NAMED.match(line, start)
    is_named = bool(named) and not _NOT_ABOUT.search(line, start, named.end() if named else start)
    opens = named.end() if named and is_named else start + line.startswith("<", start)
    found = ADDRESS.match(line, opens) or ADDRESS.match(line, opens + line.startswith(('"', "'"), opens))
    if not found:
        return "", False
    again = _AGAIN.match(line, found.end())
    after = line[again.end() if again else found.end() :]
    is_whole = bool(_ENDS_NAME.match(after))
    if not is_whole and reason_of("", after[:AFTER]).failure is Failure.OTHER:
        return "", False
    if not after.strip(" >\"'") and _asks_to_write(lines, number):
        return "", False
    return clean_address(again[1] if again else found[0]), is_named


def _asks_to_write(lines: Sequence[str], number: int) -> bool:
    """Does the line before an address alone say that it is whom to ask?"""
    before = next((line for line in reversed(lines[max(0, number - 3) : number]) if line.strip()), "")
    return bool(_NOT_ABOUT.search(before)) and not _SENT_TO.search(before)


# --- Fields, sentences, and what was said over SMTP ---------------------------------------------


def _labelled(lines: Sequence[str]) -> list[_Found]:
    found = []
    for number, line in enumerate(lines):
        value = (_LABEL.match(line) or _X400.search(line)) if "@" in line else None
        if value:
            words = " ".join(lines[number : number + REASON_LINES])
            found.append(_Found(address=clean_address(value[1]), words=words))
    return found


def _in_sentences(lines: Sequence[str]) -> list[_Found]:
    found = []
    for number, line in enumerate(lines):
        joined = f"{lines[number - 1][-200:]} {line}" if number else line
        if (
            "@" not in line
            or _NOT_ABOUT.search(line)
            or _CODE_FIRST.match(line)
            or not _SENT_TO.search(joined)
        ):
            continue
        address = clean_address(line)
        if address:
            found.append(_Found(address=address, words=" ".join(lines[number : number + REASON_LINES])))
    return found


def _in_transcript(lines: Sequence[str]) -> list[_Found]:
    """Recipients that were answered with a no, or not answered; else addresses in a server's no."""
    found: list[_Found] = []
    waiting = ""
    for number, line in enumerate(lines):
        told = _RCPT.search(line)
        if told:
            waiting = clean_address(told[1])
            found.append(_Found(address=waiting, words=" ".join(lines[number : number + REASON_LINES])))
            continue
        answer = _ANSWER.match(line) if waiting else None
        if answer:
            if answer[1][0] == "2" and not _says_no_later(lines[number:]):
                found.pop()
            waiting = ""
    answers = [line for line in lines if _CODE_FIRST.match(line) and "@" in line]
    if found:
        answers = [line for line in answers if "..." in line and "<<<" not in line]
    return found + [_Found(address=clean_address(line), words=line) for line in answers]


def _says_no_later(lines: Sequence[str]) -> bool:
    return any(_CODE_FIRST.match(line) for line in lines)


# --- The returned mail --------------------------------------------------------------------------


def _field(lines: Sequence[str], name: str) -> str:
    """The address in the first such header of the returned mail."""
    return next(
        (clean_address(line) for line in lines[:200] if line.lstrip().lower().startswith(f"{name}:")), ""
    )


def _recipients_below(lines: Sequence[str]) -> list[str]:
    """Addresses in the first To of the mail that stands below the report."""
    found: list[str] = []
    inside = False
    for line in lines[:200]:
        if not inside and line.strip().lower().startswith("to:"):
            inside = True
        elif not inside:
            continue
        elif line[:1] not in (" ", "\t"):
            break
        found += [clean_address(part.rpartition("<")[2]) for part in line.split(",")]
    return [address for address in found if address]


def _bounces(found: Sequence[_Found], notice: Sequence[str]) -> list[Bounce]:
    """Each address once, with the reason in its own words, or in those of the whole report."""
    whole = " ".join(notice)
    by_address: dict[str, str] = {}
    for each in found[: MAX_ADDRESSES * 3]:
        by_address[each.address] = f"{by_address.get(each.address, '')} {each.words}".strip()
    bounces = []
    for address, words in [*by_address.items()][:MAX_ADDRESSES]:
        own = reason_of("", words)
        reason = own if len(by_address) > 1 and own.failure is not Failure.OTHER else _clearer(own, whole)
        bounces.append(
            Bounce(
                recipient=address, status=reason.status, permanent=reason.permanent, failure=reason.failure
            )
        )
    return bounces


def _clearer(own: Reason, whole: str) -> Reason:
    return own if own.failure is not Failure.OTHER else reason_of("", whole)
