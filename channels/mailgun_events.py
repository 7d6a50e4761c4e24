"""Mailgun's web calls: who signed them, what became of mail we sent, and mail a route passes on.

Pure. Called by `email_mailgun`. Sources: Mailgun's user manual, "Webhooks", "Securing webhooks", "Tracking failures",
"Event structure" and "Routes", and for older accounts the form posts of "Legacy webhooks".
"""

import hmac
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from channels.base import Event, Incoming, Medium, OptedOut, Progress, Receipt
from channels.errors import BadHook
from channels.hook_fields import code_in, document, moment, part, text, word
from channels.hook_forms import Field, fields_of
from channels.hook_verdicts import verdict
from channels.mailmake import Attached, made_again, traced

ATTEMPT = "attempt"  # the name of our variable
_SIGNED = ("timestamp", "token", "signature")
MAX_EVENT = 1_000_000  # octets; a mail comes in a form, which is read in no time
_REPEATED = 4  # a variable of ours may be called as a field of theirs is, and older posts say both

_NO_EVENT = frozenset(
    {"opened", "clicked", "stored", "email_validation", "list_member_uploaded", "list_member_upload_error", "list_uploaded"}
)  # fmt: skip
_EVENTS = frozenset(
    {"accepted", "delivered", "failed", "rejected", "complained", "unsubscribed", "bounced", "dropped"}
)
_OF_MAIL = frozenset(
    {"body-mime", "body-plain", "body-html", "stripped-text", "message-url", "X-Mailgun-Incoming"}
)
# Why Mailgun gave up: they had left or complained before; the address is known to bounce; all else is of this mail.
_LEFT = frozenset({"suppress-unsubscribe", "suppress-complaint"})
_KEPT_BACK = "suppress-bounce"
_SUPPRESSED_CODES = {605: _KEPT_BACK, 606: "suppress-unsubscribe", 607: "suppress-complaint"}
_ENDS_ADDRESS = frozenset({"bounce", _KEPT_BACK, "hardfail", "hard"})


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A time, a random word, and the MAC of both."""

    timestamp: str
    token: str
    mac: str


def signatures_of(content_type: str, body: bytes) -> Sequence[Signature]:
    """What may be its signatures. Nobody is known yet, so no more is read than they need. BadHook where there is none."""
    if _is_json(content_type):
        return (_signature(_document(body)),)
    fields = fields_of(content_type, body, only=_SIGNED)
    found = [_all(fields, name)[:_REPEATED] for name in _SIGNED]
    return [Signature(timestamp=at, token=token, mac=mac) for at, token, mac in itertools.product(*found)]


def is_signed(signatures: Sequence[Signature], keys: Sequence[str], is_fresh: Callable[[str], bool]) -> bool:
    """Whether a key of ours made one of them and its time is fresh. Constant time in every MAC."""
    good = [
        each.token and is_fresh(each.timestamp)
        for each in signatures
        for key in keys
        if _is_made_by(each, key)
    ]
    return any(good)


def _is_made_by(signature: Signature, key: str) -> bool:
    signed = (signature.timestamp + signature.token).encode("utf-8", "replace")
    wanted = hmac.digest(key.encode(), signed, "sha256").hex().encode()
    return hmac.compare_digest(wanted, signature.mac.encode("utf-8", "replace"))


def events_of(content_type: str, body: bytes) -> Sequence[Event]:
    """What it says. BadHook where it cannot be read."""
    if _is_json(content_type):
        tree = _document(body)
        return _told(part(tree, "event-data"), _signature(tree), body)
    fields = fields_of(content_type, body)
    kinds = _all(fields, "event")
    # A mail's headers are fields of its post, so one with a header called `event` must not pass for an event.
    if not kinds or any(each.name in _OF_MAIL for each in fields):
        return (_incoming(fields, body),)
    known = [each for each in kinds if each in _EVENTS | _NO_EVENT]
    if not known:
        raise BadHook("an event that nobody here knows")
    return _told_in_a_form(known[0], fields, body)


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _document(body: bytes) -> Mapping[str, Any]:
    if len(body) > MAX_EVENT:
        raise BadHook("it is too long for an event")
    return document(body)


def _signature(tree: Mapping[str, Any]) -> Signature:
    signed = part(tree, "signature")
    return Signature(
        timestamp=text(signed, "timestamp"), token=text(signed, "token"), mac=text(signed, "signature")
    )


# --- Events ---------------------------------------------------------------------------------


def _told(event: Mapping[str, Any], signature: Signature, raw: bytes) -> Sequence[Event]:
    status = part(event, "delivery-status")
    kind, reason = word(event, "event"), word(event, "reason").lower()
    number = text(status, "code")
    if number.isdigit() and int(number) in _SUPPRESSED_CODES:
        reason = _SUPPRESSED_CODES[int(number)]
    said = (text(status, "message"), text(status, "description"))
    return _events(
        _Said(
            kind=kind,
            is_passing=word(event, "severity").lower() == "temporary" and reason != "old",
            reasons=frozenset({reason, word(status, "bounce-type").lower()} - {"soft", ""}),
            is_soft=word(status, "bounce-type").lower() == "soft",
            code=code_in(text(status, "enhanced-code"), *said, number),
            words=said,
            event_id=_event_id(word(event, "id") or signature.token, raw),
            message_id=word(event, "message", "headers", "message-id"),
            attempt=_attempt(event.get("user-variables")),
            recipient=text(event, "recipient"),
            at=event.get("timestamp") or signature.timestamp,
        ),
        raw,
    )


def _told_in_a_form(kind: str, fields: Sequence[Field], raw: bytes) -> Sequence[Event]:
    """An older account's. Its event has no id but the token it was signed with."""
    number = _first(fields, "code")
    reasons = {_first(fields, "reason").lower(), "bounce" if kind == "bounced" else ""}
    if number.isdigit() and int(number) in _SUPPRESSED_CODES:
        reasons.add(_SUPPRESSED_CODES[int(number)])
    said = (_first(fields, "error"), _first(fields, "description"), _first(fields, "notification"))
    return _events(
        _Said(
            kind=kind,
            reasons=frozenset(reasons - {""}),
            code=code_in(number, *said),
            words=said,
            event_id=_event_id("".join(_all(fields, "token")), raw),
            message_id=_clean(_first(fields, "Message-Id") or _first(fields, "message-id")),
            attempt=_clean(_first(fields, ATTEMPT)) or _attempt(_first(fields, "user-variables")),
            recipient=_first(fields, "recipient"),
            at=next((each for each in _all(fields, "timestamp") if moment(each)), None),
        ),
        raw,
    )


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What either form says. reasons: Mailgun's words for why it gave up. words: those of the server behind it."""

    kind: str
    reasons: frozenset[str]
    code: str
    words: Sequence[str]
    event_id: str
    message_id: str
    attempt: str
    recipient: str
    at: object
    is_passing: bool = False
    is_soft: bool = False


