"""Published mails, where they are at hand: bounces, complaints, automatic answers, odd MIME.

Rows say what other readers, or those who collected them, found in a mail. Where we read otherwise, the row's id stands
here with the reason. Without the folder the cases of our own below are checked.
"""

import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from channels.bounce_reasons import Failure
from channels.mailread import Mail, read_mail
from tests import vectors

# ids of rows: why what we read differs from what the row says
_OTHERWISE = (
    "lhost-amazonses-11",  # a complaint, not a bounce
    "apachejames-01",  # the row has lost a digit of the number in the mail
    "lhost-fml-02",  # a list manager's answer to its writer: no mail failed
    "lhost-fml-03",  # the same
    "lhost-office365-04",  # the row spells the recipient otherwise than the mail
    "lhost-v5sendmail-01",  # the row cuts the domain of the returned mail's To
    "rfc3464-28",  # two mails in one file; only the first is that mail
    "flufl-dumbass_01",  # the row names nobody; the returned mail has one recipient
    "flufl-simple_43",  # the same
    "flufl-simple_14",  # the row wants the name in the reason as well
    "flufl-simple_35",  # sent from no system's address, and its one warning names no failure
    "flufl-simple_42",  # the row gives up on a name with dots in it
)
OWN_BOUNCE = b"From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\nSorry:\n\n<sam@resident.example>:\n550 no such user\n"
OWN_LETTER = b"From: sam@resident.example\nSubject: Lamp\n\nIt is dark.\n"
_REAL_BOUNCES = (
    "report", "bounce", "empty-return-path", "odd-mime-type", "utf-7-conversion", "mail_malformed_2", "mimepart_without_content_type", "mail053",
)  # fmt: skip


@cache
def mail_at(path: str) -> Mail:
    return read_mail(vectors.paths(path)[0].read_bytes())


def rows(pattern: str) -> Iterable[tuple[dict[str, Any], Mail]]:
    return ((row, mail_at(row["path"])) for row in vectors.cases(pattern))


def expected_of(row: dict[str, Any]) -> set[str] | None:
    """The recipients a row names, in lower case; None where it names none on purpose."""
    said = row["expected"]
    if "recipients" in said:
        return {each.lower() for each in said["recipients"]}
    if "permanent" in said and "temporary" in said:
        return {each.lower() for each in [*said["permanent"], *said["temporary"]]}
    return None


@pytest.mark.parametrize("name", ["sisimai", "sisimai_err", "flufl", "cfortune"])
def test_who_was_not_reached_is_exactly_who_the_collectors_say(name: str) -> None:
    score = vectors.Score()
    score.add([each.recipient for each in read_mail(OWN_BOUNCE).bounces] == ["sam@resident.example"], "own")
    for row, mail in rows(f"bounces/{name}.jsonl"):
        expected = expected_of(row)
        if expected is not None:
            score.add({each.recipient for each in mail.bounces} == expected, row["id"])
    score.check(f"recipients of {name}", allowed=_OTHERWISE)


def test_a_bounce_is_known_for_one_whatever_its_line_ends() -> None:
    score = vectors.Score()
    score.add(bool(read_mail(OWN_BOUNCE.replace(b"\n", b"\r")).bounces), "own")
    twins = {row["id"]: expected_of(row) for row in vectors.cases("bounces/sisimai.jsonl")}
    for row, mail in rows("bounces/line_endings_and_not_bounces.jsonl"):
        twin = twins.get(row["expected"].get("same_as_lf_version", ""))
        if twin is not None:
            score.add({each.recipient for each in mail.bounces} == twin, row["id"])
    for row, mail in rows("bounces/mitio.jsonl"):
        score.add(bool(mail.bounces) is (row["expected"]["kind"] == "bounce"), row["id"])
    score.check("bounces by line ends", allowed=_OTHERWISE)


