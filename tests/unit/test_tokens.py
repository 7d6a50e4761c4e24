"""Signed names: they survive what mail does to them, and nothing else."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.delivery import tokens
from subscribers.signing import CannotOpen, Keys, Use

KEYS = Keys(["newest secret of the ring", "older secret of the ring"])
OLDER = Keys(["older secret of the ring"])
OTHER = Keys(["a secret of somebody else"])
ids = st.integers(1, 2**63 - 1)


@given(ids)
def test_a_reply_address_fits_its_octets_and_survives_case_folding(delivery: int) -> None:
    address = tokens.reply_address(KEYS, delivery, "link.example")
    assert len(address.partition("@")[0]) <= 64
    assert tokens.read_reply_address(KEYS, address.upper()) == delivery
    assert tokens.read_reply_address(KEYS, f"<{address}>") == delivery


@given(ids, st.data())
def test_one_changed_character_makes_a_token_worthless(delivery: int, data: st.DataObject) -> None:
    token = tokens.delivery_token(KEYS, delivery)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from([c for c in "abcdefghijklmnopqrstuvwxyz234567" if c != token[at]]))
    assert tokens.read_delivery_token(KEYS, token[:at] + other + token[at + 1 :]) is None


@given(st.text(max_size=300))
def test_what_was_never_signed_is_read_as_nothing(text: str) -> None:
    assert KEYS.read_token(Use.MANAGE, text) is None
    assert tokens.read_reply_address(KEYS, text) is None


def test_a_token_is_good_for_one_use_alone() -> None:
    reply = tokens.reply_address(KEYS, 7, "link.example")
    assert tokens.read_bounce_address(KEYS, reply.replace("reply+", "bounce+")) is None
    link = tokens.link_token(KEYS, Use.MANAGE, UUID(int=1), 0)
    assert tokens.read_link_token(KEYS, Use.UNSUBSCRIBE, link) is None
    assert tokens.read_link_token(KEYS, Use.MANAGE, link) == (UUID(int=1), 0)


def test_tokens_of_an_older_secret_are_read_while_it_is_in_the_ring() -> None:
    token = tokens.attempt_token(OLDER, 5, 2)
    assert tokens.read_attempt_token(KEYS, token) == (5, 2)
    assert tokens.read_attempt_token(OTHER, token) is None


@given(st.text())
def test_a_sealed_value_opens_only_in_its_own_place_and_row(text: str) -> None:
    row = UUID(int=9)
    sealed = OLDER.seal("subscribers.name", row, text)
    assert KEYS.open_text("subscribers.name", row, sealed) == text
    for keys, place, where in (
        (KEYS, "subscribers.postcode", row),
        (KEYS, "subscribers.name", UUID(int=8)),
        (OTHER, "subscribers.name", row),
    ):
        with pytest.raises(CannotOpen):
            keys.open(place, where, sealed)


def test_the_same_value_is_never_sealed_alike() -> None:
    assert KEYS.seal("a.b", 1, "x") != KEYS.seal("a.b", 1, "x")


def test_rotation_is_told_by_the_newest_secret() -> None:
    assert KEYS.is_newest(KEYS.seal("a.b", 1, "x"))
    assert not KEYS.is_newest(OLDER.seal("a.b", 1, "x"))
