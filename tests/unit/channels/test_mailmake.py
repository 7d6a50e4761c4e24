"""Mails made again from fields, and forms taken apart: nothing lost, nothing a writer chooses becomes a header."""

import time
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from channels.errors import BadHook
from channels.hook_forms import fields_of
from channels.mailmake import Attached, made_again, traced
from channels.mailread import read_mail
from channels.reports import Report


def again(*headers: tuple[str, str], text: str = "hello", html: str = "", attached: list[Attached] | None = None) -> EmailMessage:  # fmt: skip
    raw = made_again(headers, text=text, html=html, attached=attached or [])
    assert raw == made_again(headers, text=text, html=html, attached=attached or [])
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    return message_from_bytes(raw, policy=policy.default)


def test_words_in_both_forms_and_what_came_with_them_are_whole() -> None:
    picture = Attached(name="llun ŵ.png", kind="image/png", data=b"\x89PNG\r\n\0.\r\n", content_id="<one>")
    letter = Attached(name="../../etc/passwd", kind="no kind", data=b"")
    mail = again(
        ("Subject", "Hi"), text="Diolch 😀\r\n.\r\n--x", html="<p>Diolch</p>", attached=[picture, letter]
    )
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n") == "Diolch 😀\n.\n--x"
    assert html.get_content() == "<p>Diolch</p>"
    one, two = mail.iter_attachments()
    assert (one.get_filename(), one.get_content_type(), one.get_content()) == (
        "llun ŵ.png",
        "image/png",
        picture.data,
    )
    assert one["Content-ID"] == "<one>"
    assert (two.get_filename(), two.get_content_type()) == ("passwd", "application/octet-stream")


def test_headers_keep_their_order_their_letters_and_their_number() -> None:
    people = '"Siân, Ward" <sian@resident.example>, Ŵyn <wyn@resident.example>'
    headers = [
        ("Received", "by one; a date"),
        ("Received", "by two; a date"),
        ("From", people),
        ("Subject", "Diolch yn fawr iawn 😀 " * 20),
        ("References", " ".join(f"<{n}@resident.example>" for n in range(60))),
        ("Message-ID", "<m@resident.example>"),
    ]
    mail = again(*headers)
    assert mail.get_all("Received") == ["by one; a date", "by two; a date"]
    found = read_mail(bytes(mail))
    assert found.senders == ("sian@resident.example", "wyn@resident.example")
    assert found.sender_name == "Siân, Ward"
    assert found.subject == ("Diolch yn fawr iawn 😀 " * 20).strip()
    assert len(found.references) == 60
    assert found.message_id == "<m@resident.example>"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Subject", "x\r\nBcc: victim@resident.example"),
        ("Subject", "x\nBcc: victim@resident.example"),
        ("Subject", "x\0\x0b\x85Bcc: victim@resident.example"),
        ("Bcc: victim@resident.example\r\nX", "y"),
        ("X\r\n\r\nBody", "y"),
        ("", "y"),
        ("From", "(" * 5000 + "é"),
        ("From", '"é" <a@b.example' + ">" * 3000),
        ("To", "é," * 5000),
        ("Subject", "é" * 50_000),
        ("Subject", "a" * 50_000),
        ("Content-Type", "multipart/report; report-type=x\r\nBcc: victim@resident.example"),
        ("Content-Type", "multipart/mixed; boundary=x"),
        ("Content-Transfer-Encoding", "base64"),
    ],
)
def test_nothing_in_a_header_becomes_another_or_breaks_the_words(name: str, value: str) -> None:
    began = time.process_time()
    raw = made_again(
        [(name, value)], text="hello", attached=[Attached(name="a", kind="text/plain", data=b"b")]
    )
    mail = message_from_bytes(raw, policy=policy.compat32)
    assert mail["Bcc"] is None
    assert read_mail(raw).text == "hello"
    assert time.process_time() - began < 0.5


