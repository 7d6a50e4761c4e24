"""Mail as it is composed: every piece is read back by the library and compared."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Content, Medium, hole, without_holes
from channels.errors import CannotExpress
from channels.mime import compile_mail, date_line, envelope, header

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=120)


def content(**words: str) -> Content:
    return Content(**{"medium": Medium.EMAIL, "language": "en", "text": "Hello", **words})  # type: ignore[arg-type]


def made(
    what: Content,
    values: dict[str, str] | None = None,
    *,
    reply_to: str = "",
    headers: dict[str, str] | None = None,
) -> bytes:
    own = envelope(
        sender="team@link.example",
        to="sam@resident.example",
        message_id="<d.x@link.example>",
        date=date_line(AT),
        reply_to=reply_to,
        headers=headers,
    )
    return compile_mail(what).fill({**(values or {}), **own})


def read(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.SMTP)
    assert not message.defects
    return message


def words_of(message: EmailMessage, kind: str = "plain") -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_a_mail_has_both_parts_and_its_headers() -> None:
    message = read(
        made(
            content(
                subject="Meeting on Tuesday",
                text="Hello\n",
                html="<p>Hello</p>\n",
                sender_name="Southmere SNT",
            ),
            reply_to="r+x@link.example",
            headers={
                "List-Unsubscribe": "<https://link.example/u/x>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            },
        )
    )
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert message["From"] == "Southmere SNT <team@link.example>"
    assert message["To"] == "sam@resident.example"
    assert message["Reply-To"] == "r+x@link.example"
    assert message["Message-ID"] == "<d.x@link.example>"
    assert message["Date"].datetime == AT
    assert message["Subject"] == "Meeting on Tuesday"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize("text", ["é" * 200, "বাংলা " * 20, "=?utf-8?q?x?=", "a" * 300])
def test_no_line_of_a_header_is_too_long_for_encoded_words(text: str) -> None:
    raw = made(content(subject=text, sender_name=text, html="<p>x</p>"))
    message = read(raw)
    assert message["Subject"].split() == text.split()
    assert all(len(line) <= 76 for line in raw.split(b"\r\n") if b"=?" in line)
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))


def test_a_name_that_looks_like_an_encoded_word_is_shown_as_it_is() -> None:
    name = "=?utf-8?q?=41?="
    raw = made(replace(content(sender_name=name), headers=(("List-Id", f"{name} <snt.link.example>"),)))
    assert read(raw)["From"].addresses[0].display_name == name
    assert str(read(raw)["List-Id"]) == f"{name} <snt.link.example>"


def test_a_mail_without_html_is_one_part() -> None:
    message = read(made(content(text="Only words")))
    assert message.get_content_type() == "text/plain"
    assert words_of(message) == "Only words\n"


@given(subject=WORDS, name=WORDS, value=st.text(max_size=200), text=WORDS, html=WORDS)
def test_all_words_come_back_as_they_went_in(
    subject: str, name: str, value: str, text: str, html: str
) -> None:
    subject, name, text, html = (without_holes(each) for each in (subject, name, text, html))
    what = content(
        subject=f"{subject}{hole('v')}!",
        sender_name=name,
        text=f"{text}{hole('v')}\n.{text}",
        html=f"<p>{html}{hole('v')}</p>",
    )
    value = value.encode("utf-8", "replace").decode()
    flat = " ".join(value.split())
    message = read(made(what, {"v": value}))
    assert " ".join(str(message["Subject"]).split()) == " ".join(f"{subject}{flat}!".split())
    assert words_of(message) == f"{text}{flat}\n.{text}".replace("\r", "\n")
    assert f"{html}" in words_of(message, "html").replace("\r", "\n")
    assert "<b>" not in words_of(message, "html").replace(html, "")


@given(st.dictionaries(st.just("v"), st.text(max_size=600), min_size=1, max_size=1))
def test_no_value_makes_a_header_or_a_part_or_a_long_line(values: dict[str, str]) -> None:
    values = {"v": values["v"].encode("utf-8", "replace").decode()}
    what = content(subject=f"News for {hole('v')}", text=hole("v"), html=hole("v"), sender_name="A")
    raw = made(what, values)
    message = read(raw)
    assert [key for key, _ in message.items()] == [
        "From", "Subject", "Date", "To", "Message-ID", "Content-Language", "MIME-Version", "Content-Type",
    ]  # fmt: skip
    assert len(list(message.iter_parts())) == 2
    assert all(len(line) <= 78 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert raw.isascii()


@pytest.mark.parametrize("bad", ["a\r\nBcc: x@y.example", "a\nb", "a\0b"])
def test_a_line_break_in_subject_or_name_cannot_be_expressed(bad: str) -> None:
    with pytest.raises(CannotExpress, match="subject"):
        compile_mail(content(subject=bad))
    with pytest.raises(CannotExpress, match="sender's name"):
        compile_mail(content(sender_name=bad))


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "a\r\nBcc: v@x.example"},
        {"X-A": "a\nb"},
        {"X-A": "a\0"},
        {"X-A": "é"},
        {"X-A\r\nBcc": "v@x.example"},
        {"": "a"},
        {"Bcc": "v@x.example"},
        {"from": "v@x.example"},
        {"Content-Type": "text/html"},
        {"X-A": "a" * 1200},
    ],
)
def test_a_header_that_would_break_out_or_double_ours_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        made(content(), headers=headers)


MARKS = (
    ("List-Id", "Alderbrook SNT <alderbrook-snt.link.example>"),
    ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    ("Feedback-ID", "a1b2c3:alderbrook-snt:alert:link-example"),
)


def test_headers_of_every_copy_are_compiled_with_the_words() -> None:
    what = Content(medium=Medium.EMAIL, language="en", text="Hello", headers=MARKS)
    message = read(made(what, headers={"List-Unsubscribe": "<https://link.example/u/x>"}))
    for name, value in MARKS:
        assert message.get_all(name) == [value]
    assert message["List-Unsubscribe"] == "<https://link.example/u/x>"


@pytest.mark.parametrize(
    "name", ["Tîm Y Coed", 'St. Mary\'s, "SNT"', "x" * 70, "é" * 80, "Long name of a team " * 5]
)
def test_a_lists_name_may_hold_anything_and_its_id_stays_as_it_is(name: str) -> None:
    what = Content(medium=Medium.EMAIL, language="en", text="x", headers=(("List-Id", f"{name} <a-b.link.example>"),))  # fmt: skip
    raw = made(what)
    assert raw.isascii()
    assert all(len(line) <= 78 for line in raw.split(b"\r\n"))
    words, list_id = parseaddr(str(read(raw)["List-Id"]))
    assert list_id == "a-b.link.example"
    assert " ".join(words.split()) == name.strip()


@pytest.mark.parametrize(
    "header_and_value",
    [
        ("List-Id", "a\r\nBcc: v@x.example <a.b>"),
        ("List-Id", "a <a.b\r\nBcc: v@x.example>"),
        ("List-Id", "a <a.bé>"),
        ("List-Id", "a\0 <a.b>"),
        ("Feedback-ID", "a\nb"),
        ("Feedback-ID", "é"),
        ("X\r\nBcc", "v@x.example"),
        ("Bcc", "Sam <v@x.example>"),
        ("From", "v@x.example"),
    ],
)
def test_a_header_of_every_copy_cannot_break_out_either(header_and_value: tuple[str, str]) -> None:
    with pytest.raises(CannotExpress):
        compile_mail(Content(medium=Medium.EMAIL, language="en", text="x", headers=(header_and_value,)))


def test_long_headers_are_folded_at_spaces_and_read_back_whole() -> None:
    references = " ".join(f"<d.{n:030d}@link.example>" for n in range(20))
    folded = header("References", references)
    assert all(len(line) <= 76 for line in folded.split("\r\n"))
    assert read(made(content(), headers={"References": references}))["References"] == references


def test_the_same_content_is_compiled_to_the_same_pieces() -> None:
    what = content(subject="S", text=f"Hi {hole('name')}", html="<p>x</p>")
    assert compile_mail(what) == compile_mail(what)
    assert sum(isinstance(piece, bytes) for piece in compile_mail(what).pieces) <= 4
