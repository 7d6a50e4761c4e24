"""Signing and checking DKIM: each against the other, and both against a library that is neither."""

import base64
from collections.abc import Callable
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.base import Content, Medium, hole
from channels.dkim_checking import NoKey, fault_of, read_key, signatures_of
from channels.dkim_signing import PrivateKey, Signer
from channels.email_smtp import EmailSmtp
from channels.errors import NotConfigured
from channels.mime import compile_mail, envelope
from tests import vectors

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SIGNERS = {
    "rsa": Signer("link.example", "s1", RSA),
    "ed25519": Signer("link.example", "s1", ed25519.Ed25519PrivateKey.generate()),
}
CONTENT = Content(
    medium=Medium.EMAIL,
    language="cy",
    subject=f"Newyddion i {hole('v')}",
    text=f"Annwyl  {hole('v')}\n\n\t tab  and   spaces \n.dot\n\n\n",
    html=f"<p>{hole('v')}</p>\n\n",
    sender_name="Tîm Y Coed",
    headers=(
        ("List-Id", "Tîm Y Coed <y-coed.link.example>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ),
)


def mail(value: str = "Siân") -> bytes:
    own = envelope(
        sender="notices@link.example",
        to="sian@resident.example",
        message_id="<d.x@link.example>",
        date="Date: Wed, 04 Mar 2026 05:06:07 +0000\r\n",
        reply_to="reply+x@link.example",
        headers={"List-Unsubscribe": "<https://link.example/unsubscribe/" + "x" * 60 + ">"},
    )
    return compile_mail(CONTENT).fill({"v": value, **own})


def faults(raw: bytes, record: str) -> list[str]:
    return [fault_of(raw, signature, record) for signature in signatures_of(raw)]


def pem(key: PrivateKey | dsa.DSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("kind", SIGNERS)
@settings(max_examples=40)
@given(value=st.text(st.characters(codec="utf-8"), max_size=200))
def test_what_we_sign_holds_and_no_word_of_it_can_be_changed(kind: str, value: str) -> None:
    signer = SIGNERS[kind]
    signed = signer.signed(mail(value))
    assert signed.endswith(mail(value))
    assert faults(signed, signer.record) == [""]
    assert all(len(line) <= 78 for line in signed.removesuffix(mail(value)).split(b"\r\n"))


@pytest.mark.parametrize("value", ["Siân", "", " a  b ", "x" * 300, "\t"])
def test_another_library_reads_our_signature(value: str) -> None:
    signer = SIGNERS["rsa"]

    def key_in_dns(name: bytes, timeout: int = 5) -> bytes:
        assert name == b"s1._domainkey.link.example."
        return signer.record.encode()

    signed = signer.signed(mail(value))
    assert dkim.verify(signed, dnsfunc=key_in_dns)
    assert not dkim.verify(signed.replace(b"Subject:", b"Subject: Re:"), dnsfunc=key_in_dns)


def test_we_read_the_signature_of_another_library() -> None:
    for forms in ((b"simple", b"simple"), (b"relaxed", b"relaxed"), (b"relaxed", b"simple")):
        line = dkim.sign(mail(), b"s1", b"link.example", pem(RSA), canonicalize=forms)
        assert faults(line + mail(), SIGNERS["rsa"].record) == [""]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a word of the text": lambda raw: raw.replace(b"spaces", b"places"),
    "the subject": lambda raw: raw.replace(b"Subject:", b"Subject: Re:"),
    "where one stops": lambda raw: raw.replace(b"/unsubscribe/x", b"/unsubscribe/y"),
    "that it stops at once": lambda raw: raw.replace(b"=One-Click", b"=Later"),
    "whom it is from": lambda raw: raw.replace(b"<notices@", b"<bailiffs@"),
    "a second From": lambda raw: b"From: evil@x.example\r\n" + raw,
    "a copy to others": lambda raw: b"Cc: evil@x.example\r\n" + raw,
    "where replies go": lambda raw: raw.replace(b"Reply-To: reply", b"Reply-To: other"),
    "what the text is": lambda raw: raw.replace(b"multipart/alternative", b"multipart/mixed"),
}


@pytest.mark.parametrize("kind", SIGNERS)
@pytest.mark.parametrize("what", CHANGES)
def test_a_change_on_the_way_is_seen(kind: str, what: str) -> None:
    signed = SIGNERS[kind].signed(mail())
    changed = CHANGES[what](signed)
    assert changed != signed
    (fault,) = faults(changed, SIGNERS[kind].record)
    assert "changed" in fault


def test_what_relays_do_to_mail_leaves_the_signature_whole() -> None:
    signer = SIGNERS["rsa"]
    signed = signer.signed(mail())
    passed_on = b"Received: from a by b; today\r\n" + signed.replace(b"Subject:", b"SUBJECT:  ") + b"\r\n\r\n"
    assert faults(passed_on, signer.record) == [""]
    assert faults(signed.replace(b"\r\n", b"\n"), signer.record) == [""]


def test_a_key_that_is_another_gone_or_no_key_is_named() -> None:
    signed = SIGNERS["rsa"].signed(mail())
    other = Signer("link.example", "s1", rsa.generate_private_key(public_exponent=65537, key_size=2048))
    for record, words in (
        (other.record, "another one"),
        (SIGNERS["ed25519"].record, "another one"),
        ("v=DKIM1; p=", "taken back"),
        ("v=DKIM1", "no key"),
        ("v=DKIM1; p=!!", "cannot be read"),
        ("v=DKIM2; p=x", "another version"),
    ):
        (fault,) = faults(signed, record)
        assert words in fault
    with pytest.raises(NoKey):
        read_key("")


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        "NOTIFIER_SMTP_URL": "smtp://127.0.0.1:1",
        "NOTIFIER_MAIL_DOMAIN": "link.example",
        "NOTIFIER_DKIM_SELECTOR": "s1",
        "NOTIFIER_DKIM_KEY_FILE": str(folder / "key.pem"),
    } | more


def test_the_key_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pem(RSA))
    assert Signer.of_file("link.example", "s1", str(tmp_path / "key.pem")).record == SIGNERS["rsa"].record
    EmailSmtp.from_env(environment(tmp_path))


SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is what is refused
OTHER = dsa.generate_private_key(1024)  # noqa: S505


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (None, "cannot be read"),
        (b"no key", "no private key"),
        (pem(SHORT), "1024 bits"),
        (pem(OTHER), "neither RSA nor Ed25519"),
        (base64.b64encode(b"x" * 500), "no private key"),
    ],
)
def test_a_key_that_cannot_sign_is_named_before_anything_is_sent(
    tmp_path: Path, written: bytes | None, why: str
) -> None:
    if written is not None:
        (tmp_path / "key.pem").write_bytes(written)
    with pytest.raises(NotConfigured, match=f"NOTIFIER_DKIM_KEY_FILE .*{why}"):
        EmailSmtp.from_env(environment(tmp_path))


@pytest.mark.parametrize("missing", ["NOTIFIER_DKIM_SELECTOR", "NOTIFIER_DKIM_KEY_FILE"])
def test_half_of_what_signing_needs_is_named(tmp_path: Path, missing: str) -> None:
    (tmp_path / "key.pem").write_bytes(pem(RSA))
    with pytest.raises(NotConfigured, match=missing):
        EmailSmtp.from_env(environment(tmp_path, **{missing: ""}))


def test_a_selector_that_is_no_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(pem(RSA))
    with pytest.raises(NotConfigured):
        EmailSmtp.from_env(environment(tmp_path, NOTIFIER_DKIM_SELECTOR="a; d=evil.example"))


def test_published_mails_are_judged_as_the_reference_judges_them() -> None:
    score = vectors.Score()
    score.add(faults(SIGNERS["rsa"].signed(mail()), SIGNERS["rsa"].record) == [""], "ours")
    mails = {path.name: path for path in vectors.paths("dkim/*.eml")}
    for case in vectors.cases("dkim/dkim.jsonl"):
        raw, dns = mails[Path(case["path"]).name].read_bytes(), case["dns"]
        signatures = signatures_of(raw)
        holds = [not fault_of(raw, each, dns.get(f"{each.record_name}.", "")) for each in signatures]
        is_right = (holds or [False]) == case["expected"]["verifies"]
        score.add(is_right and len(signatures) == case["expected"]["signatures"], case["id"])
    score.check("DKIM")
