"""What programs answer, in many languages; and people who use the same words."""

import pytest

from channels.mailread import read_mail


@pytest.mark.parametrize(
    "subject",
    [
        "Automatic reply: Lamp", "AutoReply: Lamp", "Out of Office: Lamp", "Re: Out of office", "Away from my desk", "I am currently out of the office",
        "On annual leave", "Ymateb awtomatig: Lamp", "Allan o'r swyddfa", "Abwesenheitsnotiz", "Automatische Antwort: Lamp", "R\u00e9ponse automatique : Lamp",
        "Absence du bureau", "Automatisch antwoord: Lamp", "Respuesta autom\u00e1tica: Lamp", "Fuera de la oficina", "Risposta automatica: Lamp",
        "Resposta autom\u00e1tica", "Automatiskt svar: Lamp", "Automatisk svar: Lamp", "Odpowied\u017a automatyczna: Lamp", "\u0410\u0432\u0442\u043e\u043e\u0442\u0432\u0435\u0442",
        "\u81ea\u52d5\u5fdc\u7b54: Lamp", "\u81ea\u52a8\u56de\u590d: Lamp", "Automaattinen vastaus", "Vacation reply",
        "Automatski odgovor: Lamp", "Automatyczna odpowied\u017a", "\u0631\u062f \u062a\u0644\u0642\u0627\u0626\u064a: Lamp", "\uc790\ub3d9 \ud68c\uc2e0: Lamp", "Reed, Sam is out of the office (returning 05/01/2027)",
        "AUTO: Sam Reed is out of the office.", "On annual leave until 4 May", "Received (auto-response)",
    ],
)  # fmt: skip
def test_an_absence_note_is_known_in_many_languages(subject: str) -> None:
    assert read_mail(f"From: a@x.example\nSubject: {subject}\n\nAway".encode()).is_auto_reply


@pytest.mark.parametrize(
    "head",
    [
        "Auto-Submitted: auto-replied (vacation)", "Auto-Submitted: auto-notified; owner-email=x", "X-Autorespond: x", "X-AutoReply: yes", "X-Auto-Response-Suppress: OOF",
        "Precedence: auto_reply", "X-Precedence: auto_reply", "X-Mailer: vacation 1.2", "X-POST-MessageClass: 9; Autoresponder", "X-FC-MachineGenerated: true",
    ],
)  # fmt: skip
def test_a_header_is_enough(head: str) -> None:
    assert read_mail(f"From: a@x.example\nSubject: Re: Lamp\n{head}\n\nAway".encode()).is_auto_reply


@pytest.mark.parametrize(
    "head",
    [
        "Subject: Re: Lamp", "Subject: Lamp\nAuto-Submitted: no", "Subject: Re: Lamp\nX-Auto-Response-Suppress: None", "Subject: Office lights left on",
        "Subject: My holiday let next door", "Subject: Automatic gates are broken", "Subject: Reply to your leaflet", "Subject: Absolutely not",
        "Subject: I am on leave, can we meet?\nReferences: <1@link.example>", "Subject: Vacant house",
        "Subject: On holiday: who watches my house?", "Subject: Absent parking wardens", "Subject: Out of office hours noise", "Subject: Annual leave of the PCSO: who covers?",
    ],
)  # fmt: skip
def test_a_person_is_not_taken_for_a_program(head: str) -> None:
    assert not read_mail(f"From: a@x.example\n{head}\n\nHello".encode()).is_automatic


def test_an_absence_told_in_an_answer_to_us_is_a_programs() -> None:
    head = "From: a@x.example\nSubject: On holiday: no mail\nIn-Reply-To: <1@link.example>\n\nAway"
    assert read_mail(head.encode()).is_auto_reply


def test_a_mail_daemon_is_no_person_whatever_it_writes() -> None:
    assert read_mail(b"From: Mailer-Daemon@mx.example\nSubject: Message status\n\nIt expired").is_automatic
