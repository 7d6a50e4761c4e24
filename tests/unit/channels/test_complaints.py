"""Complaints of readers, as their providers report them."""

from base64 import b64encode

import pytest

from channels.complaints import Complaint
from channels.mailread import read_mail
from channels.reports import Report

HEAD = b"From: feedback@provider.example\nTo: b+token@link.example\nSubject: FW: News\n"
RETURNED = b"--in\nContent-Type: message/rfc822\n\nMessage-ID: <d.xyz@link.example>\nFrom: us@link.example\nTo: sam@resident.example\nSubject: News\n\nDear all\n--in--\n"


def complaint(fields: bytes, head: bytes = HEAD) -> Complaint | None:
    kind = b"Content-Type: multipart/report; report-type=feedback-report; boundary=in\n\n"
    return read_mail(
        head + kind + b"--in\nContent-Type: message/feedback-report\n\n" + fields + b"\n" + RETURNED
    ).complaint


def test_a_standard_complaint_names_its_kind_and_reader() -> None:
    found = complaint(
        b"Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\nOriginal-Rcpt-To: <Sam@Resident.example>\n"
    )
    assert found == Complaint(kind="abuse", recipients=("sam@resident.example",))
    assert found.asks_to_stop


def test_where_the_reader_is_left_out_the_returned_mail_says_whom_it_was_for() -> None:
    assert complaint(b"Feedback-Type: opt-out\n") == Complaint(
        kind="opt-out", recipients=("sam@resident.example",)
    )


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "dkim-failure"])
def test_a_report_of_another_kind_asks_for_nothing(kind: str) -> None:
    found = complaint(f"Feedback-Type: {kind}\n".encode())
    assert found is not None
    assert not found.asks_to_stop


def test_the_mail_complained_about_is_named() -> None:
    kind = b"Content-Type: multipart/report; report-type=feedback-report; boundary=in\n\n"
    found = read_mail(
        HEAD + kind + b"--in\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\n\n" + RETURNED
    )
    assert (found.report, found.about, found.bounces) == (Report.COMPLAINT, "<d.xyz@link.example>", ())


def test_an_older_form_sends_the_mail_back_with_a_header() -> None:
    raw = HEAD.replace(
        b"Subject: FW: News",
        b"Subject: complaint about message from 192.0.2.1\nX-HmXmrOriginalRecipient: sam@resident.example",
    )
    found = read_mail(raw + b"Content-Type: multipart/mixed; boundary=in\n\n" + RETURNED).complaint
    assert found == Complaint(kind="abuse", recipients=("sam@resident.example",))


def test_a_person_who_writes_of_abuse_complains_of_nothing_of_ours() -> None:
    assert (
        read_mail(
            b"From: sam@resident.example\nSubject: Abuse report of my neighbour\n\nHe shouts.\n"
        ).complaint
        is None
    )


def test_a_person_who_reports_abuse_and_sends_the_mail_along_is_read_by_an_officer() -> None:
    head = b"From: sam@resident.example\nSubject: Abuse report about my neighbour\n"
    found = read_mail(head + b"Content-Type: multipart/mixed; boundary=in\n\n" + RETURNED)
    assert (found.complaint, found.is_automatic) == (None, False)


def test_a_kind_is_read_without_what_follows_it() -> None:
    found = complaint(b"Feedback-Type: not-spam; user\n")
    assert found is not None
    assert not found.asks_to_stop


def test_a_report_in_base64_is_read() -> None:
    raw = HEAD + b"Content-Type: multipart/report; report-type=feedback-report; boundary=in\n\n"
    part = b"--in\nContent-Type: message/feedback-report\nContent-Transfer-Encoding: base64\n\n"
    fields = b64encode(b"Feedback-Type: abuse\r\nOriginal-Rcpt-To: sam@resident.example\r\n")
    assert read_mail(raw + part + fields + b"\n" + RETURNED).complaint == Complaint(
        kind="abuse", recipients=("sam@resident.example",)
    )
