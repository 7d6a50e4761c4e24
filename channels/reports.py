"""What a mail system says of a mail of ours: who was not reached, and why.

Pure. Called by `mailread`. The parts of a standard report come first (RFC 3464, `delivery_fields`). Older systems write in
their own words: what flufl.bounce knows of them, and what `bounce_wordings` reads, which knows none of them by name.
"""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from email.message import Message
from enum import StrEnum

from flufl.bounce import all_failures

from channels import bounce_wordings, delivery_fields, ses_notices
from channels.bounce_reasons import MAX_REASON, Failure, at_its_stage, first_status, reason_of
from channels.delivery_fields import Bounce, clean_address
from channels.mailtree import inside

# It writes a stack trace for each detector that trips over a mail; what cannot be read is no event here.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)

MAX_RECIPIENTS = 50
MAX_WORDING, MAX_WORDING_LINES = 64_000, 1_500  # octets and lines in which an old system has said its say
# What flufl's detectors trip over in mails that no mail system wrote.
_TRIPS = (ValueError, LookupError, AttributeError, TypeError, RecursionError)
_STATUS_PARTS = ("message/delivery-status", "message/global-delivery-status")
_CHARSET = re.compile(rb"charset", re.IGNORECASE)
_SYSTEM_SENDER = re.compile(
    r"(?i)(?:mailer[-_.]?daemon|post[-_.]?master|mail[-_.]?(?:er|daemon|gate|gateway|system|admin|router|filter|scanner|delivery)|mdaemon|maildelivery|mmsc"
    r"|mail-?delivery|deliverystatus|mta|smtp|symantec|messagelabs|ndr|dsn|notify-dsn|microsoftexchange[0-9a-f]{0,40})(?:[-_.+\d][^@]{0,60})?(?:@|$)"
)
# Names that people and programs of every kind write under as well.
_LIKE_A_SYSTEM = re.compile(
    r"(?i)(?:bounces?[+-]?|mms|root|daemon|sysadmin|administrator|system)(?:[-_.+\d][^@]{0,60})?(?:@|$)"
)
_FAILURE_SUBJECT = re.compile(
    r"(?i)undeliver|non-?deliver|not deliver|deliver(?:y|ed|ing)?[ -](?:status|notification|fail|problem|has|error|report|impossible|incomplete|unsuccess|delay|subsystem)|failed? (?:deliver|mail|message)"
    r"|returned (?:mail|message|e-?mail|to sender)|mail (?:delivery|system|failure|error|could|not|undeliv|status|returned)|failure notice|failed mail|non.?remis|could not (?:be )?(?:deliver|send|sent)"
    r"|message (?:delay|\S{1,40} delayed|you sent|could|not|status|delivery|undeliver|bounced|rejected|returned)|warning: .{0,40}not|nondeliver|rejected|bounce|unzustellbar|unzustellbarkeit|nicht zugestellt|fehlgeschlagen"
    r"|no (?:se pudo|entregado)|mensagem n|n\S{1,2}o entregue|niet (?:be|af)gelever|onbestelbaar|mancata consegna|impossibile|error (?:sending|deliver|in your|mail)|problem (?:deliver|with|sending)"
    r"|\u30e1\u30fc\u30eb\u30a8\u30e9\u30fc|\u30a8\u30e9\u30fc|\u9001\u4fe1\u3067\u304d|\u914d\u4fe1|\u9000\u4fe1|\u672a\u9001\u4fe1|re: ?test message|there was an error|unable to|can't deliver|cannot deliver"
    r"|invalid (?:e-?mail|recipient|address)|user unknown|\bdsn\b|permanent|delivery of|your message|recipient|mail system error|transport"
)
_ANSWERS = re.compile(r"(?i)\s{0,3}(?:re|aw|sv|fw|fwd|wg|atb|ymateb|tr|rv|enc)\s{0,2}(?:\[\d{1,3}\])?:")
_FAILURE_WORDS = re.compile(
    r"(?i)undeliver|not (?:yet )?(?:been |be )?deliver|(?:message|mail)[^.]{0,40}(?:delayed|postponed)|n't (?:be )?deliver|deliver[^.]{0,40}(?:fail|error|problem|unable|impossible|delay|unsuccess)|(?:fail|error|trouble|unable|problem|could not|cannot|can't|attempt)[^.]{0,60}deliver"
    r"|return(?:ed|ing)[^.]{0,30}(?:mail|message|sender)|reject|bounce|permanent (?:error|fatal|fail)|fatal error|unknown (?:user|host|recipient)|(?:user|host|recipient|address|mailbox)[^.]{0,40}"
    r"(?:unknown|not found|invalid|disabled|full|unavailable|not exist)|transcript of session|non-?delivery|could not be (?:sent|reached|found|delivered|completed)|failure reasons?|does(?:n't| not) exist"
    r"|no such (?:user|mailbox|address|recipient)|message was not|(?:has|have) failed|unable to (?:send|reach|relay|transfer)|giv(?:en|ing) up|not accept|invalid (?:user|recipient|address)|no valid recipient"
    r"|following (?:recipient|address|e-?mail)|unzustellbar|konnte nicht|nicht zugestellt|n'a pas pu|no (?:se )?(?:ha |pudo)|n\S{1,2}o (?:foi|p\S?de)|impossibile|over quota|quota exceed|mailbox full"
    r"|\u9001\u4fe1\u3067\u304d|\u30a8\u30e9\u30fc|\u5931\u6557|\u898b\u3064\u304b\u308a|\u914d\u4fe1"
)