def _events(said: _Said, raw: bytes) -> Sequence[Event]:
    def receipt(progress: Progress, *, code: str = "", permanent: bool = False) -> Receipt:
        return Receipt(
            event_id=said.event_id,
            provider_id=f"<{said.message_id.strip('<>')}>" if said.message_id else "",
            attempt=said.attempt,
            progress=progress,
            at=moment(said.at),
            raw=raw,
            code=code,
            permanent=permanent,
        )

    left = OptedOut(
        event_id=f"{said.event_id}:left", medium=Medium.EMAIL, address=said.recipient, at=moment(said.at), raw=raw
    )  # fmt: skip
    match said.kind:
        case kind if kind in _NO_EVENT:
            return ()
        case "accepted":
            return (receipt(Progress.SENT),)
        case "delivered":
            return (receipt(Progress.DELIVERED),)
        case "complained":
            return (receipt(Progress.COMPLAINED, permanent=True),)
        case "unsubscribed":
            return (left,)
        case "rejected":
            return (receipt(Progress.UNDELIVERED, code=said.code),)
        case "failed" if said.is_passing:
            return ()  # Mailgun goes on trying
        case "failed" | "bounced" | "dropped":
            if said.reasons & _LEFT:
                return receipt(Progress.UNDELIVERED, code=said.code), left
            is_hard = bool(said.reasons & _ENDS_ADDRESS) and not said.is_soft
            words = () if _KEPT_BACK in said.reasons else said.words  # which are Mailgun's own
            found = verdict(said.code, *words, hard=is_hard)
            return (receipt(Progress.BOUNCED, code=found.code, permanent=found.ends),)
    raise BadHook("an event that nobody here knows")


