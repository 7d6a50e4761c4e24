"""What Mailgun says, in either form: each documented kind of it, and mail a route passes on."""

import json
from typing import Any

import pytest

from channels import mailgun_events
from channels.base import Incoming, Receipt
from channels.errors import BadHook
from channels.mailread import read_mail
from tests.fakes.mailgun import form_call, signature
from tests.unit.channels.provider_events import TO, short


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
        (failed("bounce", 550, "who?"), ["bounced 550"]),
        (failed("bounce", 550), ["bounced for good 550"]),
        (failed("bounce", 552, "who?"), ["bounced 552"]),
        (failed("bounce", 550, "5.7.1 spam"), ["bounced 5.7.1"]),
        (failed("bounce", 550, "no", **{"bounce-type": "soft"}), ["bounced 550"]),
        (failed("generic", 550, "5.1.1 nobody"), ["bounced for good 5.1.1"]),
        (failed("generic", 554, "spam"), ["bounced 5.7.1"]),
        (failed("bounce", 550, "Listed at https://lists.spamhaus.org/192.0.2.7"), ["bounced 5.7.1"]),
        (failed("bounce", 550, "The mailbox is over quota"), ["bounced 550"]),
        (failed("bounce", 554, "5.7.1 user does not exist"), ["bounced for good 5.1.1"]),
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
