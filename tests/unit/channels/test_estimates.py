"""What one copy costs."""

import pytest

from channels import estimates
from channels.base import Content, Medium
from channels.errors import CannotExpress, NotConfigured


def text(words: str) -> Content:
    return Content(medium=Medium.SMS, language="en", text=words)


def test_a_text_costs_its_parts_at_the_providers_price() -> None:
    found = estimates.estimate(text("a" * 161), pence_per_part=4.5)
    assert (found.parts, found.cost_pence, found.length, found.limit) == (2, 9.0, 161, 1530)
    assert estimates.estimate(text("ŵ" * 71), max_parts=4).limit == 268


@pytest.mark.parametrize(("given", "pence"), [("", 4.0), (" 3.75 ", 3.75), ("0", 0.0)])
def test_the_variable_goes_before_the_table(given: str, pence: float) -> None:
    assert estimates.pence_from({"NOTIFIER_SMS_PENCE": given}, "sms_twilio", "NOTIFIER_SMS_PENCE") == pence


def test_a_channel_that_is_not_in_the_table_brings_its_price() -> None:
    assert estimates.pence_from({}, "sms_other", "NOTIFIER_OTHER_PENCE", otherwise=3.5) == 3.5
    assert estimates.pence_from({}, "sms_other", "NOTIFIER_OTHER_PENCE") == estimates.PENCE_PER_PART


@pytest.mark.parametrize("given", ["free", "nan", "inf", "-1", "4,5"])
def test_what_is_no_price_is_an_error(given: str) -> None:
    with pytest.raises(NotConfigured, match="NOTIFIER_SMS_PENCE is not a"):
        estimates.pence_from({"NOTIFIER_SMS_PENCE": given}, "sms_twilio", "NOTIFIER_SMS_PENCE")


@pytest.mark.parametrize(("words", "max_parts"), [("a" * 613, 4), ("a" * 1531, 10), ("ŵ" * 269, 4)])
def test_a_text_of_more_parts_than_are_joined_is_refused(words: str, max_parts: int) -> None:
    estimates.require_room(text(words[1:]), max_parts=max_parts)
    with pytest.raises(CannotExpress, match="1 characters too long for a text"):
        estimates.require_room(text(words), max_parts=max_parts)


def test_a_text_whose_pairs_leave_gaps_is_refused_by_its_parts() -> None:
    words = "a" * 152 + ("€" + "a" * 150) * 3 + "€"
    assert estimates.estimate(text(words), max_parts=4).parts == 5
    with pytest.raises(CannotExpress, match="5 parts, and 4 is the most"):
        estimates.require_room(text(words), max_parts=4)
