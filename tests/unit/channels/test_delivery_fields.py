"""The fields of delivery reports, as they should be and as they are."""

import pytest

from channels.bounce_reasons import Failure
from channels.delivery_fields import address_in, of_text
from channels.mailread import read_mail


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; Sam@Resident.example", "sam@resident.example"),
        ("RFC822;<sam@resident.example>", "sam@resident.example"),
        ("utf-8; z\\x{F6}e@resident.example", "zöe@resident.example"),
        ("utf-8;zöe@münchen.example", "zöe@münchen.example"),
        ("rfc822;sam+40resident.example", "sam@resident.example"),
        ("rfc822; sam+20@resident.example", "sam+20@resident.example"),
        ('rfc822; "sam..j"@resident.example', '"sam..j"@resident.example'),
        ("unknown; sam@resident.example (Sam)", "sam@resident.example"),
        ("sam@resident.example", "sam@resident.example"),
        ("X400; /C=GB/S=JONES", ""),
        ("rfc822; @mx.resident.example", ""),
        ("rfc822; /home/sam@resident.example", ""),
        ("", ""),
    ],
)
def test_an_address_is_read_whatever_its_type(value: str, address: str) -> None:
    assert address_in(value) == address


def test_fields_in_the_words_of_a_mail_are_read_in_any_order() -> None:
    text = (
        "Could not deliver.\n\nAction: failed\nFinal-Recipient: rfc822; one@resident.example\n"
        "Diagnostic-Code: smtp; 550 5.1.1 user\n unknown\nStatus: 5.1.1\n\n"
        "Final-Recipient: rfc822; two@resident.example\nAction: delayed\nStatus: 4.4.1\n"
        "Final-Recipient: rfc822; three@resident.example\nAction: relayed\nStatus: 2.0.0\n"
    )
    one, two = of_text(text)
    assert (one.recipient, one.failure, one.permanent) == ("one@resident.example", Failure.GONE, True)
    assert (two.recipient, two.delayed, two.permanent) == ("two@resident.example", True, False)


def test_the_recipient_we_wrote_to_stands_in_for_one_of_inside_their_network() -> None:
    text = "Original-Recipient: rfc822;sam@resident.example\nFinal-Recipient: rfc822;sam@store1\nAction: failed\nStatus: 5.2.2\n"
    assert [bounce.recipient for bounce in of_text(text)] == ["sam@resident.example"]


HEAD = b"From: MAILER-DAEMON@mx.example\nTo: us@link.example\nSubject: Returned mail\n"


def test_a_report_whose_parts_have_another_boundary_than_it_says_is_read() -> None:
    raw = HEAD + (
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=one\n\n--two\n\nIt failed.\n\n--two\n"
        b"Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; sam@resident.example\nAction: failed\nStatus: 5.1.1\n\n--two--\n"
    )
    assert [bounce.recipient for bounce in read_mail(raw).bounces] == ["sam@resident.example"]


def test_a_report_inside_a_scanners_mail_is_read() -> None:
    inner = HEAD + (
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=in\n\n--in\nContent-Type: message/delivery-status\n\n"
        b"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; sam@resident.example\nAction: failed\nStatus: 5.1.1\n\n--in--\n"
    )
    raw = (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=out\n\n--out\nContent-Type: message/rfc822\n\n"
        + inner
        + b"\n--out--\n"
    )
    assert [bounce.recipient for bounce in read_mail(raw).bounces] == ["sam@resident.example"]


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_any_line_end_will_do(end: bytes) -> None:
    raw = HEAD + (
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=in\n\n--in\nContent-Type: message/delivery-status\n\n"
        b"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; sam@resident.example\nAction: failed\nStatus: 5.1.1\n\n--in--\n"
    )
    assert read_mail(raw.replace(b"\n", end)).bounces == read_mail(raw).bounces != ()
