"""Why a mail was not delivered, from a mail system's own words."""

import time

import pytest

from channels.bounce_reasons import Failure, reason_of

REASONS = [
    # the Status field, the words, and what they mean
    ("5.1.1", "smtp; 550 5.1.1 <sam@resident.example>... User unknown", "5.1.1", Failure.GONE, True),
    ("5.0.0", "550 no such mailbox here", "5.1.1", Failure.GONE, True),
    ("", "550 Requested action not taken: mailbox unavailable", "5.1.1", Failure.GONE, True),
    ("", "Host or domain name not found. Name service error", "5.1.1", Failure.GONE, True),
    ("", "Der Empf\u00e4nger ist unbekannt", "5.1.1", Failure.GONE, True),
    (
        "",
        "\u30e1\u30fc\u30eb\u30a2\u30c9\u30ec\u30b9\u304c\u898b\u3064\u304b\u308a\u307e\u305b\u3093",
        "5.1.1",
        Failure.GONE,
        True,
    ),
    ("5.7.1", "550 5.7.1 user unknown", "5.7.1", Failure.GONE, True),
    ("4.1.1", "450 4.1.1 user unknown, try later", "4.1.1", Failure.GONE, False),
    ("5.2.2", "552 5.2.2 over quota", "5.2.2", Failure.FULL, True),
    ("", "452 the mailbox of this user is full", "4.2.2", Failure.FULL, False),
    ("", "550 account has been disabled", "5.2.1", Failure.DISABLED, True),
    (
        "5.1.1",
        "550 blocked using a blocklist, see https://unknown.example/user",
        "5.1.1",
        Failure.REFUSED,
        True,
    ),
    ("", "554 Message rejected as spam by content filtering", "5.7.1", Failure.REFUSED, True),
    (
        "5.7.26",
        "unauthenticated mail is not accepted due to the domain's DMARC policy",
        "5.7.26",
        Failure.REFUSED,
        True,
    ),
    ("", "553 5.1.8 sender address rejected: domain not found", "5.1.8", Failure.REFUSED, True),
    ("", "552 message too large", "5.7.1", Failure.REFUSED, True),
    ("4.4.1", "connection timed out", "4.4.1", Failure.LATER, False),
    ("", "421 try again later", "4.4.7", Failure.LATER, False),
    ("", "550 user unknown (in reply to end of DATA command)", "5.2.0", Failure.OTHER, True),
    ("5.3.0", "", "5.3.0", Failure.OTHER, True),
    # our own name, in the words for a recipient's
    ("", "550 your domain may not exist", "5.7.1", Failure.REFUSED, True),
    ("", "550 reverse DNS hostname not found", "5.7.1", Failure.REFUSED, True),
    ("", "554 Helo command rejected: Host not found", "5.7.1", Failure.REFUSED, True),
    ("", "550 we do not accept mail from dynamic addresses", "5.7.1", Failure.REFUSED, True),
    ("", "550 you are not a member of this list", "5.7.1", Failure.REFUSED, True),
    ("", "550 return path address does not exist", "5.7.1", Failure.REFUSED, True),
    (
        "",
        "550 User unknown; returning to sender. Is your server blocked? Ask us.",
        "5.1.1",
        Failure.GONE,
        True,
    ),
    # by when in the talk it was told
    (
        "",
        "553 mx.link.example does not exist (in reply to MAIL FROM command)",
        "5.7.1",
        Failure.REFUSED,
        True,
    ),
    ("", "mx refused to talk to me: 554 no such host", "5.7.1", Failure.REFUSED, True),
    # a comment on the status says less than the server's own words
    ("5.1.1 (bad destination mailbox)", "550 max message size exceeded", "5.1.1", Failure.REFUSED, True),
    ("5.4.4", "malformed or unexpected name server reply", "5.4.4", Failure.LATER, True),
    ("5.1.0", "550 5.1.0 Authentication required", "5.1.0", Failure.REFUSED, True),
    ("", "554 No SMTP service here", "5.7.1", Failure.REFUSED, True),
    ("5.7.1", "", "5.7.1", Failure.REFUSED, True),
    ("", "554 No SMTP service, your address 192.0.2.7 is black listed", "5.7.1", Failure.REFUSED, True),
    ("", "550 See https://lists.spamhaus.org/ip/192.0.2.7", "5.7.1", Failure.REFUSED, True),
    ("5.3.0", "553 5.3.0 Mail from 192.0.2.7 rejected", "5.3.0", Failure.REFUSED, True),
    ("", "550 failure for one recipient (sam@resident.example:blocked)", "5.7.1", Failure.REFUSED, True),
    ("", "550 Too many invalid recipients", "5.7.1", Failure.REFUSED, True),
    ("", "550 this mailbox is blocked by its owner", "5.7.1", Failure.REFUSED, True),
    ("", "550 this mailbox is temporarily locked", "4.4.7", Failure.LATER, True),
    ("", "550 this mailbox is disabled temporarily", "4.4.7", Failure.LATER, True),
    ("", "550 we do not accept mail from dynamic IPs", "5.7.1", Failure.REFUSED, True),
    ("", "550 there is no one at this address", "5.1.1", Failure.GONE, True),
    ("5.3.0", "553 user (sam@resident.example) unknown", "5.3.0", Failure.GONE, True),
    ("", "553 the address <sam@resident.example> no longer exists", "5.1.1", Failure.GONE, True),
    ("", "550 unauthorized relay", "5.7.1", Failure.REFUSED, True),
    ("", "550 not local host link.example, not a gateway", "5.7.1", Failure.REFUSED, True),
    ("", "554 connection refused. MAIL FROM mismatches the client", "5.7.1", Failure.REFUSED, True),
    ("", "552 MIME structure not valid", "5.7.1", Failure.REFUSED, True),
    ("", "550 the user refused to receive this", "5.7.1", Failure.REFUSED, True),
    ("5.1.1", "550 5.1.1 mx.mimecast.example", "5.1.1", Failure.GONE, True),
    ("", "550 internal server error", "4.4.7", Failure.LATER, True),
    ("", "something else", "5.0.0", Failure.OTHER, True),
]


@pytest.mark.parametrize(("status", "words", "read", "failure", "permanent"), REASONS)
def test_a_reason_is_read_from_status_and_words(
    status: str, words: str, read: str, failure: Failure, *, permanent: bool
) -> None:
    found = reason_of(status, words)
    assert (found.status, found.failure, found.permanent) == (read, failure, permanent)


def test_an_address_or_a_link_is_no_reason() -> None:
    assert (
        reason_of("", "550 <spam@policy.example> see https://blocked.example/virus").failure is Failure.OTHER
    )


def test_what_is_only_delayed_is_not_permanent() -> None:
    assert not reason_of("5.4.7", "expired", delayed=True).permanent


@pytest.mark.parametrize("word", ["mailbox ", "user ", "over ", "exceed ", "5.1.", "<", "a@b ", "550 "])
def test_endless_words_are_read_in_a_moment(word: str) -> None:
    began = time.process_time()
    reason_of("", word * (1_000_000 // len(word)))
    assert time.process_time() - began < 0.05
