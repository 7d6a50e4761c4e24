"""Who was not reached, in the words of many mail systems, restated; and what only looks like that."""

import json
import time

import pytest

from channels.bounce_reasons import Failure
from channels.bounce_wordings import Told, by_returned, read
from channels.mailread import read_mail

SAM, KIM = "sam@resident.example", "kim@resident.example"
BELOW = (
    "\n--- Below this line is a copy of the message.\n\nFrom: us@link.example\nTo: other@resident.example\n"
)
WORDINGS = {
    "address and reason below it": f"I could not deliver it.\n\n<{SAM}>:\n550 no such user\n",
    "address and reason in a line": f"These failed:\n\n  {SAM}: 550 5.1.1 user unknown\n",
    "address alone": f"The following address(es) failed:\n\n  {SAM}\n    all hosts have been failing\n",
    "sendmail": f"  ----- The following addresses had permanent fatal errors -----\n<{SAM}>\n\n ----- Transcript -----\n550 <{SAM}>... User unknown\n",
    "arrows": f">>> {SAM} <{SAM}>\n550 sorry\n",
    "in a sentence": f"There was an error delivering your mail to <{SAM}>.\n\nmx did not like our RCPT TO:\n550 5.1.1 no\n",
    "rejected in a sentence": f"Server <mx.example> rejected recipient <{SAM}> (RCPT). It said: [550 5.1.1]\n",
    "as a field": f"Recipient address: {SAM}\nReason: no such mailbox\n",
    "X.400": f"did not reach the following recipient(s):\n\nc=GB;o=Corp;dda:SMTP={SAM}; on Fri, 4 Oct\n  The recipient name is not recognized\n",
    "with a day": f"did not reach the following recipient(s):\n\n{SAM} on Thu, 11 Jul 2002\n   not recognized\n",
    "transcript": f"In:  MAIL FROM:<us@link.example>\nOut: 250 ok\nIn:  RCPT TO:<{SAM}>\nOut: 550 5.1.1 no\n",
    "mailto": f"Delivery has failed to these recipients:\n\n{SAM}<mailto:{SAM}>\nThe address you entered couldn't be found.\n",
    "whom to ask is not who failed": f"For help contact <help@mx.example>\n\n<{SAM}>: host mx.example said: 550 no\n",
    "made from another": f"These failed:\n\n  {SAM}\n    (generated from list@mx.example)\n    550 no\n",
    "who sent it is not who failed": f"A message sent by\n\n  <editor@link.example>\n\ncould not be delivered:\n\n  {SAM}\n    unroutable\n",
}


@pytest.mark.parametrize("name", WORDINGS)
def test_who_was_not_reached_is_read_from_the_words(name: str) -> None:
    told = Told(text=WORDINGS[name] + BELOW, ours=frozenset({"us@link.example"}))
    assert [bounce.recipient for bounce in read(told)] == [SAM]


def test_each_of_several_has_its_own_reason() -> None:
    text = f"Failed:\n\n{SAM}: 550 5.2.2 Mailbox full\n{KIM}: 550 5.1.1 User unknown\n"
    assert {bounce.recipient: bounce.status for bounce in read(Told(text=text))} == {
        SAM: "5.2.2",
        KIM: "5.1.1",
    }


def test_who_was_answered_with_yes_did_not_fail() -> None:
    text = f"RCPT TO:<{KIM}>\n250 ok\nRCPT TO:<{SAM}>\n"
    assert [bounce.recipient for bounce in read(Told(text=text))] == [SAM]


def test_a_header_names_them_where_words_do_not() -> None:
    assert [bounce.recipient for bounce in read(Told(text="It failed.", named=(SAM, KIM)))] == [SAM, KIM]


def test_a_returned_mail_with_one_recipient_is_about_that_one() -> None:
    one = f"It failed.\n\n--- Original message follows ---\n\nFrom: us@link.example\nTo: Sam <{SAM}>\n"
    assert [bounce.recipient for bounce in by_returned(Told(text=one))] == [SAM]
    assert by_returned(Told(text=f"{one}\n", returned_to=(SAM, KIM))) == []


