"""What a mail system says of a mail of ours: delivery reports, and complaints.

Pure. Called by `mailread`. The parts of a standard report come first (RFC 3464 and 5965); what older systems write
in their own words is read by flufl.bounce.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import Message
from enum import StrEnum

from flufl.bounce import all_failures

# It writes a stack trace for each detector that trips over a mail; what cannot be read is no event here.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)

MAX_RECIPIENTS = 50
MAX_WORDING = 64_000  # octets in which an old system has said its say
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_ADDRESS = re.compile(r"[^\s<>;,\"]{1,64}@[^\s<>;,\"]{1,255}")
# What flufl's detectors trip over in mails that no mail system wrote.
_TRIPS = (ValueError, LookupError, AttributeError, TypeError, RecursionError)


class Report(StrEnum):
    """The kind of report a mail is."""

    NONE = "none"
    DELIVERY = "delivery"
    DISPOSITION = "disposition"  # "was displayed", "was deleted": nobody asked for it
    COMPLAINT = "complaint"


@dataclass(frozen=True, kw_only=True)
class Bounce:
    """One recipient whom a mail did not reach (yet). status: RFC 3463, empty where none was given."""

    recipient: str
    status: str
    permanent: bool


def kind_of(mail: Message) -> Report:
    """What kind of report a mail calls itself."""
    if mail.get_content_type() != "multipart/report":
        return Report.NONE
    match str(mail.get_param("report-type", "")).lower():
        case "delivery-status":
            return Report.DELIVERY
        case "disposition-notification":
            return Report.DISPOSITION
        case "feedback-report":
            return Report.COMPLAINT
        case _:
            return Report.NONE


def bounces_of(raw: bytes, parts: Iterable[Message], *, looks_sent_by_a_system: bool) -> tuple[Bounce, ...]:
    """Who was not reached. The older wordings are tried only where no person seems to have written the mail."""
    standard = tuple(_unique(_from_status_parts(parts)))
    if standard or not looks_sent_by_a_system:
        return standard
    return tuple(_unique(_from_wording(raw[:MAX_WORDING])))


def _from_status_parts(parts: Iterable[Message]) -> Iterator[Bounce]:
    for part in parts:
        if part.get_content_type() not in ("message/delivery-status", "message/global-delivery-status"):
            continue
        for block in _blocks(part):
            recipient = _address(block.get("Final-Recipient") or block.get("Original-Recipient"))
            action = str(block.get("Action", "")).strip().lower()
            found = _STATUS.search(str(block.get("Status", "")))
            status = found[0] if found else ""
            if recipient and action in ("failed", "delayed", ""):
                permanent = action == "failed" and not status.startswith("4")
                yield Bounce(recipient=recipient, status=status, permanent=permanent)


def _blocks(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []


def _from_wording(raw: bytes) -> Iterator[Bounce]:
    try:
        mail = message_from_bytes(raw, policy=policy.compat32)
        temporary, permanent = all_failures(mail)
    except _TRIPS:
        return
    status = _first_status(mail)
    for recipient in sorted(permanent):
        yield Bounce(recipient=_address(recipient), status=status, permanent=True)
    for recipient in sorted(temporary - permanent):
        yield Bounce(recipient=_address(recipient), status=status, permanent=False)


def _first_status(mail: Message) -> str:
    for part in mail.walk():
        payload = part.get_payload()
        found = _STATUS.search(payload[:20_000]) if isinstance(payload, str) else None
        if found:
            return found[0]
    return ""


def _address(value: object) -> str:
    """The address in `rfc822; sam@example.com`, in lower case."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    found = _ADDRESS.search(text[:1_000])
    return found[0].strip(".'()[]").lower() if found else ""


def _unique(bounces: Iterable[Bounce]) -> Iterator[Bounce]:
    seen: set[str] = set()
    for bounce in bounces:
        if bounce.recipient and bounce.recipient not in seen and len(seen) < MAX_RECIPIENTS:
            seen.add(bounce.recipient)
            yield bounce
