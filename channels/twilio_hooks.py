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

from channels import addresses, twilio_codes
from channels.base import Event, HookRequest, Incoming, Medium, OptedOut, Progress, Receipt
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
_MOST_PICTURES = 10  # that Twilio lets a text have
_LONGEST_URL = 500
# Fields that may be missing, so that letters moved out of their names or values would not be missed.
_OPTIONAL = (
    "ApiVersion", "ErrorCode", "ErrorMessage", "FromCity", "FromCountry", "FromState", "FromZip", "MessagingServiceSid",
    "NumMedia", "NumSegments", "OptOutType", "SmsMessageSid", "SmsSid", "SmsStatus", "ToCity", "ToCountry", "ToState", "ToZip",
)  # fmt: skip
_MEDIA_NAMES = ("MediaContentType", "MediaSid", "MediaUrl")
_MEDIA = re.compile(rf"(?:{'|'.join(_MEDIA_NAMES)})\d")
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
    optional = [name for name in fields if name in _OPTIONAL or _MEDIA.fullmatch(name)]
    unknown = (fields.keys() - optional) - set(_REQUIRED)
    if any(
        f"{name}{fields[name]}".startswith((*_OPTIONAL, *_MEDIA_NAMES, "Body", "From+", "To+"))
        for name in unknown
    ):
        return True
    return any(name in fields[field] for field in optional for name in (*_OPTIONAL, *_MEDIA_NAMES))


def events_of(request: HookRequest) -> Sequence[Event]:
    """A receipt, or a text and whether it was a stop; nothing for a status on the way. BadHook where it cannot be read."""
    fields = fields_of(request.body)
    if fields is None or "MessageSid" not in fields:
        raise BadHook
    if "MessageStatus" in fields:
        return _receipts(request, fields)
    if "From" not in fields:
        raise BadHook
    sender = addresses.incoming_number(fields["From"])
    incoming = Incoming(
        event_id=fields["MessageSid"],
        medium=Medium.SMS,
        sender=sender,
        recipient=addresses.incoming_number(fields.get("To", "")),
        text=fields.get("Body", ""),
        at=None,
        raw=request.body,
        media=_media(fields),
    )
    if fields.get("OptOutType") != "STOP":
        return (incoming,)
    # Twilio took it for a stop, by a word that the account may have chosen, and keeps back what we send there.
    stopped = OptedOut(
        event_id=f"{incoming.event_id}:stop", medium=Medium.SMS, address=sender, at=None, raw=request.body
    )
    return (incoming, stopped)


def _media(fields: Mapping[str, str]) -> tuple[str, ...]:
    """Addresses of the pictures that came with a text; whether they may be fetched is decided when they are."""
    count = fields.get("NumMedia", "")
    most = min(int(count), _MOST_PICTURES) if _PICTURES.fullmatch(count) else 0
    found = (fields.get(f"MediaUrl{number}", "") for number in range(most))
    return tuple(url[:_LONGEST_URL] for url in found if url)


def _receipts(request: HookRequest, fields: Mapping[str, str]) -> Sequence[Event]:
    status, code = fields["MessageStatus"].lower(), fields.get("ErrorCode", "")
    if status in _STEPS:
        return ()
    progress = _PROGRESS.get(status)
    if progress is None:
        raise BadHook("a status that nobody here knows")
    meaning = twilio_codes.meaning(int(code)) if _CODE.fullmatch(code) else None
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
            permanent=progress is Progress.UNDELIVERED and meaning is not None and meaning.is_permanent,
            opted_out=progress is Progress.UNDELIVERED and meaning is twilio_codes.Meaning.OPTED_OUT,
        ),
    )


def _spellings(url: str) -> tuple[str, str]:
    """The address as it is configured, and with its port put in or left out."""
    parts = urlsplit(url)
    default = {"https": ":443", "http": ":80"}.get(parts.scheme, "")
    host = parts.netloc
    other = host.rpartition(":")[0] if parts.port is not None else f"{host}{default}"
    return url, urlunsplit(parts._replace(netloc=other))
