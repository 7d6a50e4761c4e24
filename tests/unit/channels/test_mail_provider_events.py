"""What Amazon SES, Mailgun and Postmark say, each documented kind of it, read into the same events."""

import base64
import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from channels import mailgun_events, postmark_events, ses_events
from channels.base import Event, Incoming, OptedOut, Receipt
from channels.errors import BadHook
from channels.mailread import read_mail
from tests.fakes.mailgun import form_call, signature

TO = "sam@resident.example"
MAIL = {"messageId": "ses-id", "destination": [TO], "tags": {"attempt": ["token"]}}


def short(events: Any) -> list[str]:
    """An event in a word or three: what, for good, code."""
    return [_short(each) for each in events]


def _short(event: Event) -> str:
    match event:
        case Receipt():
            good = " for good" if event.permanent else ""
            return f"{event.progress}{good} {event.code}".strip()
        case OptedOut():
            return f"left {event.address}"
        case Incoming():
            return "mail"


def ses(kind: str, about: dict[str, Any] | None = None, *, name: str = "", mail: Any = MAIL) -> Any:
    tree = {"eventType": kind, "mail": mail, name or kind.lower(): about or {}}
    fields = {"MessageId": "sns-id", "Message": json.dumps(tree), "Timestamp": "2026-11-22T16:00:00.000Z"}
    return ses_events.events_of(fields, b"whole call")


def bounce(kind: str, subtype: str, **who: str) -> Any:
    return ses(
        "Bounce",
        {"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": [{"emailAddress": TO, **who}]},
    )


def complaint(**about: str) -> Any:
    return ses("Complaint", {"complainedRecipients": [{"emailAddress": TO}], **about})


def lists(**statuses: str) -> dict[str, Any]:
    rows = [{"topicName": name, "subscriptionStatus": status} for name, status in statuses.items()]
    return {"unsubscribeAll": False, "topicSubscriptionStatus": rows}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (ses("Send"), ["sent"]),
        (ses("Delivery"), ["delivered"]),
        (ses("DeliveryDelay", name="deliveryDelay"), []),
        (ses("Open"), []),
        (ses("Click"), []),
        (ses("Reject", {"reason": "Bad content"}), ["undelivered"]),
        (ses("Rendering Failure", name="failure"), ["undelivered"]),
        (ses("RenderingFailure", name="failure"), ["undelivered"]),
        (bounce("Permanent", "General", status="5.1.1"), ["bounced for good 5.1.1"]),
        (bounce("Permanent", "General", diagnosticCode="smtp; 550 5.4.1 denied"), ["bounced for good 5.4.1"]),
        (bounce("Permanent", "NoEmail"), ["bounced for good"]),
        (bounce("Permanent", "Suppressed", status="5.1.1"), ["bounced for good 5.1.1"]),
        (bounce("Permanent", "OnAccountSuppressionList", status="5.1.1"), ["bounced for good 5.1.1"]),
        (bounce("Permanent", "General", status="5.7.1"), ["bounced 5.7.1"]),
        (bounce("Permanent", "General", status="5.2.2"), ["bounced 5.2.2"]),
        (bounce("Permanent", "UnsubscribedRecipient"), ["undelivered", f"left {TO}"]),
        (bounce("Transient", "General"), ["bounced"]),
        (bounce("Transient", "General", diagnosticCode="smtp; 450 try later"), ["bounced 450"]),
        (bounce("Transient", "MailboxFull"), ["bounced 5.2.2"]),
        (bounce("Transient", "MessageTooLarge"), ["bounced 5.3.4"]),
        (bounce("Transient", "ContentRejected"), ["bounced 5.6.0"]),
        (bounce("Transient", "AttachmentRejected"), ["bounced 5.6.1"]),
        (bounce("Transient", "CustomTimeoutExceeded"), ["bounced 4.4.7"]),
        (bounce("Undetermined", "Undetermined"), ["bounced"]),
        (complaint(complaintFeedbackType="abuse"), ["complained for good"]),
        (complaint(), ["complained for good"]),
        (complaint(complaintFeedbackType="not-spam"), []),
        (complaint(complaintSubType="OnAccountSuppressionList"), ["undelivered", f"left {TO}"]),
        (ses("Subscription", {"newTopicPreferences": {"unsubscribeAll": True}}), [f"left {TO}"]),
        (
            ses("Subscription", {"oldTopicPreferences": lists(a="OptIn"), "newTopicPreferences": lists(a="OptOut")}),
            [f"left {TO}"],
        ),
        (
            ses("Subscription", {"oldTopicPreferences": lists(a="OptOut"), "newTopicPreferences": lists(a="OptIn")}),
            [],
        ),
    ],
)  # fmt: skip
def test_ses_events(events: Any, expected: list[str]) -> None:
    assert short(events) == expected
    assert all(each.raw == b"whole call" and each.event_id.startswith("sns-id") for each in events)
    assert all((each.provider_id, each.attempt) == ("ses-id", "token") for each in events if isinstance(each, Receipt))  # fmt: skip


