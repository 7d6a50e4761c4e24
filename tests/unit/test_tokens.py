"""Signed names: they survive what mail does to them, and nothing else."""

from base64 import b32encode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.delivery import tokens
from subscribers import signing
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
    link = tokens.manage_url(KEYS, "https://link.example", UUID(int=1), 0).rpartition("/")[2]
    assert tokens.read_link_token(KEYS, Use.UNSUBSCRIBE, link) is None
    assert tokens.read_link_token(KEYS, Use.MANAGE, link) == (UUID(int=1), 0)


@given(st.lists(ids, max_size=60), st.lists(st.tuples(st.uuids(), st.integers(0, 2**31)), max_size=60))
def test_tokens_made_together_are_those_made_one_by_one(
    deliveries: list[int], owners: list[tuple[UUID, int]]
) -> None:
    names = tokens.names_of(KEYS, deliveries, "link.example")
    assert [each.delivery for each in names] == [tokens.delivery_token(KEYS, id_) for id_ in deliveries]
    assert [tokens.read_reply_address(KEYS, each.reply) for each in names] == deliveries
    assert [tokens.read_bounce_address(KEYS, each.bounce) for each in names] == deliveries
    links = tokens.links_of(KEYS, "https://link.example", owners)
    for name, use in ("manage_url", Use.MANAGE), ("unsubscribe_url", Use.UNSUBSCRIBE):
        ends = [each[name].rpartition("/")[2] for each in links]
        assert [tokens.read_link_token(KEYS, use, end) for end in ends] == owners


def test_no_part_of_a_common_mac_is_that_of_another_use() -> None:
    (names,) = tokens.names_of(KEYS, [7], "link.example")
    reply = names.reply.partition("@")[0].removeprefix("reply+")
    assert tokens.read_delivery_token(KEYS, names.delivery) == 7
    assert tokens.read_delivery_token(KEYS, reply) is None
    assert len({names.delivery[16:], reply[16:], names.bounce[23:39]}) == 3


@given(st.binary(max_size=2000))
def test_words_are_base32_as_the_standard_has_it(octets: bytes) -> None:
    assert signing._base32(octets) == b32encode(octets).decode().rstrip("=").lower()


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
