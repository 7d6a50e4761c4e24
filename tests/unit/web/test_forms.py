"""Forms: what is sent is read once, checked field by field, and kept as typed."""

from typing import Annotated

import pytest
from aiohttp import web
from pydantic import field_validator

from notifier.web.forms import Form, Says, parsed, read
from subscribers.models import Frequency


class Order(Form):
    """A form with one of each."""

    tea: tuple[str, ...] = ()
    cups: Annotated[int, Says(sentence="Say how many cups")]
    when: Annotated[Frequency, Says(sentence="Choose when")] = Frequency.DAILY
    name: str = ""

    @field_validator("name")
    @classmethod
    def _is_there(cls, value: str) -> str:
        if not value:
            raise ValueError("Say who you are")
        return value


def test_a_right_form_gives_its_value() -> None:
    filled = read(Order, parsed(b"tea=green&tea=black&cups=2&name=+Jo+&more=x"))
    assert filled.value == Order(tea=("green", "black"), cups=2, name="Jo")
    assert not filled.errors


def test_every_fault_has_one_sentence_in_the_order_of_the_form() -> None:
    filled = read(Order, parsed(b"when=never&cups=many"))
    assert filled.value is None
    assert list(filled.errors.items()) == [
        ("cups", "Say how many cups"), ("when", "Choose when"), ("name", "Say who you are"),
    ]  # fmt: skip


def test_what_was_typed_is_kept() -> None:
    filled = read(Order, parsed(b"tea=green&cups=many"))
    assert filled.text("cups") == "many"
    assert filled.has("tea", "green")
    assert not filled.has("tea", "black", default=True)
    assert filled.text("name", "Jo") == "Jo"


def test_a_single_answer_given_twice_is_refused() -> None:
    with pytest.raises(web.HTTPBadRequest):
        read(Order, parsed(b"cups=1&cups=2"))


def test_bytes_that_are_no_text_do_no_harm() -> None:
    sent = parsed(b"a=%FF%FE&b=%00&c=%ED%A0%80&\xff=1")
    assert sent.one("a") == "\ufffd\ufffd"
    assert sent.one("b") == "\x1a"
    assert "".join(sent.one("c") or "").encode()


def test_a_form_of_thousands_of_fields_is_refused() -> None:
    with pytest.raises(web.HTTPBadRequest):
        parsed(b"a=1&" * 5_000)