# A parcel can fail to be delivered, too: of who is no mail system by name, more is asked.
_ABOUT_MAIL = re.compile(
    r"(?i)(?:message|mail)\b[^.]{0,80}(?:could not|not be |not been |not reach|cannot|can't|undeliver|fail|reject|returned|bounced)|\b[45]\.\d\.\d|\b55[0-4][ -]"
)
_STILL_TRIED = re.compile(
    r"(?i)not yet been delivered|will (?:continue|keep|go on|be retried)|warning message only|transient non-fatal|still (?:being )?try|no action is required|not need to resend"
    r"|(?:message|mail|delivery)[^.]{0,40} (?:is |has been |was )?(?:delayed|postponed)"
)
_GIVEN_UP = re.compile(
    r"(?i)permanent (?:error|fatal|fail)|giv(?:en|ing) up|will be (?:deleted|removed) from|has been (?:deleted|removed) from|no longer be tried|final"
)


class Report(StrEnum):
    """The kind of report a mail is."""

    NONE = "none"
    DELIVERY = "delivery"
    DISPOSITION = "disposition"  # "was displayed", "was deleted": nobody asked for it
    COMPLAINT = "complaint"


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What else is known of a mail that may be a report. named: X-Failed-Recipients. ours: whom it is from and to.

    is_from_system: its return path is empty, or it names no person. may_be_system: its sender's name fits a mail system,
    and others. is_absence: it says that somebody is away.
    """

    subject: str
    sender: str
    named: str
    ours: frozenset[str]
    is_from_system: bool
    may_be_system: bool
    is_answer: bool
    is_absence: bool


def kind_of(mail: Message) -> Report:
    """What kind of report a mail calls itself."""
    if mail.get_content_type() != "multipart/report":
        return Report.NONE
    match str(mail.get_param("report-type", "")).lower():
        case "delivery-status" | "global-delivery-status":
            return Report.DELIVERY
        case "disposition-notification":
            return Report.DISPOSITION
        case "feedback-report":
            return Report.COMPLAINT
        case _:
            return Report.NONE


def is_system(address: str) -> bool:
    """Does this address belong to a mail system, by its name?"""
    return bool(_SYSTEM_SENDER.match(address))


def may_be_system(address: str) -> bool:
    """Could it, where the mail speaks of a failure?"""
    return bool(_LIKE_A_SYSTEM.match(address))


def is_surely_systems(mail: Message, about: Circumstances) -> bool:
    """Did no person write it, by more than its words? Else it is a report only where nobody but a mail system would send it."""
    return (
        kind_of(mail) is Report.DELIVERY
        or about.is_from_system
        or bool(about.named)
        or about.sender.endswith(ses_notices.SENDER)
    )


def bounces_of(raw: bytes, parts: Sequence[Message], text: str, about: Circumstances) -> tuple[Bounce, ...]:
    """Who was not reached. The words of a mail are believed only where no person seems to have written it."""
    kind = kind_of(parts[0]) if parts else Report.NONE
    if kind is Report.DISPOSITION:  # what a reader, or a rule of theirs, did with a mail that arrived
        return ()
    reported = [part for part in parts if part.get_content_type() in _STATUS_PARTS]
    if kind is not Report.DELIVERY and not about.is_from_system and (about.is_answer or not _failed(about)):
        reported = []  # a person shows us what they got
    standard = tuple(_unique(bounce for part in reported for bounce in delivery_fields.of_part(part)))
    if standard:
        return tuple(_in_other_words(bounce, standard, text) for bounce in standard)
    if any(delivery_fields.says_delivered(part) for part in reported):
        return ()
    if about.sender.endswith(ses_notices.SENDER):
        return tuple(_unique(ses_notices.of_text(text)))
    if not _speaks_of_failure(text, about, has_part=bool(reported)):
        return ()
    wrapped = tuple(_unique(_from_wrapped(parts)))
    if wrapped:
        return wrapped
    written = tuple(_unique(delivery_fields.of_text(text)))
    return written or tuple(_unique(_from_words(raw, parts, text, about)))


def _speaks_of_failure(text: str, about: Circumstances, *, has_part: bool) -> bool:
    if has_part or about.named:
        return True
    if about.is_absence:
        return False
    failed = _failed(about)
    from_system = about.is_from_system or (about.may_be_system and failed)
    if not from_system and (not failed or about.is_answer):
        return False
    if from_system and failed:
        return True
    if not from_system and not _ABOUT_MAIL.search(text[:20_000]):
        return False
    return bool(_FAILURE_WORDS.search(text[:20_000])) or first_status(text[:20_000])[:1] in ("4", "5")


def _failed(about: Circumstances) -> bool:
    """Does the subject speak of a failure, and does not answer or forward one that does?"""
    return bool(_FAILURE_SUBJECT.search(about.subject)) and not _ANSWERS.match(about.subject)


def _in_other_words(bounce: Bounce, all_of_it: Sequence[Bounce], text: str) -> Bounce:
    """The same, with what only the text for people says of it: when in the talk it was told, and why, where the fields do not.

    The reason is taken from it only where it can be about this one.
    """
    told = at_its_stage(bounce.failure, _said_of(bounce.recipient, text))
    if told is not bounce.failure:
        return replace(bounce, failure=told)
    if bounce.failure is not Failure.OTHER or len(all_of_it) > 1 or bounce.status.startswith("5.2"):
        return bounce
    reason = reason_of(bounce.status, text[:MAX_REASON], delayed=bounce.delayed)
    return replace(bounce, status=reason.status, permanent=reason.permanent, failure=reason.failure)


def _said_of(recipient: str, text: str) -> str:
    """What stands below a recipient in the text for people, up to the next empty line: lower case, single spaces."""
    low = text[:MAX_WORDING].lower()
    at = low.find(recipient)
    said = low[at : at + MAX_REASON].replace("\r", "").split("\n\n", 1)[0] if at >= 0 else ""
    return " ".join(said.split())


def _from_wrapped(parts: Iterable[Message]) -> Iterator[Bounce]:
    """Of a report that a scanner on its way put into a mail of its own."""
    for part in parts:
        if part.get_content_type() != "message/rfc822":
            continue
        for mail in inside(part)[:1]:
            for each in inside(mail) if kind_of(mail) is Report.DELIVERY else ():
                if each.get_content_type() in _STATUS_PARTS:
                    yield from delivery_fields.of_part(each)


def _from_words(raw: bytes, parts: Sequence[Message], text: str, about: Circumstances) -> list[Bounce]:
    named = tuple(filter(None, (clean_address(each) for each in about.named.split(","))))
    told = bounce_wordings.Told(
        text=text, named=named, ours=about.ours, returned_to=delivery_fields.returned_to(parts)
    )
    found = bounce_wordings.read(told) or list(_from_flufl(raw, text)) or bounce_wordings.by_returned(told)
    said = f"{about.subject}\n{text[:MAX_REASON]}"
    if _STILL_TRIED.search(said) and not _GIVEN_UP.search(said):
        return [replace(bounce, delayed=True, permanent=False) for bounce in found]
    return found


def _from_flufl(raw: bytes, text: str) -> Iterator[Bounce]:
    try:
        mail = message_from_bytes(_beginning(raw), policy=policy.compat32)
        temporary, permanent = all_failures(mail)
    except _TRIPS:
        return
    reason = reason_of("", text)
    for recipient in [*sorted(permanent), *sorted(temporary - permanent)]:
        name = recipient.decode("ascii", "replace") if isinstance(recipient, bytes) else str(recipient)
        is_final = recipient in permanent and (reason.permanent or reason.failure is Failure.OTHER)
        yield Bounce(
            recipient=clean_address(name), status=reason.status, permanent=is_final, failure=reason.failure
        )


def _beginning(raw: bytes) -> bytes:
    """As much of it as they need, with no charset: the library takes it at its word, and some take it hours."""
    lines = raw[:MAX_WORDING].split(b"\n", MAX_WORDING_LINES)[:MAX_WORDING_LINES]
    return _CHARSET.sub(b"unsaid", b"\n".join(lines))


def _unique(bounces: Iterable[Bounce]) -> Iterator[Bounce]:
    """Each recipient once; a failure counts for more than a delay."""
    seen: dict[str, Bounce] = {}
    for bounce in bounces:
        known = seen.get(bounce.recipient)
        if bounce.recipient and (known is None or (known.delayed and not bounce.delayed)):
            seen[bounce.recipient] = bounce
        if len(seen) >= MAX_RECIPIENTS:
            break
    yield from seen.values()
