"""What Amazon SES says through SNS: events of mail we sent, by either of its two ways, and mail it took in for us.

Pure. Called by `email_ses` with the fields of a call whose signature is good. Sources: "Contents of event data that
Amazon SES publishes to Amazon SNS", "Amazon SNS notification contents", "Contents of notifications for Amazon SES email
receiving".
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from channels.base import Event, Incoming, Medium, OptedOut, Progress, Receipt
from channels.complaints import NOT_A_COMPLAINT
from channels.errors import BadHook
from channels.hook_fields import code_in, document, moment, part, rows, text, word
from channels.hook_verdicts import verdict
from channels.mailmake import traced

ATTEMPT_TAG = "attempt"  # of letters, digits, _ and - alone, as SES asks; so are our tokens
_TAG = re.compile(rf"(?:^|,)\s*{ATTEMPT_TAG}=([\w.-]+)")

# A subtype that says by itself why, where the other server gave no status: none of it is the address's fault.
_STATUS_OF = {
    "mailboxfull": "5.2.2",
    "messagetoolarge": "5.3.4",
    "contentrejected": "5.6.0",
    "attachmentrejected": "5.6.1",
    "customtimeoutexceeded": "4.4.7",
}
# SES kept it back: because of an earlier complaint, or because they left at SES.
_LEFT = frozenset({"unsubscribedrecipient"})
# SES kept it back, or the server said it in so many words, because nobody is there.
_KNOWN_GONE = frozenset({"noemail", "suppressed", "onaccountsuppressionlist"})
_NO_EVENT = frozenset({"open", "click", "deliverydelay"})
_NOT_EVENTS = ("successfully validated sns topic",)


def events_of(fields: Mapping[str, str], raw: bytes) -> Sequence[Event]:
    """The events of one notification. BadHook where it cannot be read."""
    message = fields.get("Message", "")
    if message.lower().startswith(_NOT_EVENTS):
        return ()
    tree = document(message)
    kind = (word(tree, "eventType") or word(tree, "notificationType")).lower()
    if kind in _NO_EVENT or kind == "amazonsnssubscriptionsucceeded":
        return ()
    if kind == "received":
        return (_incoming(fields, tree),)
    reader = _READERS.get(kind)
    if reader is None:
        raise BadHook("a kind of event that nobody here knows")
    return reader(_Told(fields, tree, raw))


class _Told:
    """One event about one mail of ours, and what its events have in common."""

    def __init__(self, fields: Mapping[str, str], tree: Mapping[str, Any], raw: bytes) -> None:
        self.tree, self._raw = tree, raw
        self._event_id = word(fields, "MessageId")
        self._sent_at = fields.get("Timestamp", "")

    def receipt(self, progress: Progress, about: str, *, code: str = "", permanent: bool = False) -> Receipt:
        return Receipt(
            event_id=self._event_id,
            provider_id=word(self.tree, "mail", "messageId"),
            attempt=_attempt(self.tree),
            progress=progress,
            at=self._at(about),
            raw=self._raw,
            code=code,
            permanent=permanent,
        )

    def opted_out(self, about: str, address: str) -> OptedOut:
        return OptedOut(
            event_id=f"{self._event_id}:left",
            medium=Medium.EMAIL,
            address=address or next(iter(_strings(part(self.tree, "mail").get("destination"))), ""),
            at=self._at(about),
            raw=self._raw,
        )

    def _at(self, about: str) -> Any:
        return moment(text(self.tree, about, "timestamp") or self._sent_at)


def _sent(told: _Told) -> Sequence[Event]:
    return (told.receipt(Progress.SENT, "mail"),)


def _delivered(told: _Told) -> Sequence[Event]:
    return (told.receipt(Progress.DELIVERED, "delivery"),)


def _bounced(told: _Told) -> Sequence[Event]:
    bounce = part(told.tree, "bounce")
    kind, subtype = word(bounce, "bounceType").lower(), word(bounce, "bounceSubType").lower()
    whose = next(rows(bounce, "bouncedRecipients"), {})
    if subtype in _LEFT:
        return (
            told.receipt(Progress.UNDELIVERED, "bounce"),
            told.opted_out("bounce", text(whose, "emailAddress")),
        )
    said = text(whose, "diagnosticCode")
    passing = _STATUS_OF.get(subtype, "")
    code = code_in(text(whose, "status"), said) or passing
    words = "" if subtype in _KNOWN_GONE else said
    found = verdict(code, words, hard=kind == "permanent" and not passing)
    if passing and found.ends:  # by the server's number alone
        return (told.receipt(Progress.BOUNCED, "bounce", code=passing),)
    return (told.receipt(Progress.BOUNCED, "bounce", code=found.code, permanent=found.ends),)


def _complained(told: _Told) -> Sequence[Event]:
    complaint = part(told.tree, "complaint")
    if word(complaint, "complaintFeedbackType").lower() in NOT_A_COMPLAINT:
        return ()
    whose = text(next(rows(complaint, "complainedRecipients"), {}), "emailAddress")
    if "suppressionlist" in word(complaint, "complaintSubType").lower():  # kept back for an earlier complaint
        return told.receipt(Progress.UNDELIVERED, "complaint"), told.opted_out("complaint", whose)
    return (told.receipt(Progress.COMPLAINED, "complaint", permanent=True),)


def _not_sent(told: _Told) -> Sequence[Event]:
    """A virus, or a template without a value: SES never sent it."""
    return (told.receipt(Progress.UNDELIVERED, "mail"),)


def _subscription(told: _Told) -> Sequence[Event]:
    """Left by SES's own link: everything, or a list that they were on."""
    before = part(told.tree, "subscription", "oldTopicPreferences")
    after = part(told.tree, "subscription", "newTopicPreferences")
    left = _left(after) - _left(before)
    return (told.opted_out("subscription", ""),) if left else ()


