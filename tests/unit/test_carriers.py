"""How new deliveries are dealt to the channels of one medium. That SQL deals alike is tried in `integration`."""

from collections import Counter
from uuid import UUID

import pytest
from sqlalchemy import column

from channels.base import Sender
from notifier.carriers import Carrier, Carriers
from notifier.config import BadConfiguration, build
from notifier.runtime import carriers
from subscribers.models import new_id

TWO = Carriers({"sms": [Carrier(channel="sms_a", weight=70), Carrier(channel="sms_b", weight=30)]})
POINTS = [new_id() for _ in range(2000)]


def test_addresses_are_dealt_by_weight_and_stay_where_they_are() -> None:
    dealt = Counter(TWO.channel_for("sms", point) for point in POINTS)
    assert 1300 < dealt["sms_a"] < 1500
    assert all(TWO.channel_for("sms", UUID(str(point))) == TWO.channel_for("sms", point) for point in POINTS)
    more = Carriers({"sms": [Carrier(channel="sms_a", weight=80), Carrier(channel="sms_b", weight=20)]})
    moved = [p for p in POINTS if TWO.channel_for("sms", p) != more.channel_for("sms", p)]
    assert {TWO.channel_for("sms", point) for point in moved} == {"sms_b"}


def test_without_weights_the_first_named_carries_all_and_the_condition_is_the_medium_alone() -> None:
    found = carriers(["sms_twilio", "email_smtp", "outbox"])
    assert found["sms"] == "sms_twilio"
    assert [each.channel for each in found.all_of("sms")] == ["sms_twilio"]  # outbox does not stand by
    assert [each.channel for each in found.all_of("push")] == ["outbox"]
    conditions = [
        str(condition) for condition, _ in found.cases(column("medium"), column("point"), of="sqlite")
    ]
    assert all("point" not in condition for condition in conditions)


def test_weights_say_who_shares_a_medium_and_who_stands_by() -> None:
    found = carriers(["memory", "outbox", "sms_twilio"], ["outbox=3", "sms_twilio=1"])
    assert [(each.channel, each.weight) for each in found.all_of("sms")] == [
        ("memory", 0),
        ("outbox", 3),
        ("sms_twilio", 1),
    ]
    assert found["sms"] == "outbox"
    assert {found.channel_for("sms", point) for point in POINTS} == {"outbox", "sms_twilio"}
    assert set(found.by_channel()) == {"memory", "outbox", "sms_twilio"}
    with pytest.raises(BadConfiguration, match="sms_twilio is not among"):
        carriers(["outbox"], ["sms_twilio=1"])
    with pytest.raises(BadConfiguration, match="NAME=NUMBER"):
        build({"NOTIFIER_WEIGHTS": "sms_twilio:70"})


def test_a_plain_mapping_says_as_much_as_one_channel_for_each_medium() -> None:
    found = Carriers.of({"sms": "memory"})
    assert found == {"sms": "memory"}
    assert Carriers.of(found) is found
    told = found.with_senders("sms", {"memory": [Sender(address="+447700900800", takes_replies=True)]})
    assert told.all_of("sms")[0].lists("+447700900800")
    assert not found.all_of("sms")[0].senders
