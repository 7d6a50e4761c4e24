"""The dry run before approval: a template at fault is a sentence for the author, not a thousand rows held back."""

import time
from collections.abc import Callable

import pytest

from channels.base import Content, Medium, hole
from channels.email_smtp import EmailSmtp
from channels.memory import Memory
from notifier.delivery import rehearse
from notifier.delivery.wording import Words
from subscribers.signing import Keys
from templates import render
from templates.render import CannotRender

WORDS = Words(template="message", variables={"title": "T", "body": "Words"}, language="en")


def _loops(*_: object, **__: object) -> Content:
    while True:
        pass


def _divides(*_: object, **__: object) -> Content:
    raise ZeroDivisionError


def _lacks(*_: object, **__: object) -> Content:
    raise CannotRender("message/en/sms.txt: 'area' is undefined")


def _asks(*_: object, **__: object) -> Content:
    return Content(medium=Medium.SMS, language="en", text=f"Hello {hole('first_name')}")


def _halves(*_: object, **__: object) -> Content:
    return Content(medium=Medium.SMS, language="en", text="half \ud83d")


@pytest.mark.parametrize(
    ("poison", "said"),
    [
        (_loops, "making it takes too long"),
        (_divides, "the template is at fault (ZeroDivisionError"),
        (_lacks, "the template is at fault (CannotRender: message/en/sms.txt"),
        (_asks, "the template asks for “first_name”, which nobody has"),
        (_halves, "half a character"),
    ],
)
def test_a_poisoned_template_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, poison: Callable[..., Content], said: str
) -> None:
    monkeypatch.setattr(render, "message", poison)
    monkeypatch.setattr(rehearse, "MOST_SECONDS", 0.1)
    before = time.monotonic()
    people = rehearse.awkward_people(Keys(["a secret that only the tests know"]), "https://link.example")
    found = rehearse.rehearse(WORDS, Medium.SMS, Memory(), people)
    assert said in found.problem
    assert found.content.text
    assert time.monotonic() - before < 2


def test_a_mail_without_fault_has_nothing_said_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the mail channel itself fills in at sending is nobody's lack."""

    def made(*_: object, **__: object) -> Content:
        footer = f"Leave: {hole('unsubscribe_url')}"
        return Content(medium=Medium.EMAIL, language="en", subject="T", text=footer, sender_name="Link")

    monkeypatch.setattr(render, "message", made)
    mail = EmailSmtp.from_env(
        {"NOTIFIER_SMTP_URL": "smtp://127.0.0.1:25", "NOTIFIER_MAIL_DOMAIN": "a.example"}
    )
    people = rehearse.awkward_people(Keys(["a secret that only the tests know"]), "https://link.example")
    assert rehearse.rehearse(WORDS, Medium.EMAIL, mail, people).problem == ""