_READERS = {
    "send": _sent,
    "delivery": _delivered,
    "bounce": _bounced,
    "complaint": _complained,
    "reject": _not_sent,
    "renderingfailure": _not_sent,
    "subscription": _subscription,
}


def _left(preferences: Mapping[str, Any]) -> set[str]:
    """Names of the lists they are off; a name of no list where they want nothing at all."""
    off = {
        text(each, "topicName")
        for name in ("topicSubscriptionStatus", "topicPreferences")
        for each in rows(preferences, name)
        if word(each, "subscriptionStatus").lower() == "optout"
    }
    return off | ({"*"} if preferences.get("unsubscribeAll") is True else set())


def _attempt(tree: Mapping[str, Any]) -> str:
    """Our token, among the tags of a configuration set's events, or in the headers of a notification."""
    tags = part(tree, "mail", "tags").get(ATTEMPT_TAG)
    tagged = next(iter(_strings(tags)), "")
    if tagged:
        return tagged[:256]
    for header in rows(tree, "mail", "headers"):
        if text(header, "name").lower() == "x-ses-message-tags":
            found = _TAG.search(text(header, "value")[:1000])
            return found[1][:256] if found else ""
    return ""


def _incoming(fields: Mapping[str, str], tree: Mapping[str, Any]) -> Incoming:
    """Mail for us, whole in the notification. What was put into a bucket instead cannot be read here."""
    content = tree.get("content")
    if not isinstance(content, str):
        raise BadHook("the mail is not in it: use SES's SNS action, for it may be in a bucket")
    encoding = word(tree, "receipt", "action", "encoding").lower()
    try:
        raw = (
            base64.b64decode("".join(content.split()), validate=True)
            if encoding == "base64"
            else content.encode("utf-8", "surrogatepass")
        )
    except (binascii.Error, ValueError) as error:
        raise BadHook("the mail in it is not base64") from error
    recipients = _strings(part(tree, "receipt").get("recipients")) or _strings(
        part(tree, "mail").get("destination")
    )
    sender = text(tree, "mail", "source")
    return Incoming(
        event_id=word(tree, "mail", "messageId") or word(fields, "MessageId"),
        medium=Medium.EMAIL,
        sender=sender,
        recipient=recipients[0] if recipients else "",
        text="",
        at=moment(text(tree, "mail", "timestamp")),
        raw=traced(raw, mail_from=sender, recipients=recipients[1:]),
    )


def _strings(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
