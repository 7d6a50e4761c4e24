"""What a message is taken for, by its words and headers alone."""

import pytest

from channels.delivery_fields import Bounce
from channels.mailread import Mail, read_mail
from channels.reports import Report
from notifier.inbox.triage import of_mail, of_text, plain_words
from notifier.models import IncomingKind

GONE = (Bounce(recipient="a@b.example", status="", permanent=True),)

STOPS = [
    "STOP", "stop", " Stop. ", "STOPALL", "STOP ALL", "CANCEL", "QUIT", "END", '"STOP"', "STOP!!!", "“stop”", "(stop)",
    "stop texting me", "Please stop", "stop please", "pls stop now", "STOPIO", "ARRET", "Arrêt", "désabonner", "STOP\u200b",
    "\ufeffSTOP", "ＳＴＯＰ", "unsub", "unsubscribe", "Unsubscribe me please", "opt out", "Opt-out", "STOP 2 quit", "stop=quit",
    "revoke", "stop it", "Stop?", "please stop 😭", "don't text me", "Don’t message me again", "no more texts",
    "remove me from your list", "stop sending me messages", "STOP\r\n", "do not contact me",
]  # fmt: skip
REPLIES = [
    "Don't stop the patrols", "don't stop", "bus stop vandalised", "endless noise", "cancelled event?", "Stop the dealers",
    "When does it end?", "Can you stop by our office tomorrow?", "I quit my job last week", "cancel the meeting please",
    "quit now", "end it", "START NOW", "Yes please", "we have to stop this", "The stop sign is gone", "stopping", "stopped",
    "👍 to “Reply STOP to opt out.”", "please don't remove me", "not interested", "no", "N", "", " ", "🛑", "STOP CASTLE", "help me",
]  # fmt: skip


@pytest.mark.parametrize("words", STOPS)
def test_a_whole_message_that_asks_to_stop_is_an_opt_out(words: str) -> None:
    assert of_text(words).kind is IncomingKind.STOP


@pytest.mark.parametrize("words", REPLIES)
def test_anything_else_is_a_reply(words: str) -> None:
    assert of_text(words).kind is IncomingKind.REPLY


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("START", IncomingKind.START),
        ("unstop", IncomingKind.START),
        ("Opt in", IncomingKind.START),
        ("HELP", IncomingKind.HELP),
        ("Info.", IncomingKind.HELP),
        ("?", IncomingKind.HELP),
        ("¿?", IncomingKind.HELP),
        ("OK", IncomingKind.CONFIRM),
        ("Yes!", IncomingKind.CONFIRM),
        ("iawn", IncomingKind.CONFIRM),
    ],
)
def test_a_command_is_the_whole_message(words: str, kind: IncomingKind) -> None:
    assert of_text(words).kind is kind
    assert of_text(f"{words} and more").kind is IncomingKind.REPLY


@pytest.mark.parametrize(("words", "number"), [("1", 1), (" 2.", 2), ("3)", 3), ("12", 12), ("２", 2)])
def test_a_number_alone_is_a_choice(words: str, number: int) -> None:
    assert (of_text(words).kind, of_text(words).choice) == (IncomingKind.CHOICE, number)


def test_six_digits_are_a_code_and_other_numbers_are_words() -> None:
    assert (of_text("012345").kind, of_text("012345").code) == (IncomingKind.CONFIRM, "012345")
    assert of_text("01/02/03 10.30").kind is IncomingKind.REPLY
    assert of_text("1234").kind is IncomingKind.REPLY


@pytest.mark.parametrize(
    ("words", "area"),
    [
        ("STOP Castle", "castle"),
        ("please stop St. John's Wood", "st johns wood"),
        ("stop", ""),
        ("Castle stop", ""),
    ],
)
def test_what_follows_stop_may_name_an_area(words: str, area: str) -> None:
    assert of_text(words).stop_area == area


@pytest.mark.parametrize(
    "words",
    [
        "999 help now", "call me im scared", "He's got a knife!", "someone is breaking in", "I can't breathe", "being followed",
        "she has been stabbed", "HELP ME", "he is going to kill me", "we are trapped", "argyfwng", "man with a gun outside",
    ],
)  # fmt: skip
def test_emergency_words_raise_a_flag(words: str) -> None:
    assert of_text(words).urgent


