"""Published collections of what people text and mail: opt-out words, ordinary texts, robots' mails."""

from typing import Any

import pytest

from channels.mailread import read_mail
from channels.mailtext import new_text
from notifier.inbox.triage import of_mail, of_text
from notifier.models import IncomingKind
from tests import vectors
from tests.vectors import Score

INTENT = {
    IncomingKind.STOP: "opt_out",
    IncomingKind.START: "opt_in",
    IncomingKind.CONFIRM: "opt_in",
    IncomingKind.HELP: "help",
}
OWN_WORDS: list[dict[str, Any]] = [
    {"input": "Halt - STOP", "tier": "negative", "expected": {"intent": "other"}},
    {"input": "STOP ALL", "tier": "exact", "expected": {"intent": "opt_out"}},
    {"input": "Unstop!", "tier": "exact", "expected": {"intent": "opt_in"}},
    {"input": "kindly stop texting us", "tier": "phrase", "expected": {"intent": "opt_out"}},
]
OWN_SENTENCES = ["Stop by the shop if you pass", "In the end we stayed", "I had to cancel, sorry"]


def intent(text: str) -> str:
    return INTENT.get(of_text(text).kind, "other")


def words(tier: str) -> list[dict[str, Any]]:
    return [row for row in [*OWN_WORDS, *vectors.cases("optout/optout.jsonl")] if row["tier"] == tier]


def test_every_exact_word_is_what_it_says() -> None:
    score = Score()
    for row in words("exact"):
        score.add(intent(row["input"]) == row["expected"]["intent"], repr(row["input"]))
    score.check("exact words")


def test_nothing_that_is_no_opt_out_is_taken_for_one() -> None:
    score = Score()
    texts = [row["input"] for row in words("negative")] + OWN_SENTENCES
    texts += [row["input"] for row in vectors.cases("optout/hard_negatives_uci_ham.jsonl")]
    texts += [row["input"] for row in vectors.cases("sms/inbound_corpus.jsonl")]
    for text in texts:
        score.add(intent(text) not in ("opt_out", "help"), repr(text))
    score.check("sentences that are no opt-out")


def test_most_phrases_are_taken_and_others_marked_for_an_officer() -> None:
    score, marked = Score(), 0
    rows = [row for row in words("phrase") if not row.get("disputed")]
    for row in rows:
        is_right = intent(row["input"]) == row["expected"]["intent"]
        score.add(is_right, repr(row["input"]))
        marked += not is_right and of_text(row["input"]).hints_at_stop
    print(f"phrases: {score}, {marked} more marked")  # noqa: T201 -- shown by `pytest -s`
    assert score.right >= 0.9 * len(rows)


OWN_ROBOTS = [
    (
        b"From: a@b.example\r\nAuto-Submitted: auto-replied\r\nSubject: Away\r\n\r\nBack on Monday\r\n",
        "autoreply",
    ),
    (b"From: a@b.example\r\nSubject: Away next week\r\n\r\nShall we meet on Monday?\r\n", "human"),
]
KIND = {"autoreply": IncomingKind.AUTO_REPLY, "human": IncomingKind.REPLY}


@pytest.mark.parametrize("kind", ["autoreply", "human"])
def test_robots_are_told_from_people(kind: str) -> None:
    mails = [(raw, wanted) for raw, wanted in OWN_ROBOTS if wanted == kind]
    for row in vectors.cases("autoreply/*.jsonl"):
        if row["expected"].get("kind") == kind:
            mails += [(path.read_bytes(), kind) for path in vectors.paths(row["path"])]
    score = Score()
    for raw, wanted in mails:
        mail = read_mail(raw)
        score.add(of_mail(mail, new_text(mail.text)).kind is KIND[wanted], mail.subject)
    score.check(f"mails by {kind}")
