"""Postmark's web calls: what became of mail we sent, and mail that came to its inbound address.

Pure. Called by `email_postmark`. Sources: Postmark's developer pages "Bounce webhook", "Delivery webhook", "Spam
complaint webhook", "Subscription change webhook", "Inbound webhook" and "Bounce types".
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from channels.base import Event, Incoming, Medium, OptedOut, Progress, Receipt
from channels.errors import BadHook
from channels.hook_fields import code_in, document, moment, part, rows, text, word
from channels.hook_verdicts import of_this_mail, verdict
from channels.mailmake import Attached, made_again, traced

ATTEMPT = "attempt"  # key of our metadata: of at most 20 characters, its value of at most 80
NO_MESSAGE = "00000000-0000-0000-0000-000000000000"

_ENVELOPE_FROM = re.compile(r"\benvelope-from=(?:<?([^\s<>;\"]*)>?);")
_NO_EVENT = frozenset({"Open", "Click"})
# Postmark's kinds of bounces. Those it goes on trying, and answers of machines, make no event.
_ENDS_ADDRESS = frozenset({"HardBounce", "BadEmailAddress"})
_OF_THIS_MAIL = frozenset({"SpamNotification", "VirusNotification", "Blocked", "DMARCPolicy"})
_SOFT = frozenset({"SoftBounce", "AddressChange", "Unknown", "Undeliverable"})
_NOT_SENT = frozenset({"DnsError", "SMTPApiError", "Unconfirmed", "TemplateRenderingFailed"})
_LEFT = frozenset({"Unsubscribe"})
_KEPT_BACK = frozenset({"ManuallyDeactivated"})
_NO_BOUNCE = frozenset(
    {"Transient", "Subscribe", "AutoResponder", "ChallengeVerification", "OpenRelayTest", "InboundError"}
)


def events_of(body: bytes) -> Sequence[Event]:
    """What it says. BadHook where it cannot be read."""
    tree = document(body)
    kind = word(tree, "RecordType")
    if kind in _NO_EVENT:
        return ()
    match kind:
        case "Delivery":
            return (_receipt(tree, body, Progress.DELIVERED),)
        case "Bounce":
            return _bounced(tree, body)
        case "SMTPApiError":
            return (_receipt(tree, body, Progress.UNDELIVERED),)
        case "SpamComplaint":
            return _complained(tree, body)
        case "SubscriptionChange":
            return _changed(tree, body)
    if kind in ("", "Inbound") and ("FromFull" in tree or "RawEmail" in tree or "From" in tree):
        return (_incoming(tree),)
    raise BadHook("a kind of record that nobody here knows")


# --- Events ---------------------------------------------------------------------------------


def _bounced(tree: Mapping[str, Any], body: bytes) -> Sequence[Event]:
    kind = word(tree, "Type")
    code = code_in(text(tree, "Details"), text(tree, "Description"))
    if kind in _NO_BOUNCE:
        return ()
    if kind == "SpamComplaint":
        return _complained(tree, body)
    if kind in _LEFT:
        return (_opted_out(tree, body, text(tree, "Email")),)
    if kind in _KEPT_BACK:
        return _receipt(tree, body, Progress.UNDELIVERED), _opted_out(tree, body, text(tree, "Email"))
    if kind == "SMTPApiError" and "inactive" in text(tree, "Details").lower():  # it bounced, or they said no
        return (_receipt(tree, body, Progress.BOUNCED, code=code, permanent=True),)
    if kind in _NOT_SENT:
        return (_receipt(tree, body, Progress.UNDELIVERED, code=code),)
    if kind in _OF_THIS_MAIL:
        return (_receipt(tree, body, Progress.BOUNCED, code=of_this_mail(code).code),)
    if kind in _ENDS_ADDRESS or kind in _SOFT:
        found = verdict(code, text(tree, "Details"), hard=kind in _ENDS_ADDRESS)
        return (_receipt(tree, body, Progress.BOUNCED, code=found.code, permanent=found.ends),)
    raise BadHook("a kind of bounce that nobody here knows")


def _complained(tree: Mapping[str, Any], body: bytes) -> Sequence[Event]:
    """Where it names no mail of ours it still says who wants none."""
    if not _attempt(tree) and not _message(tree):
        return (_opted_out(tree, body, text(tree, "Email") or text(tree, "Recipient")),)
    return (_receipt(tree, body, Progress.COMPLAINED, permanent=True),)


def _changed(tree: Mapping[str, Any], body: bytes) -> Sequence[Event]:
    """The list of those whom Postmark keeps mail from has one more. One less is no consent."""
    is_kept_back = tree.get("SuppressSending")
    if not isinstance(is_kept_back, bool):
        raise BadHook("a change that does not say which way")
    if not is_kept_back:
        return ()
    match word(tree, "SuppressionReason"):
        case "HardBounce":
            return (_receipt(tree, body, Progress.BOUNCED, permanent=True),)
        case "SpamComplaint":
            return _complained(tree, body)
        case _:  # they, or somebody here in their name, said no
            return (_opted_out(tree, body, text(tree, "Recipient")),)


def _receipt(
    tree: Mapping[str, Any], body: bytes, progress: Progress, *, code: str = "", permanent: bool = False
) -> Receipt:
    return Receipt(
        event_id=_event_id(tree, body),
        provider_id=_message(tree),
        attempt=_attempt(tree),
        progress=progress,
        at=_at(tree),
        raw=body,
        code=code,
        permanent=permanent,
    )


def _opted_out(tree: Mapping[str, Any], body: bytes, address: str) -> OptedOut:
    return OptedOut(
        event_id=f"{_event_id(tree, body)}:left",
        medium=Medium.EMAIL,
        address=address,
        at=_at(tree),
        raw=body,
    )


def _event_id(tree: Mapping[str, Any], body: bytes) -> str:
    """Postmark's number of a bounce or complaint; else the mail, what befell it and when; else the words themselves."""
    own = word(tree, "ID")
    if own:
        return f"{word(tree, 'RecordType')}:{own}"
    message = _message(tree)
    if message:
        return f"{word(tree, 'RecordType')}:{message}:{word(tree, 'ChangedAt')}"
    return sha256(body).hexdigest()