def _attempt(variables: object) -> str:
    """Our token among the variables, which an older post has as JSON."""
    if isinstance(variables, str):
        try:
            variables = json.loads(variables)
        except (ValueError, RecursionError):
            return ""
    return word(variables, ATTEMPT)


def _event_id(named: str, raw: bytes) -> str:
    """The id or the random word; the call itself where there is none."""
    is_usable = 0 < len(named) <= 150 and named.isascii() and named.isprintable()
    return named if is_usable else sha256(named.encode("utf-8", "replace") or raw).hexdigest()


# --- Mail for us ----------------------------------------------------------------------------


def _incoming(fields: Sequence[Field], body: bytes) -> Incoming:
    """A mail that a route forwards: whole where the address ends with `mime`, else made again from its parts."""
    sender, recipient = _first(fields, "sender"), _first(fields, "recipient")
    whole = next((each for each in fields if each.name == "body-mime"), None)
    if whole is not None:
        raw = whole.data
    elif any(each.name in ("message-headers", "body-plain", "body-html", "From", "from") for each in fields):
        raw = made_again(
            _headers(fields),
            text=_first(fields, "body-plain"),
            html=_first(fields, "body-html"),
            attached=_attached(fields),
        )
    else:
        raise BadHook("the mail is not in it: let the route forward it, not store it")
    return Incoming(
        event_id=_event_id("".join(_all(fields, "token")), body),
        medium=Medium.EMAIL,
        sender=sender,
        recipient=recipient,
        text="",
        at=next((found for each in _all(fields, "timestamp") if (found := moment(each))), None),
        raw=traced(raw, mail_from=sender),
    )


def _headers(fields: Sequence[Field]) -> list[tuple[str, str]]:
    """The mail's headers in their order; from the fields that repeat them where that list is missing."""
    try:
        found = json.loads(_first(fields, "message-headers") or "[]")
    except (ValueError, RecursionError):
        found = []
    pairs = [
        (each[0], each[1])
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, list) and len(each) == 2 and all(isinstance(half, str) for half in each)
    ]
    if pairs:
        return pairs
    known = {"from": "From", "to": "To", "cc": "Cc", "subject": "Subject"}
    named = [(known.get(each.name, each.name), each.text) for each in fields if not each.is_file]
    pairs = [(name, value) for name, value in named if name[:1].isupper()]
    seen = {"From", "Subject"}
    return [
        (name, value)
        for at, (name, value) in enumerate(pairs)
        if name not in seen or name not in {earlier for earlier, _ in pairs[:at]}
    ]


def _attached(fields: Sequence[Field]) -> list[Attached]:
    try:
        shown = json.loads(_first(fields, "content-id-map") or "{}")
    except (ValueError, RecursionError):
        shown = {}
    ids = (
        {value: key for key, value in shown.items() if isinstance(value, str)}
        if isinstance(shown, dict)
        else {}
    )
    return [
        Attached(
            name=each.file_name, kind=each.kind, data=each.data, content_id=str(ids.get(each.name, "")).strip("<>")
        )
        for each in fields
        if each.is_file and each.name.startswith("attachment-")
    ]  # fmt: skip


def _all(fields: Sequence[Field], name: str) -> list[str]:
    return [each.text for each in fields if each.name == name and not each.is_file]


def _first(fields: Sequence[Field], name: str) -> str:
    return next((each.text for each in fields if each.name == name and not each.is_file), "")


def _clean(value: str) -> str:
    return word({"": value}, "")