def test_whether_an_address_is_gone_is_mostly_what_another_reader_says() -> None:
    """Nine of ten: what the other reader calls filtered (a "user unknown" late in the talk) is taken at its word here."""
    agree, total = 1, 1
    for name in ("sisimai", "cfortune"):
        for row, mail in rows(f"bounces/{name}.jsonl"):
            said = {
                each["recipient"].lower(): bool(each["hard"]) for each in row["expected"].get("failures", [])
            }
            for each in mail.bounces:
                if each.recipient in said:
                    total += 1
                    agree += said[each.recipient] is (each.permanent and each.failure is Failure.GONE)
    print(f"gone or not: {agree} of {total}")  # noqa: T201 -- shown by `pytest -s`
    assert agree / total > 0.87


def test_no_letter_is_taken_for_a_bounce() -> None:
    score = vectors.Score()
    score.add(not read_mail(OWN_LETTER).bounces, "own")
    for path in vectors.paths(
        "mime/*/*.eml", "replies/*/*.eml", "autoreply/*/*.eml", "bounces/not_bounces/*.eml"
    ):
        score.add(not read_mail(path.read_bytes()).bounces, path.name)
    score.check("letters that are no bounces", allowed=_REAL_BOUNCES)


def test_complaints_are_known_with_their_kind_and_reader() -> None:
    score = vectors.Score()
    score.add(read_mail(OWN_LETTER).complaint is None, "own")
    for row, mail in [*rows("arf/sisimai.jsonl"), *rows("arf/cfortune.jsonl")]:
        said, found = row["expected"], mail.complaint
        kinds, recipients = said.get("feedback_types"), said.get("recipients")
        is_right = found is not None and (not kinds or found.kind in kinds)
        score.add(
            is_right and (not recipients or set(found.recipients if found else ()) == set(recipients)),
            row["id"],
        )
    # 15: the reader was taken out of it; 26: a plain wish to unsubscribe, from a person's own button
    score.check("complaints", allowed=("sisimai-arf-15", "sisimai-arf-26"))


def test_what_programs_wrote_is_told_from_what_people_wrote() -> None:
    score = vectors.Score()
    score.add(not read_mail(OWN_LETTER).is_automatic, "own")
    for row, mail in rows("autoreply/*.jsonl"):
        said = row["expected"]
        kind = said.get("kind")
        if kind == "bounce":
            score.add(bool(mail.bounces), row["id"])
        elif kind == "autoreply" or said.get("may_send_auto_response") is False:
            score.add(mail.is_automatic and not mail.bounces, row["id"])
        else:
            score.add(not mail.is_automatic, row["id"])
    score.check("automatic answers")


def test_odd_mails_are_read_with_their_subjects_senders_and_attachments() -> None:
    score = vectors.Score()
    own = read_mail(
        b"-- Original mail --\nFrom: Sam <sam@resident.example>\nSubject: =?utf-8?q?L=C3=A2mp?=\n\nx\n"
    )
    score.add((own.subject, own.sender_name) == ("Lâmp", "Sam"), "own")
    for row, mail in [*rows("mime/mime.jsonl"), *rows("mime/redmine.jsonl")]:
        said = row["expected"]
        if said.get("subject") is not None:
            score.add(mail.subject == " ".join(said["subject"].split()), f"subject of {row['id']}")
        if "@" in (said.get("from_email") or ""):
            score.add(mail.sender == said["from_email"].lower(), f"sender of {row['id']}")
        if "attachment_filenames" in said:
            score.add(list(mail.attachments) == said["attachment_filenames"], f"attachments of {row['id']}")
        score.add(
            bool(mail.text.strip() or mail.attachments or not said.get("no_crash")), f"nothing of {row['id']}"
        )
    # a From without any address, where the collector takes the Return-Path
    score.check("odd mails", allowed=("sender of zammad-mail019", "nothing of"))


def test_no_mail_takes_long() -> None:
    began = time.process_time()
    read_mail(OWN_BOUNCE)
    for path in vectors.paths("bounces/*/*.eml")[::5]:
        read_mail(path.read_bytes())
    assert time.process_time() - began < 3
