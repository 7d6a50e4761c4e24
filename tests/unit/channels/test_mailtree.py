"""What a mail may be made of before it is taken apart no further."""

import time

import pytest

from channels.mailread import read_head, read_mail
from channels.mailtree import beyond, one_line_end

HEAD = b"From: sam@resident.example\nSubject: Lamp\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n"


def nested(depth: int) -> bytes:
    opens = b"".join(
        b'Content-Type: multipart/mixed; boundary="n%d"\n\n--n%d\n' % (n, n) for n in range(depth)
    )
    closes = b"".join(b"\n--n%d--\n" % n for n in reversed(range(depth)))
    return HEAD + opens + b"Content-Type: text/plain\n\nHello\n" + closes


def test_what_people_write_is_within_every_bound() -> None:
    photo = (
        b"--b\nContent-Type: image/jpeg; name=a.jpg\nContent-Transfer-Encoding: base64\n\n"
        + b"A" * 76_000
        + b"\n"
    )
    assert beyond(MIXED + b"--b\n\nHello\n" + photo * 60 + b"--b--\n") == ""
    assert beyond(nested(18)) == ""
    assert read_mail(nested(18)).text == "Hello"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (MIXED + b"--b\n\nx\n" * 500, "100 parts"),
        (
            HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n" % n for n in range(120)),
            "100 parts",
        ),
        (nested(25), "20 deep"),
        ((HEAD + b"Content-Type: message/rfc822\n\n") * 30, "20 mails"),
        (HEAD + b"X: y\n" * 6_000 + b"\nx", "lines of headers"),
        (MIXED + b"--b\nContent-Type: text/plain" + b"; a*1*=b" * 5_000 + b"\n\nx\n", "16,000 octets"),
        (MIXED + b"--b\nContent-Disposition: a" + b";\n a=b" * 5_000 + b"\n\nx\n", "16,000 octets"),
    ],
)
def test_what_exceeds_a_bound_is_named_and_only_its_headers_are_read(raw: bytes, says: str) -> None:
    assert says in beyond(raw)
    found = read_mail(raw)
    assert says in found.beyond
    assert (found.sender, found.subject, found.attachments) == ("sam@resident.example", "Lamp", ())


def test_a_line_that_is_no_header_ends_neither_the_headers_of_a_mail_nor_of_a_part() -> None:
    part = b'Content-Type: image/png;\nname="lamp.png"\nContent-Disposition: attachment;\nfilename=lamp.png\n\nx\n'
    found = read_mail(b"X-Odd : y\n" + MIXED + b"--b\nContent-Type: text/plain\n--b\n" + part + b"--b--\n")
    assert (found.sender, found.subject) == ("sam@resident.example", "Lamp")
    assert found.attachments == ("lamp.png",)


def test_the_head_of_any_mail_can_be_read_alone() -> None:
    found = read_head(MIXED.replace(b"\n", b"\r\n") + b"--b\r\n\r\nx\r\n" * 500)
    assert (found.subject, found.text, found.beyond) == ("Lamp", "", "")


@pytest.mark.parametrize(
    "line",
    [
        b"boundary=a\n",
        b"content-type:\n",
        b"\n--a--",
        b"boundary=" + b"a" * 190,
        b" \n",
        b"content-type: message/rfc822\n",
    ],
)
def test_the_bounds_themselves_are_looked_at_in_a_moment(line: bytes) -> None:
    raw = MIXED + line * (10_000_000 // len(line))
    began = time.process_time()
    beyond(one_line_end(raw))
    assert time.process_time() - began < 0.5
