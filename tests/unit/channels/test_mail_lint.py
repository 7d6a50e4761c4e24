"""The lint of one mail: a good one passes, and each thing that receivers refuse is found in one that has it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from channels.base import Content, Medium
from channels.dkim_signing import Signer
from channels.mail_lint import Rules, gravest, is_aligned, lint
from channels.mail_records import Level
from channels.mime import compile_mail, date_line, envelope

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SIGNER = Signer("link.example", "s1", ed25519.Ed25519PrivateKey.generate())
RULES = Rules(
    domain="link.example",
    return_path="bounce+x@link.example",
    own_hosts={"link.example"},
    now=NOW,
    keys={"s1._domainkey.link.example": SIGNER.record},
    shorteners={"bit.ly"},
)
HTML = '<p>Hello <a href="https://link.example/a?b=1&amp;c=2">our page</a> <a href="tel:999">999</a></p>'


def mail(
    *, html: str = HTML, list_id: str = "SNT <snt.link.example>", link: str = "https://link.example/u"
) -> bytes:
    content = Content(
        medium=Medium.EMAIL,
        language="en",
        subject="News",
        text="Hello",
        html=html,
        sender_name="SNT",
        headers=(("List-Id", list_id), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")),
    )
    own = envelope(
        sender="notices@link.example",
        to="sam@resident.example",
        message_id="<d.x@link.example>",
        date=date_line(NOW),
        headers={"List-Unsubscribe": f"<{link}>"},
    )
    return compile_mail(content).fill(own)


def wrong(raw: bytes, rules: Rules = RULES) -> dict[str, Level]:
    """By check, the gravest level that is not well."""
    found = sorted(lint(raw, rules), key=lambda each: list(Level).index(each.level))
    return {each.check: each.level for each in found if each.level is not Level.OK}


def test_a_mail_as_we_make_it_keeps_every_rule() -> None:
    found = lint(SIGNER.signed(mail()), RULES)
    assert gravest(found) is Level.OK
    assert {"From", "return path", "List-Id", "one-click", "parts", "links", "lines", "signature"} <= {
        each.check for each in found
    }


@pytest.mark.parametrize(
    ("raw", "check"),
    [
        (mail().replace(b"From: SNT", b"From: a@link.example, SNT"), "From"),
        (mail().replace(b"<notices@link.example>", b"<notices@other.example>"), "From"),
        (mail().replace(b"From: SNT", b"From: a@link.example\r\nFrom: SNT"), "headers"),
        (mail().replace(b"Subject: News\r\n", b""), "headers"),
        (mail().replace(b"<d.x@link.example>", b"d.x"), "Message-ID"),
        (mail().replace(b"04 Mar 2026", b"04 Mar 2020"), "Date"),
        (mail().replace(b"Date: Wed, 04", b"Date: someday"), "Date"),
        (mail().replace(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", b""), "one-click"),
        (mail(link="http://link.example/u"), "one-click"),
        (mail(link="mailto:stop@link.example"), "one-click"),
        (mail(list_id="SNT <snt>"), "List-Id"),
        (mail(html=""), "parts"),
        (mail(html=f"<p>{'word ' * 25_000}</p>"), "size"),
        (mail(html='<a href="https://bit.ly/x">x</a>'), "links"),
        (mail(html='<a href="http://link.example/x">x</a>'), "links"),
        (mail().replace(b"Subject: News", b"Subject: News\r\nX-A: " + b"a" * 1000), "lines"),
        (mail().replace(b"Hello\r\n", b"Hello\n"), "lines"),
        (mail(), "signature"),
        (SIGNER.signed(mail()).replace(b"Subject: News", b"Subject: Newt"), "signature"),
        (Signer("other.example", "s1", ed25519.Ed25519PrivateKey.generate()).signed(mail()), "signature"),
    ],
)
def test_what_receivers_refuse_is_found(raw: bytes, check: str) -> None:
    assert wrong(raw)[check] is Level.BAD


def test_a_link_to_others_is_worth_a_look_and_a_foreign_return_path_too() -> None:
    signed = SIGNER.signed(mail(html='<a href="https://www.police.uk/">police.uk</a>'))
    assert wrong(signed) == {"links": Level.WARN}
    assert wrong(SIGNER.signed(mail()), replace(RULES, return_path="x@bounces.relay.example")) == {
        "return path": Level.WARN
    }


def test_a_signature_must_cover_how_one_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels.dkim_signing.COVERED", ("from", "to", "subject", "date", "message-id", "mime-version", "content-type"))  # fmt: skip
    from channels import dkim_signing

    dkim_signing._covered.cache_clear()
    (finding,) = [each for each in lint(SIGNER.signed(mail()), RULES) if each.check == "signature"]
    dkim_signing._covered.cache_clear()
    assert finding.level is Level.BAD
    assert "list-unsubscribe, list-unsubscribe-post" in finding.sentence


def test_a_relay_that_signs_is_believed_when_its_key_is_named() -> None:
    assert wrong(mail(), replace(RULES, is_signed_later=True)) == {}


@pytest.mark.parametrize(
    ("one", "other", "aligned"),
    [
        ("link.example", "link.example", True),
        ("news.link.example", "link.example", True),
        ("link.example", "news.link.example", True),
        ("evil-link.example", "link.example", False),
        ("example", "link.example", False),
        ("a.example", "b.example", False),
    ],
)
def test_domains_are_aligned_by_their_labels(one: str, other: str, aligned: bool) -> None:
    assert is_aligned(one, other) is aligned
