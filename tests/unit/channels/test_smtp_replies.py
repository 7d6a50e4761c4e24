"""What a server's words mean: a table of outcomes, and whose trouble each passing one is."""

import socket
import ssl

import aiosmtplib
import pytest

from channels.base import Accepted, Failed, Refusal, Refused, Throttled, Unknown, Where
from channels.smtp_pipeline import Broken, Ended, Reply, Stage
from channels.smtp_replies import NoSignIn, NoTls, connection_failed, outcome

SENDER, RECIPIENT, TEXT = Stage


@pytest.mark.parametrize(
    ("stage", "words", "kind", "where"),
    [
        (SENDER, "421 4.3.2 closing", Throttled, Where.PROVIDER),
        (SENDER, "450 4.7.1 slow down", Throttled, Where.PROVIDER),
        (SENDER, "451 4.3.0 try later", Failed, Where.PROVIDER),
        (SENDER, "452 4.3.1 disk full", Failed, Where.PROVIDER),
        (RECIPIENT, "421 4.3.2 closing", Throttled, Where.DOMAIN),
        (RECIPIENT, "421 closing", Throttled, Where.DOMAIN),
        (RECIPIENT, "450 4.7.1 too much from you", Throttled, Where.DOMAIN),
        (RECIPIENT, "450 4.7.1 greylisted, come back", Throttled, Where.RECIPIENT),
        (RECIPIENT, "451 Grey-listed for 300 s", Failed, Where.RECIPIENT),
        (RECIPIENT, "450 4.2.0 busy", Failed, Where.RECIPIENT),
        (RECIPIENT, "450 mailbox busy", Failed, Where.RECIPIENT),
        (RECIPIENT, "452 4.2.2 mailbox full", Failed, Where.RECIPIENT),
        (RECIPIENT, "450 4.1.1 not verified yet", Failed, Where.RECIPIENT),
        (RECIPIENT, "450 4.1.2 domain not found now", Failed, Where.DOMAIN),
        (RECIPIENT, "450 4.1.8 sender's domain not found", Failed, Where.PROVIDER),
        (RECIPIENT, "451 4.3.0 try later", Failed, Where.DOMAIN),
        (RECIPIENT, "451 4.4.1 no answer from host", Failed, Where.DOMAIN),
        (RECIPIENT, "451 try later", Failed, Where.DOMAIN),
        (RECIPIENT, "452 try later", Failed, Where.DOMAIN),
        (RECIPIENT, "454 TLS not available now", Failed, Where.PROVIDER),
        (TEXT, "421 4.7.0 slow down", Throttled, Where.DOMAIN),
        (TEXT, "451 4.7.1 later", Throttled, Where.DOMAIN),
        (TEXT, "452 4.2.2 mailbox full", Failed, Where.RECIPIENT),
        (TEXT, "452 4.3.1 disk full", Failed, Where.DOMAIN),
        (TEXT, "451 4.4.2 link lost", Failed, Where.DOMAIN),
        (RECIPIENT, "552 5.2.2 mailbox full", Failed, Where.RECIPIENT),
        (RECIPIENT, "552 over quota", Failed, Where.RECIPIENT),
        (TEXT, "552 5.2.2 mailbox full", Failed, Where.RECIPIENT),
        (RECIPIENT, "550 5.1.1 that mailbox is full", Failed, Where.RECIPIENT),
        (RECIPIENT, "550 internal server error", Failed, Where.DOMAIN),
    ],
)
def test_a_passing_refusal_says_whose_trouble_it_is(
    stage: Stage, words: str, kind: type, where: Where
) -> None:
    found = outcome(said(stage, words))
    assert type(found) is kind
    assert isinstance(found, Failed | Throttled)
    assert found.where is where
    assert found.code.split()[0] == words[:3]


