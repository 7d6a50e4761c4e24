"""Email: which settings are read, and which are named as wrong."""

import pytest

from channels.email_smtp import EmailSmtp
from channels.errors import NotConfigured
from channels.smtp_pool import Server, StartTls


@pytest.mark.parametrize("given", ["0", "257", "-1", "many", "1.5", "１６"])
def test_a_number_of_connections_that_makes_no_sense_is_named(given: str) -> None:
    with pytest.raises(NotConfigured, match="NOTIFIER_SMTP_CONNECTIONS"):
        EmailSmtp.from_env(
            {
                "NOTIFIER_SMTP_URL": "smtp://mx.example",
                "NOTIFIER_MAIL_DOMAIN": "link.example",
                "NOTIFIER_SMTP_CONNECTIONS": given,
            }
        )


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mx.example", Server(host="mx.example", port=25)),
        (
            "smtps://u:p%40ss@mx.example",
            Server(host="mx.example", port=465, tls=True, username="u", password="p@ss"),
        ),
        ("smtp://u:p@mx.example", Server(host="mx.example", port=587, username="u", password="p")),
        ("smtp://localhost:1025", Server(host="localhost", port=1025, starttls=StartTls.NEVER)),
        ("smtp://mx.example?starttls=always", Server(host="mx.example", port=25, starttls=StartTls.ALWAYS)),
    ],
)
def test_a_servers_address_is_read(url: str, server: Server) -> None:
    assert Server.of(url) == server
    assert "p@ss" not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "mx.example",
        "http://mx.example",
        "smtp://",
        "smtp://mx.example?starttls=maybe",
        "smtp://mx.example?x=y",
        "smtp://h:port",
    ],
)
def test_a_servers_address_that_makes_no_sense_is_named(url: str) -> None:
    with pytest.raises(NotConfigured, match="NOTIFIER_SMTP_URL"):
        EmailSmtp.from_env({"NOTIFIER_SMTP_URL": url, "NOTIFIER_MAIL_DOMAIN": "link.example"})


@pytest.mark.parametrize("given", ["notices", "@link.example", "notices@", "The team <notices@link.example>", "a@b\r\nBcc: c@d.example", "é@b.example"])  # fmt: skip
def test_a_sender_that_is_no_address_is_named_before_anything_is_sent(given: str) -> None:
    with pytest.raises(NotConfigured, match="NOTIFIER_MAIL_FROM"):
        EmailSmtp.from_env(
            {
                "NOTIFIER_SMTP_URL": "smtp://mx.example",
                "NOTIFIER_MAIL_DOMAIN": "link.example",
                "NOTIFIER_MAIL_FROM": given,
            }
        )