def test_ses_notifications_name_the_attempt_by_the_headers_of_the_mail() -> None:
    headers = [
        {"name": "Subject", "value": "attempt=not-this"},
        {"name": "X-SES-MESSAGE-TAGS", "value": "team=abbey, attempt=token"},
    ]
    mail = {"messageId": "ses-id", "headers": headers}
    tree = {
        "notificationType": "Delivery",
        "mail": mail,
        "delivery": {"timestamp": "2026-11-22T16:00:05.123Z"},
    }
    (event,) = ses_events.events_of({"MessageId": "x", "Message": json.dumps(tree)}, b"raw")
    assert isinstance(event, Receipt)
    assert event.attempt == "token"
    assert event.at == datetime(2026, 11, 22, 16, 0, 5, 123000, UTC)


@pytest.mark.parametrize(
    "message",
    [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        '{"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "you have"}',
    ],
)
def test_ses_trying_its_topic_says_nothing(message: str) -> None:
    assert ses_events.events_of({"Message": message}, b"raw") == ()


@pytest.mark.parametrize(
    "message", ["{}", "[]", "hello", '{"eventType": "Moved"}', '{"notificationType": "Received"}']
)
def test_what_ses_says_that_nobody_knows_is_unreadable(message: str) -> None:
    with pytest.raises(BadHook):
        ses_events.events_of({"Message": message}, b"raw")


def test_ses_hands_over_mail_as_it_came_with_its_envelope_on_top() -> None:
    raw = "From: Siân <sian@resident.example>\r\nSubject: ŵ\r\n\r\nDiolch\r\n"
    for encoding, content in (("BASE64", base64.b64encode(raw.encode()).decode()), ("UTF8", raw)):
        tree = {
            "notificationType": "Received", "content": content, "mail": {"source": "<>", "messageId": "in"},
            "receipt": {"recipients": ["desk@link.example", "b@link.example"], "action": {"encoding": encoding}},
        }  # fmt: skip
        (event,) = ses_events.events_of({"MessageId": "x", "Message": json.dumps(tree)}, b"call")
        assert isinstance(event, Incoming)
        assert event.raw == b"Return-Path: <>\r\nDelivered-To: b@link.example\r\n" + raw.encode()
        assert (event.recipient, event.event_id) == ("desk@link.example", "in")


# --- Mailgun ----------------------------------------------------------------------------------


def mailgun(event: str, *, legacy: bool = False, **more: Any) -> Any:
    if legacy:
        call = form_call({"event": event, "recipient": TO, "Message-Id": "<d.x@link.example>", "attempt": "token"} | more)  # fmt: skip
        return mailgun_events.events_of(call.headers["Content-Type"], call.body)
    told = {
        "id": "event-id", "event": event, "recipient": TO, "timestamp": 1795363200.5,
        "user-variables": {"attempt": "token"}, "message": {"headers": {"message-id": "d.x@link.example"}},
    }  # fmt: skip
    body = json.dumps({"signature": signature(), "event-data": told | more}).encode()
    return mailgun_events.events_of("application/json; charset=utf-8", body)