@pytest.mark.parametrize(
    ("stage", "words", "why"),
    [
        (SENDER, "550 no", Refusal.NOT_ALLOWED),
        (SENDER, "552 too large", Refusal.CONTENT),
        (RECIPIENT, "550 5.1.1 no such user", Refusal.BAD_ADDRESS),
        (RECIPIENT, "550 recipient rejected", Refusal.BAD_ADDRESS),
        (RECIPIENT, "550 your host [192.0.2.7] is blacklisted", Refusal.CONTENT),
        (RECIPIENT, "550 5.1.1 undeliverable, as the other host said: spam", Refusal.CONTENT),
        (RECIPIENT, "530 5.7.0 sign in first", Refusal.NOT_ALLOWED),
        (TEXT, "550 5.1.1 gone", Refusal.BAD_ADDRESS),
        (TEXT, "552 too large", Refusal.CONTENT),
        (TEXT, "554 5.7.1 spam", Refusal.CONTENT),
    ],
)
def test_a_lasting_refusal_says_whose_matter_it_is(stage: Stage, words: str, why: Refusal) -> None:
    found = outcome(said(stage, words))
    assert isinstance(found, Refused)
    assert found.why is why


@pytest.mark.parametrize(
    ("ended", "kind"),
    [
        (Reply(TEXT, 250, "ok"), Accepted),
        (Reply(TEXT, 251, "will forward"), Accepted),
        (Broken(handed_over=False), Failed),
        (Broken(handed_over=False, is_late=True), Failed),
        (Broken(handed_over=True), Unknown),
        (Broken(handed_over=True, is_late=True), Unknown),
    ],
)
def test_only_what_was_handed_over_can_be_in_doubt(ended: Ended, kind: type) -> None:
    assert type(outcome(ended)) is kind


def test_the_servers_name_for_a_mail_is_kept() -> None:
    assert outcome(Reply(TEXT, 250, "2.0.0 Ok: queued as 4Qxy7")) == Accepted(provider_id="4Qxy7")


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (NoTls(), Refused, "tls"),
        (NoSignIn(), Refused, "auth"),
        (aiosmtplib.SMTPAuthenticationError(535, "5.7.8 no"), Refused, "535"),
        (aiosmtplib.SMTPAuthenticationError(454, "4.7.0 later"), Failed, "454"),
        (aiosmtplib.SMTPConnectResponseError(421, "4.3.2 too busy"), Throttled, "421 4.3.2"),
        (aiosmtplib.SMTPConnectResponseError(554, "5.3.2 no service"), Failed, "554 5.3.2"),
        (aiosmtplib.SMTPResponseException(-1, "Response too long"), Failed, "greeting"),
        (aiosmtplib.SMTPConnectTimeoutError("late"), Failed, "timeout"),
        (TimeoutError(), Failed, "timeout"),
        (ConnectionRefusedError(), Failed, "connection"),
        (aiosmtplib.SMTPServerDisconnected("gone"), Failed, "connection"),
        (socket.gaierror(-2, "unknown"), Failed, "dns"),
        (ssl.SSLError("handshake"), Failed, "tls"),
        (ssl.SSLCertVerificationError("expired"), Refused, "tls"),
    ],
)
def test_a_connection_that_never_came_about_is_the_servers_trouble(
    error: Exception, kind: type, code: str
) -> None:
    found = connection_failed(error)
    assert type(found) is kind
    match found:
        case Failed() | Throttled():
            assert (found.where, found.code) == (Where.PROVIDER, code)
        case Refused():
            assert (found.why, found.code) == (Refusal.NOT_ALLOWED, code)


def test_a_servers_words_are_kept_short_on_one_line_and_without_an_address() -> None:
    found = outcome(Reply(RECIPIENT, 550, "5.1.1 <sam@resident.example>:\n no such user " + "x" * 400))
    assert isinstance(found, Refused)
    assert "@" not in found.reason
    assert "\n" not in found.reason
    assert len(found.reason) < 180


def said(stage: Stage, words: str) -> Reply:
    return Reply(stage, int(words[:3]), words[4:])