@pytest.mark.parametrize(
    "line",
    [
        "a@b.c ",
        "<",
        '"a" <',
        "user @ ",
        "deliver fail @ ",
        "rcpt to:",
        "550 a@b.c\n",
        "original message ",
        "\n",
    ],
)
def test_endless_words_are_read_in_a_moment(line: str) -> None:
    told = Told(text=line * (1_000_000 // len(line)))
    for reader in (read, by_returned):
        began = time.process_time()
        reader(told)
        assert time.process_time() - began < 0.1  # 50 ms, and as much again for a busy machine


FAILED = f"\n\nIt could not be delivered:\n\n<{SAM}>: 550 no such user\n"


@pytest.mark.parametrize(
    "head",
    [
        "From: Kim <kim@resident.example>\nSubject: Re: Lamp",
        "From: Kim <kim@resident.example>\nSubject: Fwd: Undelivered Mail Returned to Sender",
        "From: Kim <kim@resident.example>\nSubject: Undeliverable parcel\nIn-Reply-To: <1@x.example>",
        "From: kim@resident.example\nReturn-Path: <>\nSubject: Out of office: Lamp",
        "From: kim@resident.example\nSubject: Automatic reply: delivery failed",
    ],
)
def test_what_a_person_writes_about_a_failure_is_no_bounce(head: str) -> None:
    assert read_mail((head + FAILED).encode()).bounces == ()


def test_a_parcel_that_could_not_be_delivered_is_no_mail() -> None:
    words = f"We could not deliver your parcel to the address you gave.\n\nSent to {SAM}\n{SAM}\n"
    raw = f"From: parcels@shop.example\nSubject: Delivery problem with your order\n\n{words}"
    assert read_mail(raw.encode()).bounces == ()


@pytest.mark.parametrize("words", ["has not yet been delivered, and will be tried again", "is delayed"])
def test_what_is_still_tried_is_told_from_what_was_given_up(words: str) -> None:
    raw = f"From: MAILER-DAEMON@mx.example\nSubject: Warning\n\nYour message {words}:\n\n  {SAM}\n    connection timed out\n"
    [bounce] = read_mail(raw.encode()).bounces
    assert (bounce.recipient, bounce.delayed, bounce.permanent) == (SAM, True, False)


@pytest.mark.parametrize(
    "head",
    [
        "From: MAILER-DAEMON\nSubject: failure notice",
        "From: <>\nSubject: whatever",
        "From: Postmaster@mx.example\nSubject: Mail System Error",
        "From: help@mx.example\nReturn-Path: <>\nSubject: Mail",
        "From: robot@mx.example\nSubject: Undelivered Mail Returned to Sender",
    ],
)
def test_what_a_mail_system_writes_about_a_failure_is_a_bounce(head: str) -> None:
    assert [bounce.recipient for bounce in read_mail((head + FAILED).encode()).bounces] == [SAM]


def test_a_bounce_that_amazon_sends_as_a_notification_is_read() -> None:
    said = {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": SAM, "status": "5.1.1"}]}
    body = json.dumps({"notificationType": "Bounce", "bounce": said})
    raw = f"From: no-reply@sns.amazonaws.com\nSubject: AWS Notification Message\n\n{body}\n--\nbye\n"
    found = read_mail(raw.encode()).bounces
    assert [(bounce.recipient, bounce.permanent) for bounce in found] == [(SAM, True)]


@pytest.mark.parametrize(
    ("head", "is_sure"),
    [
        ("From: MAILER-DAEMON@mx.example\nSubject: failure notice", True),
        ("From: Kim <kim@resident.example>\nSubject: Your message", False),
        ("From: news@deliver.example\nSubject: Bounced emails explained", False),
        ("From: administrator@school.example\nSubject: Rejected permits", False),
        ("From: administrator@mx.example\nReturn-Path: <>\nSubject: Undeliverable", True),
    ],
)
def test_words_alone_are_believed_only_of_a_mail_system(head: str, *, is_sure: bool) -> None:
    assert read_mail((head + FAILED).encode()).has_bounced is is_sure


@pytest.mark.parametrize("sender", ["root@flat.example", "bounces@castles.example", "system@alarms.example"])
def test_a_name_that_others_use_too_makes_no_failure_of_other_mail(sender: str) -> None:
    raw = f"From: {sender}\nSubject: Noise in Mill Lane\n{FAILED}"
    assert read_mail(raw.encode()).bounces == ()


def test_a_report_that_a_person_attaches_is_theirs_to_show() -> None:
    fields = "Final-Recipient: rfc822; kim@other.example\nAction: failed\nStatus: 5.1.1\n"
    raw = (
        f"From: {SAM}\nSubject: my mail keeps failing to arrive\nIn-Reply-To: <1@link.example>\n"
        "Content-Type: multipart/mixed; boundary=in\n\n--in\nContent-Type: text/plain\n\nSee this\n"
        f"--in\nContent-Type: message/delivery-status\n\n{fields}\n--in--\n"
    )
    assert read_mail(raw.encode()).bounces == ()


@pytest.mark.parametrize(
    ("told", "failure"),
    [
        ("MAIL FROM", Failure.REFUSED),
        ("end of DATA", Failure.OTHER),
        ("RCPT TO", Failure.GONE),
    ],
)
def test_the_text_for_people_says_when_in_the_talk_it_was_told(told: str, failure: Failure) -> None:
    raw = (
        "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\nContent-Type: multipart/report; report-type=delivery-status; boundary=in\n\n"
        f"--in\nContent-Type: text/plain\n\n<{SAM}>: host mx said: 553 it does not exist\n    (in reply to {told} command)\n\n"
        f"--in\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; {SAM}\nAction: failed\n"
        "Status: 5.0.0\nDiagnostic-Code: smtp; 553 it does not exist\n\n--in--\n"
    )
    assert [bounce.failure for bounce in read_mail(raw.encode()).bounces] == [failure]