def test_a_report_stays_one() -> None:
    status = b"Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; sam@resident.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    raw = made_again(
        [("From", "MAILER-DAEMON@mx.example"), ("Content-Type", 'multipart/report; report-type="delivery-status"; boundary=b')],
        text="It could not be delivered.",
        attached=[
            Attached(name="", kind="message/delivery-status", data=status),
            Attached(name="", kind="message/rfc822", data=b"Message-ID: <d.x@link.example>\r\n\r\nhello\r\n"),
        ],
    )  # fmt: skip
    mail = read_mail(raw)
    assert mail.report is not Report.NONE
    assert [(bounce.status, bounce.permanent) for bounce in mail.bounces] == [("5.1.1", True)]
    assert mail.about == "<d.x@link.example>"


@pytest.mark.parametrize(
    ("raw", "mail_from", "first"),
    [
        (b"From: a@b.example\r\n\r\nReturn-Path: no\r\n", "sam@resident.example", b"Return-Path: <sam@resident.example>"),
        (b"Return-Path: <x@y.example>\r\nFrom: a@b.example\r\n\r\n", "sam@resident.example", b"Return-Path: <x@y.example>"),
        (b"From: a@b.example\r\n\r\n", "<>", b"Return-Path: <>"),
        (b"From: a@b.example\r\n\r\n", "", b"From: a@b.example"),
        (b"From: a@b.example\r\n\r\n", "x\r\nBcc: y", b"Return-Path: <x Bcc: y>"),
    ],
)  # fmt: skip
def test_the_envelope_stands_on_top_where_the_mail_does_not_say_it(
    raw: bytes, mail_from: str, first: bytes
) -> None:
    found = traced(raw, mail_from=mail_from)
    assert found.split(b"\r\n")[0] == first
    assert found.endswith(raw)


# --- Forms ------------------------------------------------------------------------------------

FORM = (
    b"preamble\r\n--mark\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\none\r\n--mark\r\n"
    b"Content-Disposition: form-data; name=\"token\"\r\n\r\n\r\n--mark\r\n"
    b"Content-Disposition: form-data; name=\"file-1\"; filename=\"a.bin\"\r\nContent-Type: x/y\r\n\r\n\r\n--mar\r\n\0\r\n--mark--\r\nepilogue"
)  # fmt: skip


def test_a_multipart_form_keeps_order_repeats_and_octets() -> None:
    fields = fields_of('multipart/form-data; boundary="mark"', FORM)
    assert [(each.name, each.text, each.is_file) for each in fields] == [
        ("token", "one", False),
        ("token", "", False),
        ("file-1", "\r\n--mar\r\n\0", True),
    ]
    assert (fields[2].file_name, fields[2].kind) == ("a.bin", "x/y")


def test_an_urlencoded_form_keeps_order_repeats_and_empty_ones() -> None:
    fields = fields_of("application/x-www-form-urlencoded; charset=utf-8", b"a=1&b=&a=%E2%82%AC+x")
    assert [(each.name, each.text) for each in fields] == [("a", "1"), ("b", ""), ("a", "€ x")]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("", b"a=1"),
        ("text/plain", b"a=1"),
        ("application/x-www-form-urlencoded", b"\xff=1"),
        ("application/x-www-form-urlencoded", b"a=1&" * 2000),
        ("multipart/form-data", FORM),
        ("multipart/form-data; boundary=", FORM),
        ("multipart/form-data; boundary=other", FORM),
        ("multipart/form-data; boundary=é", FORM),
        ("multipart/form-data; boundary=mark", b"--mark\r\nno head"),
        ("multipart/form-data; boundary=mark", b"--mark\r\nX: y\r\n\r\nno name\r\n--mark--"),
        ("multipart/form-data; boundary=m", b"--m\r\n" * 5000),
    ],
)
def test_what_is_no_form_is_unreadable(kind: str, body: bytes) -> None:
    with pytest.raises(BadHook):
        fields_of(kind, body)


def test_a_large_form_is_read_at_once() -> None:
    body = (
        b'--m\r\nContent-Disposition: form-data; name="body-mime"\r\n\r\n'
        + b"\r\n-\r\n--\r\n" * 2_500_000
        + b"\r\n--m--"
    )
    began = time.process_time()
    assert len(fields_of("multipart/form-data; boundary=m", body)) == 1
    assert time.process_time() - began < 1


def test_headers_without_end_are_written_in_a_moment() -> None:
    began = time.process_time()
    made_again([("To", "é " + "a@b.c," * 2_600)] * 400, text="x")
    assert time.process_time() - began < 1
