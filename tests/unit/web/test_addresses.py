"""Addresses as people type them: slips are asked about, boxes nobody reads are refused."""

import pytest

from channels.errors import BadAddress
from notifier.web import addresses


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("sam@gmial.com", "sam@gmail.com"),
        ("sam@hotmial.co.uk", "sam@hotmail.co.uk"),
        ("sam@gmail.con", "sam@gmail.com"),
        ("sam@yahoo.co", "sam@yahoo.com"),
        ("sam@gmail.com", None),
        ("sam@met.police.uk", None),
        ("sam@yahoo.fr", None),
        ("sam@aim.com", None),
        ("sam@gmx.de", None),
        ("no at sign", None),
    ],
)
def test_a_near_miss_of_a_common_service_is_asked_about(typed: str, meant: str | None) -> None:
    assert addresses.likely_meant(typed) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "postmaster@force.police.uk",
        "noreply@x.com",
        "No-Reply+a@x.com",
        "reply+token@ours.example",
        "a@localhost",
    ],
)
def test_a_box_nobody_reads_is_refused_politely(typed: str) -> None:
    with pytest.raises(BadAddress, match="Use another one"):
        addresses.email(typed, our_domain="ours.example")


def test_an_ordinary_address_gets_its_one_spelling() -> None:
    assert addresses.email(" O'Neil@Domain.com ", our_domain="ours.example") == "o'neil@domain.com"
    assert addresses.mobile("00447723 456789") == "+447723456789"