def failed(
    reason: str, code: int | str, message: str = "", severity: str = "permanent", **status: Any
) -> Any:
    status = {"code": code, "message": message, **status}
    more: dict[str, Any] = {"severity": severity, "reason": reason, "delivery-status": status}
    return mailgun("failed", **more)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (mailgun("accepted"), ["sent"]),
        (mailgun("delivered"), ["delivered"]),
        (mailgun("opened"), []),
        (mailgun("clicked"), []),
        (mailgun("stored"), []),
        (mailgun("rejected", reject={"reason": "no"}), ["undelivered"]),
        (mailgun("complained"), ["complained for good"]),
        (mailgun("unsubscribed"), [f"left {TO}"]),
        (failed("generic", 421, "try later", severity="temporary"), []),
        (failed("greylisted", 450, "4.7.1 later", severity="temporary"), []),
        (failed("old", 498, "No MX", severity="temporary"), ["bounced 498"]),
        (failed("old", 452, "4.2.2 full"), ["bounced 4.2.2"]),
        (failed("bounce", 550, "5.1.1 nobody"), ["bounced for good 5.1.1"]),
        (
            failed("bounce", 550, **{"enhanced-code": "5.1.1", "bounce-type": "hard"}),
            ["bounced for good 5.1.1"],
        ),
        (failed("bounce", 550, "who?"), ["bounced for good 550"]),
        (failed("bounce", 552, "who?"), ["bounced 552"]),
        (failed("bounce", 550, "5.7.1 spam"), ["bounced 5.7.1"]),
        (failed("bounce", 550, "no", **{"bounce-type": "soft"}), ["bounced 550"]),
        (failed("generic", 550, "5.1.1 nobody"), ["bounced for good 5.1.1"]),
        (failed("generic", 554, "spam"), ["bounced 554"]),
        (failed("espblock", 421, "5.7.1 blocked"), ["bounced 5.7.1"]),
        (failed("suppress-bounce", 605, "Not delivering"), ["bounced for good"]),
        (failed("suppress-unsubscribe", 606), ["undelivered", f"left {TO}"]),
        (failed("suppress-complaint", 607), ["undelivered", f"left {TO}"]),
        (failed("generic", 607), ["undelivered", f"left {TO}"]),
        (mailgun("delivered", legacy=True), ["delivered"]),
        (mailgun("opened", legacy=True), []),
        (mailgun("complained", legacy=True), ["complained for good"]),
        (mailgun("unsubscribed", legacy=True), [f"left {TO}"]),
        (mailgun("bounced", legacy=True, code="550", error="5.1.1 nobody"), ["bounced for good 5.1.1"]),
        (mailgun("dropped", legacy=True, reason="hardfail", code="605"), ["bounced for good"]),
        (mailgun("dropped", legacy=True, reason="hardfail", code="606"), ["undelivered", f"left {TO}"]),
        (mailgun("dropped", legacy=True, reason="old", code="452"), ["bounced 452"]),
    ],
)
def test_mailgun_events(events: Any, expected: list[str]) -> None:
    assert short(events) == expected
    named = ("<d.x@link.example>", "token")
    assert all((each.provider_id, each.attempt) == named for each in events if isinstance(each, Receipt))
    assert all(each.at is not None and TO.partition("@")[0].encode() in each.raw for each in events)


def test_a_mail_whose_headers_look_like_an_event_is_a_mail() -> None:
    """A route posts the headers of a mail as fields, and its writer chooses them."""
    fields = {
        "event": "bounced", "code": "5.1.1", "attempt": "token", "recipient": "desk@link.example",
        "sender": TO, "from": TO, "From": TO, "body-plain": "hello", "Message-Id": "<d.x@link.example>",
    }  # fmt: skip
    call = form_call(fields)
    (event,) = mailgun_events.events_of(call.headers["Content-Type"], call.body)
    assert isinstance(event, Incoming)
    assert read_mail(event.raw).text.strip() == "hello"


@pytest.mark.parametrize("kind", ["moved", "", "[]"])
def test_what_mailgun_says_that_nobody_knows_is_unreadable(kind: str) -> None:
    with pytest.raises(BadHook):
        mailgun(kind)
    with pytest.raises(BadHook):
        mailgun(kind, legacy=True)


def test_a_mail_that_mailgun_keeps_is_said_to_be_elsewhere() -> None:
    call = form_call({"recipient": "desk@link.example", "message-url": "https://storage.example/1"})
    with pytest.raises(BadHook, match="forward"):
        mailgun_events.events_of(call.headers["Content-Type"], call.body)


# --- Postmark ---------------------------------------------------------------------------------


def postmark(kind: str, *, message: str = "883953f4", **more: Any) -> Any:
    tree = {
        "RecordType": kind,
        "MessageID": message,
        "Metadata": {"attempt": "token"},
        "Email": TO,
        "Recipient": TO,
    }
    return postmark_events.events_of(json.dumps(tree | more).encode())


def told(kind: str, details: str = "") -> Any:
    return postmark("Bounce", ID=42, Type=kind, Details=details, BouncedAt="2026-11-22T16:00:05.1234567Z")


