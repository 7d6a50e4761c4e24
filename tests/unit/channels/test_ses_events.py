"""What Amazon SES says through SNS: each documented kind of it, and mail it took in."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from channels import ses_events
from channels.base import Incoming, Receipt
from channels.errors import BadHook
from tests.unit.channels.provider_events import TO, short

MAIL = {"messageId": "ses-id", "destination": [TO], "tags": {"attempt": ["token"]}}


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
        (bounce("Permanent", "General", diagnosticCode="smtp; 550 5.4.1 Recipient address rejected: Access denied"), ["bounced for good 5.4.1"]),
        (bounce("Permanent", "NoEmail"), ["bounced for good"]),
        (bounce("Permanent", "Suppressed", status="5.1.1"), ["bounced for good 5.1.1"]),
        (bounce("Permanent", "OnAccountSuppressionList", status="5.1.1"), ["bounced for good 5.1.1"]),
        (bounce("Permanent", "General", status="5.7.1"), ["bounced 5.7.1"]),
        (bounce("Permanent", "General", status="5.2.2"), ["bounced 5.2.2"]),
        (bounce("Permanent", "General", status="5.0.0", diagnosticCode="smtp; 554 spam"), ["bounced 5.7.1"]),
        (bounce("Transient", "ContentRejected", status="5.1.1"), ["bounced 5.6.0"]),
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
        (complaint(complaintFeedbackType="auth-failure"), []),
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
