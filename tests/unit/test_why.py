"""Every reason a delivery is as it is, or is not there at all, in words: each with the rule that decided."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from notifier.broadcast.absent import Address, Meant, Wish, not_meant, not_reached, not_sent_by
from notifier.delivery.why import Known, masked, why
from notifier.models import Canary, DeliveryState, Kind, MessageState
from subscribers.models import ContactPointState, LeastPriority

LONDON = ZoneInfo("Europe/London")
NOW = datetime(2027, 1, 13, 12, tzinfo=UTC)  # a Wednesday
HOUR = timedelta(hours=1)
BEFORE, LATER = NOW - HOUR, NOW + HOUR
ADDRESS = "sam.o-neil+x@home.example"

QUIET = "quiet hours: it waits until Thursday 14 January 2027, 8am"
FULL = (
    "weekly limit: they had 3 messages in seven days, so it joins the weekly digest of Friday 15 January 2027"
)
LATE = "quiet hours: they last until Thursday 14 January 2027, 8am, and by then its time has passed"

DELIVERIES = [
    ({"message_state": MessageState.PLANNING}, "planning", "The list of who gets the message is being made."),
    ({"message_state": MessageState.SCHEDULED, "send_at": LATER}, "schedule", "go out at Wednesday 13 January 2027, 1pm"),
    ({"message_state": MessageState.PAUSED, "paused_reason": "4 of 25 failed."}, "paused", "is paused (4 of 25 failed)."),
    ({"digest": "daily"}, "digest", "They chose one message a day. It waits for their daily digest of Wednesday 13 January"),
    ({"digest": "weekly"}, "digest", "weekly digest of Friday 15 January 2027."),
    ({"digest": "weekly", "reason": FULL}, "weekly limit", "Weekly limit: they had 3 messages in seven days"),
    ({"digest": "daily", "digest_state": "pending"}, "digest", "stands in their daily digest, which is on its way"),
    ({"held": [("system", "Wrong template")]}, "hold", "Sending of everything is on hold (Wrong template)."),
    ({"held": [("team", "")]}, "hold", "Sending of this team is on hold."),
    ({"held": [("channel", "x")], "reason": QUIET, "due_at": LATER}, "hold", "Sending of this channel is on hold"),
    ({"reason": QUIET, "due_at": LATER}, "quiet hours", "Quiet hours: it waits until Thursday"),
    ({"reason": "daily limit on texts: they had 2 texts today, so it waits until Thursday", "due_at": LATER},
     "daily limit on texts", "they had 2 texts today"),
    ({"shut": "no credit", "shut_until": LATER}, "channel",
     "left alone because of no credit. It is tried again from Wednesday 13 January 2027, 1pm."),
    ({"tries": 1, "due_at": LATER, "fault": "421 try later"}, "retry",
     "The last try failed (421 try later). It is tried again from Wednesday"),
    ({"canary": Canary.WAITING, "message_state": MessageState.SENDING}, "first few", "goes to a few people first"),
    ({"due_at": LATER, "reason": "the team's limit for today is spent on this channel"}, "due",
     "It waits until Wednesday 13 January 2027, 1pm (the team's limit for today is spent on this channel)."),
    ({"reason": QUIET}, "in line", "It is in line to go out now."),
    ({"state": "leased"}, "in line", "about to go out"),
    ({"state": "started"}, "sending", "going out at this moment"),
    ({"state": "in_doubt", "sent_at": BEFORE}, "in doubt", "which did not say whether it took it"),
    ({"state": "accepted", "sent_at": BEFORE, "tries": 1}, "sent",
     "It went out at Wednesday 13 January 2027, 11am, and the provider took it."),
    ({"state": "accepted", "tries": 2, "maybe_repeat": True}, "sent", "It took 2 tries. It may have arrived twice."),
    ({"state": "accepted", "waited": [QUIET]}, "sent", "Before, it was put off. Quiet hours: it waits until"),
    ({"state": "accepted", "override_reason": "The river rises."}, "sent", "do not hold for this message: The river rises."),
    ({"state": "accepted", "digest": "weekly", "digest_state": "accepted", "reason": "in the digest", "sent_at": BEFORE},
     "digest", "Their digest, which it stands in, went out at Wednesday"),
    ({"state": "bounced", "digest": "weekly", "digest_state": "bounced", "reason": "in the digest"}, "digest", "came back: "),
    ({"state": "delivered", "said_at": BEFORE}, "sent", "It arrived: the provider said so at Wednesday 13 January 2027, 11am."),
    ({"state": "undelivered", "said_at": BEFORE, "reason": "30003"}, "receipt", "did not arrive"),
    ({"state": "bounced", "reason": f"550 5.1.1 <{ADDRESS}> unknown"}, "receipt", "(550 5.1.1 <(address)> unknown)"),
    ({"state": "complained"}, "receipt", "marked it as unwanted"),
    ({"state": "failed", "fault": "no such user +44 7700 900123"}, "failed", "could not be sent (no such user (address))."),
    ({"state": "suppressed", "reason": "stopped"}, "opt-out", "They had stopped messages to this address"),
    ({"state": "suppressed", "reason": "no longer subscribed to these areas and topics"}, "opt-out", "They left the areas"),
    ({"state": "suppressed", "reason": "opted out at the provider"}, "opt-out", "(opted out at the provider)"),
    ({"state": "expired", "reason": "its time had passed"}, "expiry", "its time ended at Thursday 14 January 2027, 12pm"),
    ({"state": "expired", "reason": LATE}, "quiet hours", "It was not sent. Quiet hours: they last until Thursday"),
    ({"state": "cancelled", "reason": "the message was cancelled"}, "cancelled", "when the message was cancelled"),
    ({"state": "held", "reason": "{oops} rendering failed"}, "held", "held back for somebody to look at ({oops} rendering"),
    ({"state": "unknown"}, "unknown", "nobody can say whether it arrived"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "rule", "words"), DELIVERIES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_delivery_says_why_it_is_as_it_is(changes: dict[str, Any], rule: str, words: str) -> None:
    plain: dict[str, Any] = {
        "now": NOW,
        "zone": LONDON,
        "due_at": BEFORE,
        "expires_at": NOW + 24 * HOUR,
        "reason": "",
        **changes,
        "state": DeliveryState(changes.get("state", "pending")),
    }
    if plain.get("digest_state"):
        plain["digest_state"] = DeliveryState(plain["digest_state"])
    found = why(Known(**plain))
    assert found.rule == rule
    assert words in found.text
    assert found.text.endswith(".")
    assert ADDRESS not in found.text


def test_every_state_has_its_words() -> None:
    for state in DeliveryState:
        assert why(Known(now=NOW, zone=LONDON, state=state, due_at=NOW, expires_at=NOW)).sentence


@pytest.mark.parametrize(
    "text", [ADDRESS, f"<{ADDRESS}>", "+447700900123", "07700 900123", "+44 (0)7700-900123", f"x:{ADDRESS};"]
)
def test_addresses_and_numbers_never_stand_in_the_words(text: str) -> None:
    shown = masked(f"550 5.7.1 {text} refused at 8am on 14 January 2027")
    assert "(address)" in shown
    assert "home.example" not in shown
    assert "900123" not in shown
    assert shown.startswith("550 5.7.1 ")
    assert shown.endswith("refused at 8am on 14 January 2027")


def wish(**changes: Any) -> Wish:
    plain = {"area": "W1", "topic": "burglary", "least_priority": LeastPriority.EVERYTHING}
    return Wish(**({**plain, "started_at": BEFORE - HOUR, "ended_at": None} | changes))


NEWS = Meant(
    kind=Kind.NEWS, areas={"W1", "W2"}, topics={"burglary"}, media=["email", "sms"], frozen_at=BEFORE
)


@pytest.mark.parametrize(
    ("wishes", "rule", "words"),
    [
        ([], "area", "no area at all"),
        ([wish(area="W9")], "area", "none of its areas"),
        ([wish(topic="mopeds")], "topic", "none of its topics"),
        ([wish(least_priority=LeastPriority.PRIORITY)], "kind", "They asked for what matters most, without news"),
        ([wish(least_priority=LeastPriority.URGENT)], "kind", "They asked for alerts alone"),
        ([wish(started_at=NOW)], "joined", "They joined at Wednesday 13 January 2027, 12pm, and the message was approved at"),
        ([wish(ended_at=BEFORE)], "left", "They left at Wednesday 13 January 2027, 11am"),
        ([wish(ended_at=BEFORE - HOUR / 2), wish(started_at=NOW)], "left", "They left"),
        ([wish(ended_at=NOW)], "", ""),
        ([wish(area="W9"), wish(area="W2")], "", ""),
    ],
)  # fmt: skip
def test_the_first_criterion_that_failed_is_named(wishes: list[Wish], rule: str, words: str) -> None:
    found = not_meant(NEWS, wishes, LONDON)
    assert (found.rule if found else "") == rule
    assert words in (found.sentence if found else "")


def test_any_topic_will_do_where_a_message_names_none() -> None:
    any_topic = Meant(kind=Kind.ALERT, areas={"W1"}, topics=(), media=["sms"], frozen_at=BEFORE)
    assert not_meant(any_topic, [wish(topic="mopeds", least_priority=LeastPriority.URGENT)], LONDON) is None


def address(**changes: Any) -> Address:
    plain: dict[str, Any] = {"medium": "sms", "state": ContactPointState.ACTIVE, "verified_at": BEFORE - HOUR}
    return Address(**({**plain, "stopped_at": None} | changes))


STOPPED, BOUNCED = ContactPointState.STOPPED, ContactPointState.BOUNCED


@pytest.mark.parametrize(
    ("addresses", "rule", "words"),
    [
        ([], "no address", "They have given no mobile number."),
        ([address(medium="email")], "no address", "no mobile number"),
        ([address(verified_at=None)], "not confirmed", "They have not confirmed their mobile number."),
        ([address(verified_at=NOW)], "not confirmed", "at Wednesday 13 January 2027, 12pm, after the message was"),
        ([address(state=STOPPED, stopped_at=BEFORE - HOUR / 2)], "stopped", "They had stopped messages to their mobile"),
        ([address(state=BOUNCED, stopped_at=BEFORE - HOUR / 2)], "bounced", "Messages to their mobile number come back since"),
        ([address(state=STOPPED, stopped_at=NOW)], "", ""),
        ([address(state=STOPPED, stopped_at=BEFORE - HOUR / 2), address()], "", ""),
    ],
)  # fmt: skip
def test_an_address_that_could_not_take_it_is_named(addresses: list[Address], rule: str, words: str) -> None:
    found = not_reached(NEWS, "sms", addresses, LONDON)
    assert (found.rule if found else "") == rule
    assert words in (found.sentence if found else "")


def test_a_way_it_did_not_go_is_said() -> None:
    assert not_sent_by("sms").sentence == "It was not sent by text message."