def changed(reason: str | None, *, suppressed: bool = True) -> Any:
    return postmark("SubscriptionChange", SuppressSending=suppressed, SuppressionReason=reason, ChangedAt="2026-11-22T16:00:05Z")  # fmt: skip


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (postmark("Delivery", DeliveredAt="2026-11-22T16:00:05Z"), ["delivered"]),
        (postmark("Open"), []),
        (postmark("Click"), []),
        (postmark("SpamComplaint", ID=42), ["complained for good"]),
        (told("HardBounce", "smtp;550 5.1.1 nobody"), ["bounced for good 5.1.1"]),
        (told("HardBounce"), ["bounced for good"]),
        (told("HardBounce", "smtp;554 5.7.1 policy"), ["bounced 5.7.1"]),
        (told("BadEmailAddress"), ["bounced for good"]),
        (told("SoftBounce", "smtp;552 5.2.2 full"), ["bounced 5.2.2"]),
        (told("SpamNotification"), ["bounced"]),
        (told("VirusNotification"), ["bounced"]),
        (told("Blocked"), ["bounced"]),
        (told("DMARCPolicy"), ["bounced"]),
        (told("AddressChange"), ["bounced"]),
        (told("Unknown"), ["bounced"]),
        (told("DnsError"), ["undelivered"]),
        (told("SMTPApiError"), ["undelivered"]),
        (told("SMTPApiError", "Found inactive addresses"), ["bounced for good"]),
        (told("Transient"), []),
        (told("AutoResponder"), []),
        (told("ChallengeVerification"), []),
        (told("OpenRelayTest"), []),
        (told("Subscribe"), []),
        (told("Unsubscribe"), [f"left {TO}"]),
        (told("SpamComplaint"), ["complained for good"]),
        (told("ManuallyDeactivated"), ["undelivered", f"left {TO}"]),
        (changed("HardBounce"), ["bounced for good"]),
        (changed("SpamComplaint"), ["complained for good"]),
        (changed("ManualSuppression"), [f"left {TO}"]),
        (changed(None, suppressed=False), []),
        (postmark("SpamComplaint", message=postmark_events.NO_MESSAGE, Metadata={}), [f"left {TO}"]),
    ],
)
def test_postmark_events(events: Any, expected: list[str]) -> None:
    assert short(events) == expected
    named = ("883953f4", "token")
    assert all((each.provider_id, each.attempt) == named for each in events if isinstance(each, Receipt))
    assert all(TO not in each.event_id for each in events)


def test_a_message_of_noughts_names_none() -> None:
    """Postmark says it where a change concerns no mail: all such would else be taken for one."""
    (event,) = postmark("Delivery", message=postmark_events.NO_MESSAGE)
    assert event.provider_id == ""


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"{", b'{"RecordType": "Moved"}', b'{"RecordType": "Bounce"}', b"\xff"]
)
def test_what_postmark_says_that_nobody_knows_is_unreadable(body: bytes) -> None:
    with pytest.raises(BadHook):
        postmark_events.events_of(body)


# --- All of them ------------------------------------------------------------------------------


ODD: list[Any] = [None, 7, -1, True, [], {}, "\0\ud800", "x" * 5000, [[["a"]]], 1e400]
SES_FIELDS = ("mail", "bounce", "complaint", "delivery", "subscription", "content", "receipt")
MAILGUN_FIELDS = ("id", "timestamp", "recipient", "user-variables", "message", "delivery-status", "reason")
POSTMARK_FIELDS = (
    "MessageID",
    "Metadata",
    "Email",
    "Details",
    "ID",
    "FromFull",
    "Headers",
    "Attachments",
    "Date",
)
POSTMARK_KINDS = ("Bounce", "Delivery", "SubscriptionChange", "SpamComplaint", "")


@pytest.mark.parametrize("odd", ODD)
def test_a_field_of_another_kind_never_breaks_a_reader(odd: Any) -> None:
    bounced = {"timestamp": odd, "bounceType": odd}
    kinds = ("Bounce", "Complaint", "Delivery", "Subscription", "Received")
    trees = [
        ("ses", {"eventType": kind, "mail": MAIL, "bounce": bounced, name: odd})
        for kind in kinds
        for name in SES_FIELDS
    ]
    trees += [("mailgun", {"event": "failed", "id": "x", name: odd}) for name in MAILGUN_FIELDS]
    known = {"Type": "HardBounce", "From": TO, "SuppressSending": True}
    trees += [
        ("postmark", {**known, "RecordType": kind, name: odd})
        for kind in POSTMARK_KINDS
        for name in POSTMARK_FIELDS
    ]
    read = [event for provider, tree in trees for event in _read(provider, json.dumps(tree))]
    assert read
    for event in read:
        assert "\0" not in event.event_id
        assert event.event_id.encode()
        assert not isinstance(event, Receipt) or event.provider_id.isprintable()


def _read(provider: str, tree: str) -> Any:
    """The events, or none where it is said to be unreadable."""
    with contextlib.suppress(BadHook):
        match provider:
            case "ses":
                return ses_events.events_of({"Message": tree, "MessageId": "x"}, b"raw")
            case "mailgun":
                body = f'{{"signature": {{}}, "event-data": {tree}}}'.encode()
                return mailgun_events.events_of("application/json", body)
            case _:
                return postmark_events.events_of(tree.encode())
    return ()