def _message(tree: Mapping[str, Any]) -> str:
    found = word(tree, "MessageID")
    return "" if found == NO_MESSAGE else found


def _attempt(tree: Mapping[str, Any]) -> str:
    return word(tree, "Metadata", ATTEMPT)


def _at(tree: Mapping[str, Any]) -> Any:
    names = ("BouncedAt", "DeliveredAt", "ChangedAt", "ReceivedAt")
    return next((found for name in names if (found := moment(text(tree, name)))), None)


# --- Mail for us ----------------------------------------------------------------------------


def _incoming(tree: Mapping[str, Any]) -> Incoming:
    """The mail as it came where Postmark is told to include it, else made again from its parts."""
    recipient = text(tree, "OriginalRecipient") or text(next(rows(tree, "ToFull"), {}), "Email")
    raw = text(tree, "RawEmail").encode("utf-8")
    if not raw:
        raw = made_again(
            _headers(tree),
            text=text(tree, "TextBody"),
            html=text(tree, "HtmlBody"),
            attached=[_attached(each) for each in rows(tree, "Attachments")],
        )
    sender = text(tree, "FromFull", "Email") or text(tree, "From")
    return Incoming(
        event_id=_message(tree) or sha256(raw).hexdigest(),
        medium=Medium.EMAIL,
        sender=sender,
        recipient=recipient,
        text="",
        at=None,  # its Date is the sender's word
        raw=traced(raw, mail_from=_envelope_sender(tree)),
    )


def _headers(tree: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Those that Postmark took out to stand alone, before the others."""
    alone = [
        ("From", _people([part(tree, "FromFull")]) or text(tree, "From")),
        ("To", _people(rows(tree, "ToFull")) or text(tree, "To")),
        ("Cc", _people(rows(tree, "CcFull")) or text(tree, "Cc")),
        ("Reply-To", text(tree, "ReplyTo")),
        ("Subject", text(tree, "Subject")),
        ("Date", text(tree, "Date")),
    ]
    named = [(text(each, "Name"), text(each, "Value")) for each in rows(tree, "Headers")]
    written = {name.lower() for name, value in alone if value}
    return [
        *((name, value) for name, value in alone if value),
        *((name, value) for name, value in named if name.lower() not in written),
    ]


def _envelope_sender(tree: Mapping[str, Any]) -> str:
    """Said only by the check that Postmark made of it (RFC 7208 §9.1)."""
    checks = (
        text(each, "Value") for each in rows(tree, "Headers") if text(each, "Name").lower() == "received-spf"
    )
    found = next((found for each in checks if (found := _ENVELOPE_FROM.search(each[:2000]))), None)
    return found[1] or "<>" if found else ""


def _people(found: Any) -> str:
    """Names quoted, so that no mark in one makes an address of it."""
    written = []
    for each in found:
        address = text(each, "Email")
        name = " ".join(text(each, "Name").split()).replace("\\", "\\\\").replace('"', '\\"')
        written += [f'"{name}" <{address}>' if name else address] if address else []
    return ", ".join(written)


def _attached(found: Mapping[str, Any]) -> Attached:
    content = text(found, "Content") or text(found, "Data")
    try:
        data = base64.b64decode("".join(content.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadHook("an attachment that is not base64") from error
    return Attached(
        name=text(found, "Name"),
        kind=text(found, "ContentType"),
        data=data,
        content_id=text(found, "ContentID").strip("<>"),
    )
