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
    ],
)  # fmt: skip
def test_a_person_is_not_taken_for_a_program(head: str) -> None:
    assert not read_mail(f"From: a@x.example\n{head}\n\nHello".encode()).is_automatic
