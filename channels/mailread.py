"""Reading mail from outside: headers, words, names of attachments, and whether a machine wrote it.

Pure. Called by the inbox for every stored mail. It never raises and reads only so much of hostile input.
Sources: RFC 5322, 2047, 3834 (automatic answers), 2919 (list mail), 3464 (delivery reports), 5965 (complaints).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import Message

from channels.auto_replies import is_auto_reply, is_bulk, says_away
from channels.complaints import Complaint, complaint_of
from channels.delivery_fields import Bounce
from channels.mailheaders import MAX_HEADER, MESSAGE_ID, Headers, date_of, first_id
from channels.mailparts import charset_of, content_of, files_of, text_of
from channels.mailtext import new_text
from channels.mailtree import MAX_HEAD, beyond, head_of, inside, one_line_end, parse, parts_of
from channels.reports import (
    Circumstances,
    Report,
    bounces_of,
    is_surely_systems,
    is_system,
    kind_of,
    may_be_system,
)

MAX_REFERENCES = 100


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail as far as it could be read. senders: every address in every From. about: Message-ID of the mail reported on.

    is_from_system: a mail system wrote it, by more than its words. new: what of the text its writer wrote themselves. beyond: which bound of structure it exceeds, in words; then its
    headers alone were read.
    """

    sender: str = ""
    sender_name: str = ""
    senders: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    subject: str = ""
    message_id: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    date: datetime | None = None
    text: str = ""
    new: str = ""
    attachments: tuple[str, ...] = ()
    is_auto_reply: bool = False
    is_bulk: bool = False
    return_path_is_null: bool = False
    is_from_system: bool = False
    report: Report = Report.NONE
    bounces: tuple[Bounce, ...] = ()
    complaint: Complaint | None = None
    about: str = ""
    beyond: str = ""

    @property
    def has_bounced(self) -> bool:
        """Whether a mail system, beyond doubt, says that mail of ours did not arrive: a person may write what reads the same."""
        return bool(self.bounces) and self.is_from_system

    @property
    def is_automatic(self) -> bool:
        """Whether no person wrote it: such mail is filed and never answered."""
        return (
            self.is_auto_reply
            or self.is_bulk
            or self.return_path_is_null
            or self.has_bounced
            or self.report is not Report.NONE
        )


def read_mail(raw: bytes) -> Mail:
    """All that can be known of a mail. Never raises; what cannot be read is left empty."""
    plain = one_line_end(raw)
    mail = parse(plain)
    parts = list(parts_of(mail))
    headers = Headers(mail, charset_of(parts))
    senders = headers.people("From")
    subject = headers.text("Subject")
    recipients = _recipients(headers)
    is_null = headers.first("Return-Path").strip() == "<>"
    text, files = files_of(parts, text_of(parts))
    complaint = complaint_of(parts, headers, subject)
    about = Circumstances(
        subject=subject,
        sender=senders[0][1] if senders else "",
        named=headers.first("X-Failed-Recipients"),
        ours=frozenset([*(address for _, address in senders), *recipients]),
        is_from_system=is_null or _is_from_system(headers, senders),
        may_be_system=bool(senders) and may_be_system(senders[0][1]),
        is_answer=bool(headers.first("In-Reply-To") or headers.first("References")),
        is_absence=says_away(subject),
    )
    return Mail(
        sender=about.sender,
        sender_name=senders[0][0] if senders else "",
        senders=tuple(address for _, address in senders),
        recipients=recipients,
        subject=subject,
        message_id=first_id(headers.first("Message-ID")),
        in_reply_to=first_id(headers.first("In-Reply-To")),
        references=tuple(MESSAGE_ID.findall(headers.first("References"))[-MAX_REFERENCES:]),
        date=date_of(headers.first("Date")),
        text=text,
        new=new_text(text),
        attachments=tuple(files),
        is_auto_reply=is_auto_reply(headers, subject, from_system=is_null),
        is_bulk=is_bulk(headers),
        return_path_is_null=is_null,
        is_from_system=is_surely_systems(mail, about),
        report=Report.COMPLAINT if complaint else kind_of(mail),
        bounces=() if complaint else bounces_of(plain, parts, text, about),
        complaint=complaint,
        about=_about(parts),
        beyond=beyond(plain),
    )


def read_head(raw: bytes) -> Mail:
    """What the headers alone tell, of any mail in a moment. Never raises."""
    return read_mail(head_of(one_line_end(raw[:MAX_HEAD])))


def _is_from_system(headers: Headers, senders: Sequence[tuple[str, str]]) -> bool:
    """Did a mail system write it? It may name itself without an address, or not at all."""
    if senders:
        return is_system(senders[0][1])
    written = headers.first("From").strip("<>\"' \t")
    return not written or is_system(written.partition(" ")[0])


def _recipients(headers: Headers) -> tuple[str, ...]:
    found = headers.people("X-Original-To", "Delivered-To", "Envelope-To", "To", "Cc")
    return tuple(address for _, address in found)


def _about(parts: Iterable[Message]) -> str:
    """Message-ID in the copy, or the headers, of the mail that a report returns."""
    for part in parts:
        if part.get_content_type() == "message/rfc822" and (returned := inside(part)):
            found = first_id(str(returned[0].get("Message-ID", ""))[:MAX_HEADER])
        elif part.get_content_type() == "text/rfc822-headers":
            line = re.search(r"(?im)^message-id:\s*(<[^<>\s]{1,996}>)", content_of(part)[:50_000])
            found = line[1] if line else ""
        else:
            continue
        if found:
            return found
    return ""