@pytest.mark.parametrize(
    "words",
    [
        "this is not an emergency", "It isn't an emergency but the gate is broken", "non emergency", "knife bins are a good idea",
        "when is the knife amnesty?", "the fire station open day", "not a 999 matter", "lights are out", "thanks for the help",
    ],
)  # fmt: skip
def test_a_denial_or_another_sense_raises_none(words: str) -> None:
    assert not of_text(words).urgent


def test_a_denial_does_not_hide_what_stands_beside_it() -> None:
    assert of_text("not an emergency any more, but he still has a knife").urgent


@pytest.mark.parametrize("words", ["🛑", "Wrong number, stop texting", "I am not interested"])
def test_what_may_be_a_wish_to_stop_is_marked(words: str) -> None:
    found = of_text(words)
    assert (found.kind, found.hints_at_stop) == (IncomingKind.REPLY, True)


def test_words_are_lower_case_without_accents_signs_or_invisible_characters() -> None:
    assert plain_words("St. John’s\u200b Wood, CAFÉ—no 12!") == ["st", "johns", "wood", "cafe", "no", "12"]
    assert plain_words("\u202estop") == ["stop"]


def test_long_words_are_read_in_time() -> None:
    assert of_text("stop " * 400_000).kind is IncomingKind.REPLY


@pytest.mark.parametrize(
    ("mail", "words", "kind"),
    [
        (Mail(report=Report.COMPLAINT), "", IncomingKind.COMPLAINT),
        (Mail(report=Report.DELIVERY), "", IncomingKind.BOUNCE),
        (Mail(bounces=GONE, is_from_system=True), "", IncomingKind.BOUNCE),
        (Mail(bounces=GONE), "It never arrived: 550 no such user", IncomingKind.REPLY),
        (Mail(report=Report.DISPOSITION), "", IncomingKind.AUTO_REPLY),
        (Mail(is_auto_reply=True), "I am away", IncomingKind.AUTO_REPLY),
        (Mail(is_bulk=True), "News", IncomingKind.AUTO_REPLY),
        (Mail(return_path_is_null=True, subject="STOP"), "", IncomingKind.AUTO_REPLY),
        (Mail(subject="unsubscribe"), "", IncomingKind.STOP),
        (
            Mail(subject="UnSubscribe"),
            "I have had enough of these and would like them to end. " * 2,
            IncomingKind.STOP,
        ),
        (
            Mail(subject="Stop"),
            "the lorries that come past number 12 at night, please do something about them",
            IncomingKind.REPLY,
        ),
        (Mail(subject="Re: STOP", is_auto_reply=True), "Sent from my phone", IncomingKind.STOP),
        (
            Mail(subject="STOP"),
            "I mean the dealers who stand at the corner of Elm Road every single night",
            IncomingKind.REPLY,
        ),
        (Mail(subject="Re: Patrols"), "Stop.", IncomingKind.STOP),
        (Mail(subject="Re: Patrols"), "2", IncomingKind.CHOICE),
        (Mail(subject="Bus stop"), "It is broken", IncomingKind.REPLY),
    ],
)
def test_a_mail_is_told_by_its_headers_first(mail: Mail, words: str, kind: IncomingKind) -> None:
    assert of_mail(mail, words).kind is kind


def test_what_comes_to_the_return_path_is_never_a_persons() -> None:
    odd = Mail(subject="Your mail", sender="someone@mx.example")
    assert (
        of_mail(odd, "It bounced, in words nobody knows", to_return_path=True).kind is IncomingKind.AUTO_REPLY
    )
    failed = Mail(bounces=GONE)
    assert of_mail(failed, "", to_return_path=True).kind is IncomingKind.BOUNCE


def test_an_emergency_in_the_subject_counts() -> None:
    assert of_mail(Mail(subject="Man with a knife"), "See above").urgent


def test_a_mail_of_nothing_is_a_reply() -> None:
    assert of_mail(read_mail(b""), "").kind is IncomingKind.REPLY
