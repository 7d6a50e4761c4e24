"""Mail from outside: usual, odd and hostile."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels import mailparts
from channels.bounce_reasons import Failure
from channels.delivery_fields import Bounce
from channels.mailread import Mail, read_mail
from channels.reports import Report

HEAD = b"From: Sam Jones <Sam@Resident.example>\r\nTo: r+abc@link.example\r\nSubject: Re: Lamp\r\n"


def mail(head: bytes = b"", body: bytes = b"Hello\r\n") -> Mail:
    return read_mail(HEAD + head + b"\r\n" + body)


def multipart(*parts: bytes, kind: bytes = b"mixed", more: bytes = b"") -> Mail:
    body = b"".join(b"--line\r\n" + part + b"\r\n" for part in parts) + b"--line--\r\n"
    return mail(b"Content-Type: multipart/" + kind + b'; boundary="line"' + more + b"\r\n", body)


def test_a_plain_reply_is_read_whole() -> None:
    found = mail(
        b"Message-ID: <a@resident.example>\r\nIn-Reply-To: <d.xyz@link.example>\r\nReferences: <1@x> <d.xyz@link.example>\r\n"
        b"Date: Wed, 4 Mar 2026 05:06:07 +0100\r\nCc: other@x.example\r\nDelivered-To: Final@link.example\r\n"
    )
    assert (found.sender, found.sender_name) == ("sam@resident.example", "Sam Jones")
    assert set(found.recipients) == {"r+abc@link.example", "other@x.example", "final@link.example"}
    assert (found.message_id, found.in_reply_to) == ("<a@resident.example>", "<d.xyz@link.example>")
    assert found.references == ("<1@x>", "<d.xyz@link.example>")
    assert found.date == datetime(2026, 3, 4, 4, 6, 7, tzinfo=UTC)
    assert (found.subject, found.text) == ("Re: Lamp", "Hello")
    assert not found.is_automatic


def test_plain_text_is_preferred_and_html_is_turned_to_text() -> None:
    plain, html = (
        b"Content-Type: text/plain\r\n\r\nplain",
        b"Content-Type: text/html\r\n\r\n<p>One<br>two &amp; three</p><script>x</script>",
    )
    assert multipart(plain, html, kind=b"alternative").text == "plain"
    assert multipart(html, kind=b"alternative").text == "One\ntwo & three"


PLAIN, HTML = b"Content-Type: text/plain\r\n\r\n", b"Content-Type: text/html\r\n\r\n"
INNER = b'Content-Type: multipart/alternative; boundary="in"\r\n\r\n--in\r\n%b\r\n--in\r\n%b\r\n--in--'
WORDS = b"The lamp in our street is out"


@pytest.mark.parametrize(
    ("parts", "kind", "text"),
    [
        ((PLAIN + b"one", HTML + b"<p>two"), b"mixed", "one\ntwo"),
        ((HTML + b"<p>one", PLAIN + b"two"), b"mixed", "one\ntwo"),
        ((PLAIN + WORDS, HTML + b"<p><b>" + WORDS), b"mixed", WORDS.decode()),
        ((INNER % (PLAIN + b"one", HTML + b"<p>one"), PLAIN + b"two"), b"mixed", "one\ntwo"),
        ((PLAIN + b" ", HTML + b"<p>two"), b"alternative", "two"),
        ((PLAIN + b"one", INNER % (PLAIN + b"two", HTML + b"<p>two")), b"alternative", "one\ntwo"),
        ((b'Content-Type: text/plain; name="a.txt"\r\nContent-Disposition: inline\r\n\r\none',), b"mixed", "one"),
        ((b"Content-Type: text/enriched\r\n\r\n<bold>one</bold>",), b"mixed", "one"),
        ((b"Content-Type: text/plain; format=flowed\r\n\r\none \r\ntwo\r\n three",), b"mixed", "one two\nthree"),
        ((b"Content-Type: text/html\r\n\r\n<meta charset=koi8-r>\xc6",), b"mixed", "ф"),
    ],
)  # fmt: skip
def test_all_that_was_said_is_read_and_once(parts: tuple[bytes, ...], kind: bytes, text: str) -> None:
    assert multipart(*parts, kind=kind).text == text


@pytest.mark.parametrize(
    ("part", "files"),
    [
        (b"Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR", ("text/calendar",)),
        (b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nx", ("message/rfc822",)),
        (b'Content-Type: multipart/signed; name="smime.p7m"\r\nContent-Disposition: attachment\r\n\r\nx', ("smime.p7m",)),
        (PLAIN + b"Look:\r\nbegin 644 lamp.gif\r\n#0V%T\r\n`\r\nend\r\n", ("lamp.gif",)),
        (PLAIN + b"begin 644 lamp.gif\r\nis what it said", ()),
    ],
)  # fmt: skip
def test_what_came_with_it_is_named_whatever_it_is(part: bytes, files: tuple[str, ...]) -> None:
    found = multipart(PLAIN + b"one", part)
    assert found.attachments == files
    assert found.text.startswith("one")
    assert "#0V" not in found.text


def test_headers_in_eight_bits_are_of_the_bodys_charset() -> None:
    found = read_mail(
        "Subject: Фонарь\r\nFrom: Сэм <sam@x.example>\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n".encode(
            "koi8-r"
        )
    )
    assert (found.subject, found.sender_name) == ("Фонарь", "Сэм")


def test_attachments_are_named_and_not_read() -> None:
    found = multipart(
        b"Content-Type: text/plain\r\n\r\nSee the picture",
        b'Content-Type: image/png; name="a\r\n b.png"\r\nContent-Disposition: attachment\r\n\r\nxxxx',
        b"Content-Type: application/octet-stream\r\n\r\nxxxx",
        b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename*=utf-8''caf%C3%A9.txt\r\n\r\nnot read",
    )
    assert found.text == "See the picture"
    assert found.attachments == ("a b.png", "application/octet-stream", "café.txt")


@pytest.mark.parametrize(
    ("charset", "octets"),
    [
        (b"iso-8859-1", b"caf\xe9"),
        (b"utf-8", b"caf\xc3\xa9"),
        (b"unheard-of", b"caf\xc3\xa9"),
        (b"utf-7", b"caf\xc3\xa9"),
        (b"hex", b"caf\xe9"),
    ],
)
def test_words_in_any_charset_are_read(charset: bytes, octets: bytes) -> None:
    assert mail(b"Content-Type: text/plain; charset=" + charset + b"\r\n", octets).text == "café"


@pytest.mark.parametrize(
    ("subject", "read"),
    [
        (b"=?utf-8?b?Y2Fmw6k=?=", "café"),
        (b"=?utf-8?q?caf=C3=A9?= =?iso-8859-1?q?_l=E0?=", "café là"),
        (b"caf\xc3\xa9", "café"),
        (b"=?nonsense?q?x?=", "x"),
        (b"=?utf-8?b?!!!!?=", None),
        (b"a\0b\x07c", "abc"),
        (b"folded\r\n over", "folded over"),
    ],
)
def test_a_subject_is_decoded_as_far_as_it_makes_sense(subject: bytes, read: str | None) -> None:
    found = read_mail(b"Subject: " + subject + b"\r\n\r\n")
    assert read is None or found.subject == read


def test_a_line_that_is_no_header_does_not_end_the_headers() -> None:
    found = read_mail(
        b"X-Odd: abc\r\nno header here\r\nFrom: sam@resident.example\r\nSubject: Lamp\r\n\r\nHello"
    )
    assert (found.sender, found.subject, found.text) == ("sam@resident.example", "Lamp", "Hello")


def test_every_address_of_every_from_is_told() -> None:
    found = read_mail(b"From: a@x.example, b@y.example\r\nFrom: c@z.example\r\n\r\n")
    assert found.senders == ("a@x.example", "b@y.example", "c@z.example")
    posing = read_mail(b"From: officer@force.example <sam@x.example>\r\n\r\n")
    assert (posing.sender, len(posing.senders)) == ("sam@x.example", 2)


@pytest.mark.parametrize(
    "head",
    [
        b"Auto-Submitted: auto-replied\r\n",
        b"Auto-Submitted: auto-generated; x=y\r\n",
        b"X-Autoreply: yes\r\n",
        b"X-Auto-Response-Suppress: All\r\n",
        b"Precedence: auto_reply\r\n",
        b"Precedence: bulk\r\n",
        b"List-Id: <x.list.example>\r\n",
        b"Return-Path: <>\r\n",
        b"X-Loop: us@link.example\r\n",
    ],
)
def test_what_a_machine_wrote_is_known_by_its_headers(head: bytes) -> None:
    assert mail(head).is_automatic


def test_an_absence_note_is_known_by_its_subject() -> None:
    assert read_mail(b"From: a@x.example\r\nSubject: Automatic reply: Lamp\r\n\r\nI am away").is_auto_reply
    answered = (
        b"From: a@x.example\r\nReferences: <1@x>\r\nSubject: On leave next week, can I call?\r\n\r\nHello"
    )
    assert not read_mail(answered).is_auto_reply


@pytest.mark.parametrize(
    "head",
    [
        b"Auto-Submitted: no\r\n",
        b"",
        b"Precedence: first-class\r\n",
        b"Return-Path: <sam@resident.example>\r\n",
    ],
)
def test_what_a_person_wrote_is_not_taken_for_a_machines(head: bytes) -> None:
    assert not mail(head).is_automatic


def report(*blocks: bytes, kind: bytes = b"delivery-status") -> Mail:
    return multipart(
        b"Content-Type: text/plain\r\n\r\nYour mail did not arrive",
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        + b"\r\n\r\n".join(blocks),
        b"Content-Type: message/rfc822\r\n\r\nMessage-ID: <d.xyz@link.example>\r\nSubject: News\r\n\r\nDear all",
        kind=b"report",
        more=b"; report-type=" + kind,
    )


def test_a_standard_report_names_who_was_not_reached_and_which_mail() -> None:
    found = report(
        b"Final-Recipient: rfc822; Gone@Resident.example\r\nAction: failed\r\nStatus: 5.1.1",
        b"Final-Recipient: rfc822; full@resident.example\r\nAction: failed\r\nStatus: 4.2.2",
        b"Final-Recipient: rfc822; slow@resident.example\r\nAction: delayed\r\nStatus: 4.4.1",
        b"Final-Recipient: rfc822; fine@resident.example\r\nAction: delivered\r\nStatus: 2.0.0",
    )
    assert found.report is Report.DELIVERY
    gone, full, slow = found.bounces
    assert gone == Bounce(
        recipient="gone@resident.example", status="5.1.1", permanent=True, failure=Failure.GONE
    )
    assert (full.recipient, full.status, full.permanent, full.delayed) == (
        "full@resident.example",
        "4.2.2",
        False,
        False,
    )
    assert (slow.recipient, slow.permanent, slow.delayed) == ("slow@resident.example", False, True)
    assert found.about == "<d.xyz@link.example>"
    assert "Dear all" not in found.text


@pytest.mark.parametrize("action", [b"delivered", b"relayed", b"expanded"])
def test_a_report_that_a_mail_arrived_tells_of_no_failure(action: bytes) -> None:
    found = report(
        b"Final-Recipient: rfc822; fine@resident.example\r\nAction: " + action + b"\r\nStatus: 2.0.0"
    )
    assert (found.report, found.bounces) == (Report.DELIVERY, ())


def test_what_a_reader_did_with_a_mail_is_no_failure() -> None:
    found = multipart(
        b"Content-Type: text/plain\r\n\r\nYour message to <sam@resident.example> was automatically rejected",
        b"Content-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822; sam@resident.example\r\nDisposition: automatic-action/MDN-sent-automatically; deleted",
        kind=b"report",
        more=b"; report-type=disposition-notification",
    )
    assert (found.report, found.bounces) == (Report.DISPOSITION, ())


def test_an_older_systems_own_words_are_read() -> None:
    body = (
        b"Hi. This is the qmail-send program at mx.example.\r\nI'm afraid I wasn't able to deliver your message to the following addresses.\r\n"
        b"This is a permanent error; I've given up. Sorry it didn't work out.\r\n\r\n<gone@resident.example>:\r\n"
        b"550 5.1.1 no such mailbox\r\n\r\n--- Below this line is a copy of the message.\r\n\r\nSubject: x\r\n"
    )
    found = read_mail(
        b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nSubject: failure notice\r\n\r\n" + body
    )
    assert [(b.recipient, b.permanent) for b in found.bounces] == [("gone@resident.example", True)]


def test_a_resident_who_quotes_a_bounce_has_not_bounced() -> None:
    assert mail(body=b"I got: <gone@resident.example>: 550 5.1.1 no such mailbox\r\n").bounces == ()


def test_a_complaint_is_known() -> None:
    found = multipart(
        b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse",
        kind=b"report",
        more=b"; report-type=feedback-report",
    )
    assert found.report is Report.COMPLAINT


@settings(max_examples=200)
@given(st.binary(max_size=2000))
def test_any_octets_can_be_read(raw: bytes) -> None:
    assert isinstance(read_mail(raw), Mail)
    assert isinstance(read_mail(HEAD + raw), Mail)
    hash(read_mail(HEAD + b"\r\n" + raw))


BOMBS = {
    "long subject": b"Subject: " + b"A" * 1_000_000 + b"\r\n\r\nx",
    "encoded words": b"Subject: " + b"\r\n ".join([b"=?utf-8?q?a?="] * 20_000) + b"\r\n\r\nx",
    "recipients": b"To: " + b",".join(b"u%d@x.example" % n for n in range(60_000)) + b"\r\n\r\nx",
    "headers": b"X: y\r\n" * 50_000 + b"\r\nx",
    "nested comments": b"From: " + b"(" * 15_000 + b"\r\n\r\nx",
    "nested parts": b"".join(
        HEAD + b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n)
        for n in range(1_000)
    ),
    "nested mails": b"".join(HEAD + b"Content-Type: message/rfc822\r\n\r\n" for _ in range(2_000)),
    "many parts": HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 20_000,
    "continued parameters": HEAD + b"Content-Type: text/plain" + b"; a*1*=utf-8''b" * 10_000 + b"\r\n\r\nx",
    "own words without end": b"From: MAILER-DAEMON@x.example\r\nSubject: failure notice\r\n\r\n"
    + b"<a@b.c>: 550 no\n" * 60_000,
    "parts with a header": HEAD
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\r\nA: b\r\n\r\nx\r\n" * 250_000,
    "parts with bare line ends": HEAD
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + b"--b\rA: b\r\rx\r" * 250_000,
    "blocks of a report": HEAD
    + b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    + b"--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    + b"Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\n\r\n" * 150_000,
    "line ends alone": HEAD + b"\r\n" + b"\n" * 10_000_000,
    "lists of people": (b"To: " + b"a@" * 3_990 + b"\r\nCc: " + b"b@x.example," * 600 + b"\r\n") * 100
    + b"\r\nx",
    "names in words": (b"Cc: =?utf-8?b?" + b"QUFB" * 1_900 + b"?=\r\n") * 190 + b"\r\nx",
    "number of no character": HEAD + b"Content-Type: text/html\r\n\r\n&#" + b"9" * 300_000 + b";",
    "part in a charset that is none": HEAD
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=idna\r\n\r\n\xff",
    "bounce in a slow charset": b"From: MAILER-DAEMON@x.example\r\nSubject: failure notice\r\n"
    b"Content-Type: text/plain; charset=punycode\r\n\r\n\xff" + b"could not be delivered " * 2_700,
    "slow charset": HEAD + b"Content-Type: text/plain; charset=idna\r\n\r\n" + b"a." * 500_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_read_in_a_moment(name: str) -> None:
    began = time.process_time()
    found = read_mail(BOMBS[name])
    assert time.process_time() - began < 1
    assert len(found.recipients) <= 200
    assert len(found.attachments) <= 100


def test_only_so_much_html_is_turned_to_text(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []

    def counted(html: str) -> str:
        lengths.append(len(html))
        return ""

    monkeypatch.setattr(mailparts, "plain_of", counted)
    multipart(*[HTML + b"<i></i>" * 2_000] * 90)
    assert sum(lengths) == mailparts.MAX_HTML


def test_a_long_letter_with_dashes_and_a_large_picture_is_read_whole() -> None:
    letter = b"--\r\n".join([b"My street.\r\n\r\n"] * 400)
    found = multipart(
        b"Content-Type: text/plain\r\n\r\n" + letter + b"The end",
        b'Content-Type: image/png; name="lamp.png"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + (b"A" * 76 + b"\r\n") * 100_000,
        b'Content-Type: image/png; name="road.png"\r\n\r\nx',
    )
    assert found.text.endswith("The end")
    assert found.attachments == ("lamp.png", "road.png")
