"""The numbers and names texts are sent from."""

import pytest

from channels import senders
from channels.errors import NotConfigured


def test_numbers_take_replies_and_names_do_not() -> None:
    found = senders.read("sms", "NOTIFIER_SMS_NUMBERS", "+447700900100, SouthmereSN 60777\n+447700900100")
    assert [(each.address, each.takes_replies) for each in found] == [
        ("+447700900100", True),
        ("SouthmereSN", False),
        ("60777", True),
    ]


@pytest.mark.parametrize(
    "value", ["", " , ", "SouthmereTeam", "AB", "123", "07700900100", "+44", "A£BC", "--+--"]
)
def test_a_sender_that_no_network_takes_is_an_error_naming_its_variable(value: str) -> None:
    with pytest.raises(NotConfigured, match="NOTIFIER_SMS_NUMBERS is"):
        senders.read("sms", "NOTIFIER_SMS_NUMBERS", value)
