"""Mail as octets: no line that a server would read as its end, none too long, and addresses read quickly but not loosely."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from channels import addresses
from channels.base import Content, Medium, hole
from channels.email_smtp import _is_one_spelling, _one_spelling
from channels.errors import BadAddress
from channels.mime import compile_mail, header
from tests.unit.channels.test_mime import AT, made, read, words_of

DOTTED = st.lists(st.sampled_from(["a", "b", ".", " ", "\t", "\n", "From ", "x" * 73]), max_size=60).map(
    "".join
)
VALUE = st.text("ab. é", max_size=120)


@given(before=DOTTED, after=DOTTED, value=VALUE)
@example(before="", after=".", value="")
@example(before="Dear ", after=". Welcome", value="")
@example(before="x" * 76, after="." * 90, value="." * 90)
@example(before="From ", after="\n..From b\n", value="From me")
@example(before=("x" * 74 + " \n") + ("x" * 75 + "\t\n"), after="", value="")
def test_no_line_of_a_mail_begins_with_a_dot_or_from_or_is_too_long(
    before: str, after: str, value: str
) -> None:
    words = f"{before}{hole('v')}{after}"
    content = Content(medium=Medium.EMAIL, language="en", subject="S", text=words, html=words)
    raw = made(content, {"v": value})
    assert b"\r\n." not in b"\r\n" + raw
    assert b"\r\nFrom " not in raw
    assert raw.endswith(b"\r\n")
    assert all(len(line) <= 76 for line in raw.split(b"\r\n"))
    assert b"\n" not in raw.replace(b"\r\n", b"")
    flat = " ".join(value.split())
    assert words_of(read(raw)) == f"{before}{flat}{after}"


def test_a_copy_is_whole_lines() -> None:
    content = Content(medium=Medium.EMAIL, language="en", text="no break at the end")
    assert made(content).endswith(b"\r\n")
    assert compile_mail(content).pieces[-1] != b""


@given(
    name=st.sampled_from(["X-A", "List-Unsubscribe"]),
    words=st.lists(st.text("abc<>", min_size=1, max_size=90), max_size=8),
)
def test_a_header_is_folded_only_where_it_must_be(name: str, words: list[str]) -> None:
    written = header(name, " ".join(words))
    assert written.replace("\r\n", "") == f"{name}: {' '.join(words)}"
    assert ("\r\n " in written) <= (len(written) > 78)


def test_the_date_is_of_the_second_and_in_greenwich() -> None:
    raw = made(Content(medium=Medium.EMAIL, language="en", text="x"))
    assert read(raw)["Date"].datetime == AT
    assert b"\r\nDate: Wed, 04 Mar 2026 05:06:07 +0000\r\n" in raw


LOCAL = st.text("abzAZ09.+-_'\"@ é\\<>\r\n\0", min_size=0, max_size=8)
DOMAIN = st.text("abz09.-_é xn", min_size=0, max_size=12)
TOP = st.sampled_from(
    ["example", "uk", "test", "local", "invalid", "localhost", "c", "co1", "xn--p1ai", "onion"]
)


@given(local=LOCAL, domain=DOMAIN, top=TOP)
@example(local="a", domain="ab--c", top="uk")
@example(local="a", domain="-a", top="uk")
@example(local="a" * 65, domain="b", top="uk")
@example(local="a", domain="b" * 64, top="uk")
@example(local="a", domain=".".join(["b" * 60] * 5), top="uk")
@example(local="a\n", domain="b", top="uk")
@example(local="a", domain="b", top="uk\n")
def test_what_is_read_quickly_is_read_as_the_whole_rule_reads_it(local: str, domain: str, top: str) -> None:
    address = f"{local}@{domain}.{top}"
    try:
        expected = addresses.email(address)
    except BadAddress:
        with pytest.raises(BadAddress):
            _one_spelling(address)
        return
    assert _one_spelling(address) == expected


@pytest.mark.parametrize("address", ["sam@resident.example", "o'neil+x@a-b.c0.co.uk", "{a}@b.uk"])
def test_an_ordinary_address_is_read_quickly(address: str) -> None:
    assert _is_one_spelling(address)
    assert addresses.email(address) == address
