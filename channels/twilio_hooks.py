"""Twilio's web calls: are they Twilio's, and what do they say.

Pure. Called by `sms_twilio`. The signature joins names and values without a mark between them and drops
repeated values, so a field that is repeated, missing or of the wrong shape makes a call doubtful, and a doubtful call is
refused. Source: Twilio's "Validating requests" and "Track the message status" pages.
"""

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qs, parse_qsl, urlsplit, urlunsplit

from twilio.request_validator import RequestValidator

from channels import addresses
from channels.base import Event, HookRequest, Incoming, Medium, Progress, Receipt
from channels.errors import BadHook

MAX_BODY = 100_000
MAX_FIELDS = 100
_SID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
_SENDER = re.compile(
    r"(?:[a-z]{2,12}:)?\+?[\d ().-]{0,25}|[A-Za-z0-9 &._+!?-]{1,11}|[a-z]{2,12}:[\w.-]{1,40}"
)
_CODE = re.compile(r"\d{1,6}")
_VERSION = re.compile(r"(?:\d{4}-\d{2}-\d{2})?")
_PICTURES = re.compile(r"[1-9]\d?")  # a picture alone comes without words
# Fields that may be missing, so that letters moved out of their names or values would not be missed.
_OPTIONAL = (
    "ApiVersion", "ErrorCode", "ErrorMessage", "FromCity", "FromCountry", "FromState", "FromZip", "MessagingServiceSid",
    "NumMedia", "NumSegments", "SmsMessageSid", "SmsSid", "SmsStatus", "ToCity", "ToCountry", "ToState", "ToZip",
)  # fmt: skip
_REQUIRED = ("AccountSid", "Body", "From", "MessageSid", "MessageStatus", "To")

# Twilio's word → ours. The steps on the way make no event; a word that is neither cannot be read.
_PROGRESS = {
    "sent": Progress.SENT,
    "delivered": Progress.DELIVERED,
    "undelivered": Progress.UNDELIVERED,
    "failed": Progress.UNDELIVERED,
    "canceled": Progress.UNDELIVERED,
    "read": Progress.DELIVERED,
}
_STEPS = frozenset({"accepted", "scheduled", "queued", "sending", "receiving", "received"})
# The handset or number will never take a text from us: no such number, a landline, opted out.
_PERMANENT = frozenset({"21211", "21610", "21614", "30005", "30006"})


def is_signed(url: str, fields: Mapping[str, str], signature: str, tokens: Iterable[str]) -> bool:
    """Whether any token gives the signature, over the address with or without its default port."""
    wanted = signature.encode("utf-8", "replace")
    found = [
        hmac.compare_digest(RequestValidator(token).compute_signature(spelling, fields).encode(), wanted)
        for token in tokens
        for spelling in _spellings(url)
    ]
    return any(found)


def fields_of(body: bytes) -> dict[str, str] | None:
    """The form's fields; none where it cannot be read as one or names a field twice."""
    if len(body) > MAX_BODY:
        return None
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def is_whole(fields: Mapping[str, str], account_sid: str) -> bool:
    """Whether the fields that matter are there and of their shape, and the account is ours."""
    if fields.get("AccountSid") != account_sid or not _SID.fullmatch(fields.get("MessageSid", "")):
        return False
    if not all(_SENDER.fullmatch(fields.get(name, "")) for name in ("From", "To")):
        return False
    if not _VERSION.fullmatch(fields.get("ApiVersion", "")) or _is_blurred(fields):
        return False
    if "MessageStatus" in fields:
        return "Body" not in fields and fields["MessageStatus"].isalpha()
    has_words = "Body" in fields or bool(_PICTURES.fullmatch(fields.get("NumMedia", "")))
    return has_words and "From" in fields and "To" in fields


def _is_blurred(fields: Mapping[str, str]) -> bool:
    """Whether a name we do not know, or an optional value, may be a known field with letters moved across its mark."""
    unknown = (name + value for name, value in fields.items() if name not in (*_OPTIONAL, *_REQUIRED))
    if any(each.startswith((*_OPTIONAL, "From+", "To+")) for each in unknown):
        return True
    return any(name in fields.get(field, "") for field in _OPTIONAL for name in _OPTIONAL)


def events_of(request: HookRequest) -> Sequence[Event]:
    """A receipt or a text; nothing for a status that is only a step. BadHook where it cannot be read."""
    fields = fields_of(request.body)
    if fields is None or "MessageSid" not in fields:
        raise BadHook
    if "MessageStatus" in fields:
        return _receipts(request, fields)
    if "From" not in fields:
        raise BadHook
    return (
        Incoming(
            event_id=fields["MessageSid"],
            medium=Medium.SMS,
            sender=addresses.incoming_number(fields.get("From", "")),
            recipient=addresses.incoming_number(fields.get("To", "")),
            text=fields.get("Body", ""),
            at=None,
            raw=request.body,
        ),
    )


def _receipts(request: HookRequest, fields: Mapping[str, str]) -> Sequence[Event]:
    status, code = fields["MessageStatus"].lower(), fields.get("ErrorCode", "")
    if status in _STEPS:
        return ()
    progress = _PROGRESS.get(status)
    if progress is None:
        raise BadHook("a status that nobody here knows")
    attempt = parse_qs(urlsplit(request.url).query).get("attempt", [""])[0]
    return (
        Receipt(
            event_id=f"{fields['MessageSid']}:{status}",
            provider_id=fields["MessageSid"],
            attempt=attempt,
            progress=progress,
            at=None,  # Twilio's own time has no zone and no seconds
            raw=request.body,
            code=code if _CODE.fullmatch(code) else "",
            permanent=progress is Progress.UNDELIVERED and code in _PERMANENT,
        ),
    )


def _spellings(url: str) -> tuple[str, str]:
    """The address as it is configured, and with its port put in or left out."""
    parts = urlsplit(url)
    default = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    host = parts.netloc
    other = host.rpartition(":")[0] if parts.port is not None else f"{host}{default}"
    return url, urlunsplit(parts._replace(netloc=other))
