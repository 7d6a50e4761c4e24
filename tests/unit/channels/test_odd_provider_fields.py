"""Fields of mail providers' calls that are of another kind than documented: no reader breaks."""

import contextlib
import json
from typing import Any

import pytest

from channels import mailgun_events, postmark_events, ses_events
from channels.base import Receipt
from channels.errors import BadHook
from tests.unit.channels.provider_events import TO

MAIL = {"messageId": "ses-id", "destination": [TO], "tags": {"attempt": ["token"]}}
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
