"""Complaints: a reader pressed "this is spam", and their provider tells us.

Pure. Called by `mailread`. The parts of RFC 5965 come first. Before it, Hotmail and others sent the mail back as an
attachment with a header or two of their own.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.message import Message

from channels.delivery_fields import address_in, clean_address, lines_of, returned_to
from channels.mailheaders import Headers
from channels.mailtree import inside

MAX_FIELDS = 200
_FIELD = re.compile(
    r"(?i)(feedback-type|original-rcpt-to|original-mail-from|removal-recipient|redacted-address)\s{0,4}:\s?(.{0,998})"
)
_OLD_SUBJECT = re.compile(
    r"(?i)(?:complaint about message from|email feedback report|client tos notification|\[?abuse report|fbl report|spam complaint)"
)
# A resident reports abuse, too, and sends the mail along.
_OLD_SENDER = re.compile(
    r"(?i)(?:abuse|staff|scomp|fbl|feedback|complaints?|spam|postmaster|no-?reply)(?:[-_.+\d]?[^@]{0,60})?@"
)
NOT_A_COMPLAINT = frozenset({"not-spam", "dkim-failure", "auth-failure", "auth", "dkim"})


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """What a reader said of a mail of ours. kind: `abuse`, `opt-out`, `not-spam` … (RFC 5965 §7.3), in lower case.

    recipients: who received it, as far as the report says; often it was taken out.
    """

    kind: str
    recipients: tuple[str, ...] = ()

    @property
    def asks_to_stop(self) -> bool:
        """Whether nothing more should go to that reader. A report that a signature failed, or of "not spam", asks for nothing."""
        return self.kind not in NOT_A_COMPLAINT


def complaint_of(parts: Sequence[Message], headers: Headers, subject: str) -> Complaint | None:
    """The complaint that a mail is, if it is one."""
    kinds, recipients = _fields(parts)
    returned = _returned(parts)
    old = headers.first("X-HmXmrOriginalRecipient") or headers.first("X-Original-Recipient-Of-Complaint")
    sender = next(iter(headers.people("From")), ("", ""))[1]
    is_old = bool(_OLD_SUBJECT.match(subject) and _OLD_SENDER.match(sender)) and returned is not None
    if not kinds and not old and not is_old:
        return None
    found = [*recipients, *([clean_address(old)] if old else [])]
    if not any(found):
        found = _readers(returned) if returned is not None else [*returned_to(parts)]
    known = dict.fromkeys(each for each in found if each)
    return Complaint(kind=next(iter(kinds), "abuse"), recipients=tuple(known)[:50])


def _fields(parts: Iterable[Message]) -> tuple[list[str], list[str]]:
    kinds: list[str] = []
    recipients: list[str] = []
    for part in parts:
        if part.get_content_type() != "message/feedback-report":
            continue
        for line in lines_of(part).split("\n")[:MAX_FIELDS]:
            found = _FIELD.match(line)
            if not found:
                continue
            name, value = found[1].lower(), found[2].strip()
            if name == "feedback-type":
                kinds.append(re.split(r"[\s;(]", value.lower())[0])
            elif name in ("original-rcpt-to", "removal-recipient"):
                recipients.append(address_in(value))
    return kinds, recipients


def _returned(parts: Iterable[Message]) -> Message | None:
    for part in parts:
        if part.get_content_type() == "message/rfc822" and (returned := inside(part)):
            return returned[0]
    return None


def _readers(mail: Message) -> list[str]:
    headers = Headers(mail)
    for name in ("X-HmXmrOriginalRecipient", "X-Rcpt-To", "Delivered-To", "To"):
        people = headers.people(name)
        if people:
            return [address for _, address in people]
    return []
