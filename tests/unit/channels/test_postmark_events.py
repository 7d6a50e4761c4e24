"""What Postmark says: each documented kind of it, and mail that came to its inbound address."""

import json
from typing import Any

import pytest

from channels import postmark_events
from channels.base import Incoming, Receipt
from channels.errors import BadHook
from channels.mailread import read_mail
from tests.unit.channels.provider_events import TO, short


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
        (told("SpamNotification"), ["bounced 5.7.1"]),
        (told("VirusNotification"), ["bounced 5.7.1"]),
        (told("Blocked", "smtp;550 5.1.1 blocked"), ["bounced 5.7.1"]),
        (told("DMARCPolicy", "smtp;550 5.7.26 no"), ["bounced 5.7.26"]),
        (told("HardBounce", "smtp;554 Your host [192.0.2.7] is blacklisted"), ["bounced 5.7.1"]),
        (told("HardBounce", "smtp;550 5.1.1 the mailbox is full"), ["bounced 5.2.2"]),
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
    ("check", "expected"),
    [
        (
            "Pass (authorized) client-ip=192.0.2.1; envelope-from=bounce@resident.example; receiver=x",
            "bounce@resident.example",
        ),
        ("None (no record) envelope-from=<>; receiver=x", ""),
    ],
)
def test_postmark_tells_the_envelope_by_its_check_of_it(check: str, expected: str) -> None:
    """Who must not be answered is known by an empty one."""
    tree = {
        "FromFull": {"Email": TO, "Name": 'Sam "S" <sam>, Jones'}, "ToFull": [{"Email": "desk@link.example"}], "TextBody": "hello",
        "Subject": "Ŵyn", "Headers": [{"Name": "Received-SPF", "Value": check}, {"Name": "In-Reply-To", "Value": "<d.x@link.example>"}],
        "Attachments": [{"Name": "a.png", "ContentType": "image/png", "Content": "iVBORw0KGgo=", "ContentID": "a@b"}],
    }  # fmt: skip
    (event,) = postmark_events.events_of(json.dumps(tree).encode())
    assert isinstance(event, Incoming)
    assert event.raw.startswith(b"Return-Path: <%b>\r\n" % expected.encode())
    mail = read_mail(event.raw)
    assert (mail.senders, mail.sender_name, mail.subject) == ((TO,), 'Sam "S" <sam>, Jones', "Ŵyn")
    assert (mail.in_reply_to, mail.attachments) == ("<d.x@link.example>", ("a.png",))
    assert mail.return_path_is_null is (expected == "")


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"{",
        b'{"RecordType": "Moved"}',
        b'{"RecordType": "Bounce"}',
        b"\xff",
        b'{"RecordType": "SubscriptionChange", "SuppressSending": "true"}',
    ],  # which way is not for us to guess
)
def test_what_postmark_says_that_nobody_knows_is_unreadable(body: bytes) -> None:
    with pytest.raises(BadHook):
        postmark_events.events_of(body)
