"""Reading mail from outside: headers, words, names of attachments, and whether a machine wrote it.

Pure. Called by the inbox for every stored mail. It never raises and reads only so much of hostile input.
Sources: RFC 5322, 2047, 3834 (automatic answers), 2919 (list mail), 3464 (delivery reports), 5965 (complaints).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import Message

from channels.auto_replies import is_auto_reply, is_bulk, says_away
from channels.base import without_holes
from channels.complaints import Complaint, complaint_of
from channels.delivery_fields import Bounce
from channels.mailheaders import MAX_HEADER, MESSAGE_ID, Headers, clean, date_of, decoded, first_id, letters
from channels.mailtext import MAX_TEXT, new_text, plain_of
from channels.mailtree import MAX_HEAD, beyond, head_of, one_line_end, parse, parts_of
from channels.reports import Circumstances, Report, bounces_of, is_system, kind_of

MAX_NAME, MAX_REFERENCES = 255, 100
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail as far as it could be read. senders: every address in every From. about: Message-ID of the mail reported on.

    new: what of the text its writer wrote themselves. beyond: which bound of structure it exceeds, in words; then its
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
    report: Report = Report.NONE
    bounces: tuple[Bounce, ...] = ()
    complaint: Complaint | None = None
    about: str = ""
    beyond: str = ""

    @property
    def is_automatic(self) -> bool:
        """Whether no person wrote it: such mail is filed and never answered."""
        return (
            self.is_auto_reply
            or self.is_bulk
            or self.return_path_is_null
            or bool(self.bounces)
            or self.report is not Report.NONE
        )


def read_mail(raw: bytes) -> Mail:
    """All that can be known of a mail. Never raises; what cannot be read is left empty."""
    plain = one_line_end(raw)
    mail = parse(plain)
    parts = list(parts_of(mail))
    headers = Headers(mail)
    senders = headers.people("From")
    subject = headers.text("Subject")
    recipients = _recipients(headers)
    is_null = headers.first("Return-Path").strip() == "<>"
    text = _text(parts)
    complaint = complaint_of(parts, headers, subject)
    about = Circumstances(
        subject=subject,
        sender=senders[0][1] if senders else "",
        named=headers.first("X-Failed-Recipients"),
        ours=frozenset([*(address for _, address in senders), *recipients]),
        is_from_system=is_null or _is_from_system(headers, senders),
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
        attachments=tuple(_attachments(parts)),
        is_auto_reply=is_auto_reply(headers, subject, from_system=is_null),
        is_bulk=is_bulk(headers),
        return_path_is_null=is_null,
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


# --- Words ----------------------------------------------------------------------------------


def _text(parts: Iterable[Message]) -> str:
    """Plain text of all text parts that are no attachments; of HTML where there is none."""
    plain, html = [], []
    for part in parts:
        if part.is_multipart() or _is_attached(part):
            continue
        if part.get_content_type() == "text/plain" or part.get_content_maintype() == "multipart":
            plain.append(_content(part))  # a multipart without parts: its boundary is not the one it declares
        elif part.get_content_type() == "text/html":
            html.append(_content(part))
    text = "\n".join(plain).strip("\n") or "\n".join(plain_of(each) for each in html)
    whole = without_holes(text[:MAX_TEXT]).encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub("", whole.replace("\r\n", "\n").replace("\r", "\n"))


def _content(part: Message) -> str:
    try:
        data = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError, TypeError):
        data = None
    if not isinstance(data, bytes):
        return ""
    return letters(data[: MAX_TEXT * 4], str(part.get_param("charset") or "utf-8"))


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(_name(part))


def _name(part: Message) -> str:
    try:
        return clean(decoded(part.get_filename() or ""))[:MAX_NAME]
    except (ValueError, LookupError, TypeError, AttributeError, IndexError):
        return ""


def _attachments(parts: Iterable[Message]) -> Iterator[str]:
    """Names of what came with it; a kind stands in for a name that is missing."""
    for part in parts:
        kind = part.get_content_maintype()
        if part.get_content_maintype() == "multipart" or part.get_content_type() == "message/delivery-status":
            continue
        if _is_attached(part) or kind not in ("text", "message"):
            yield _name(part) or part.get_content_type()


def _about(parts: Iterable[Message]) -> str:
    """Message-ID in the copy, or the headers, of the mail that a report returns."""
    for part in parts:
        inside = part.get_payload()
        if (
            part.get_content_type() == "message/rfc822"
            and isinstance(inside, list)
            and inside
            and isinstance(inside[0], Message)
        ):
            found = first_id(str(inside[0].get("Message-ID", ""))[:MAX_HEADER])
        elif part.get_content_type() == "text/rfc822-headers":
            line = re.search(r"(?im)^message-id:\s*(<[^<>\s]{1,996}>)", _content(part)[:50_000])
            found = line[1] if line else ""
        else:
            continue
        if found:
            return found
    return ""
