"""Accounts on four networks: one spelling each, and their keys in one setting."""

import pytest

from channels import addresses
from channels.addresses import ENTER_AN_ACCOUNT, Network
from channels.errors import BadAddress, NotConfigured
from channels.posts import Queue, comparable, read_accounts, without_names

DID = "did:plc:abcdefghijklmnopqrstuvwx"


@pytest.mark.parametrize(
    ("typed", "spelt"),
    [
        ("SouthmereSNT", "@southmeresnt"),
        (" @SouthmereSNT\u200b", "@southmeresnt"),
        ("@12345678", "@12345678"),
        ("@Southmere@Police.Example", "@southmere@police.example"),
        ("@a.b@police.example", "@a.b@police.example"),
        ("Southmere.Police.example", "southmere.police.example"),
        ("@southmere.example", "southmere.example"),
        (DID, DID),
        ("did:web:police.example", "did:web:police.example"),
        ("104857600000000", "104857600000000"),
    ],
)
def test_an_account_of_any_network_has_one_spelling(typed: str, spelt: str) -> None:
    assert addresses.account(typed) == spelt
    assert addresses.account(spelt) == spelt


@pytest.mark.parametrize(
    "typed",
    ["", "@", "not an account", "sam@resident.example", "@" + "a" * 16, "a..b", "-a.example", "did:plc:short",
     "@a@b", "@@a", "https://x.com/a", "a" * 600, "southmere.1"],
)  # fmt: skip
def test_what_is_no_account_is_refused_with_what_to_enter(typed: str) -> None:
    with pytest.raises(BadAddress, match=ENTER_AN_ACCOUNT[:20]):
        addresses.account(typed)


@pytest.mark.parametrize(
    ("account", "network", "url"),
    [
        ("@southmere", Network.X, "https://x.com/southmere"),
        ("@southmere@police.example", Network.MASTODON, "https://police.example/@southmere"),
        ("southmere.example", Network.BLUESKY, "https://bsky.app/profile/southmere.example"),
        (DID, Network.BLUESKY, f"https://bsky.app/profile/{DID}"),
        ("104857600000000", Network.FACEBOOK, "https://www.facebook.com/104857600000000"),
        ("no-account", None, ""),
    ],
)
def test_an_account_says_where_it_can_be_read(account: str, network: Network | None, url: str) -> None:
    assert (addresses.network_of(account), addresses.page_of(account)) == (network, url)


@pytest.mark.parametrize(
    ("network", "typed", "said"),
    [
        (Network.X, "@southmere@police.example", "X account"),
        (Network.MASTODON, "@southmere", "Mastodon account"),
        (Network.BLUESKY, "@southmere", "Bluesky account"),
        (Network.FACEBOOK, "@southmere", "Facebook page"),
        (Network.FACEBOOK, "123", "Facebook page"),
    ],
)
def test_each_network_takes_its_own_form_alone(network: Network, typed: str, said: str) -> None:
    with pytest.raises(BadAddress, match=said):
        addresses.account(typed, network)


def test_accounts_and_their_keys_are_read_from_one_setting() -> None:
    listed = " @Southmere=abc:d=e,  alder=f:g\n"
    assert read_accounts("social_x", "V", listed, Network.X, parts=2) == {
        "@southmere": "abc:d=e",
        "@alder": "f:g",
    }
    assert read_accounts("c", "V", f"{DID}=a-b-c", Network.BLUESKY) == {DID: "a-b-c"}


@pytest.mark.parametrize(
    "listed", ["@southmere", "@southmere=", "@southmere=only", "@south mere=a:b", "=a:b", "@a=:b"]
)
def test_a_list_that_makes_no_sense_says_which_entry_and_no_secret(listed: str) -> None:
    with pytest.raises(NotConfigured, match=r"V .*entry \d") as error:
        read_accounts("social_x", "V", listed, Network.X, parts=2)
    assert "only" not in str(error.value)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("@southmere hello", "hello"),
        (".@southmere @joe, hello @ann", "hello @ann"),
        ("@southmere@police.example\n\nhello", "hello"),
        ("hello @southmere", "hello @southmere"),
        ("@southmere", ""),
        ("@southmere?", "@southmere?"),
        ("email@home.example is mine", "email@home.example is mine"),
    ],
)
def test_an_answer_is_read_without_the_accounts_it_begins_with(said: str, words: str) -> None:
    assert without_names(said) == (words or said)


def test_words_are_compared_without_links_and_spacing() -> None:
    assert comparable("See  https://link.org.uk/m/1\n\nnow") == comparable("See https://t.co/abcdef now")


def test_few_posts_are_under_way_and_each_other_has_a_turn_of_its_own() -> None:
    queue = Queue(lambda: 0.0)
    with queue.turn(), queue.turn():
        assert queue.is_full
        turns = [queue.a_later_turn() for _ in range(1000)]
    assert not queue.is_full
    assert turns[:3] == [0.25, 0.5, 0.75]
    assert max(turns) == 60
