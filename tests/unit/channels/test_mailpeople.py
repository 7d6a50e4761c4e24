"""Lists of people, as programs write them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.mailpeople import people_in

SAM = "sam@x.example"


@pytest.mark.parametrize(
    ("value", "people"),
    [
        ("Sam Jones <Sam@X.example>", [("Sam Jones", SAM)]),
        ('"Jones, Sam" <sam@x.example>, b@x.example', [("Jones, Sam", SAM), ("", "b@x.example")]),
        ("=?utf-8?q?S=C3=A2m?= sam@x.example", [("Sâm", SAM)]),
        ('"Sam" sam@x.example', [("Sam", SAM)]),
        ("Sam @ Home <sam@x.example>", [("Sam @ Home", SAM)]),
        ("b@y.example <sam@x.example>", [("b@y.example", SAM), ("", "b@y.example")]),
        ('"b@y.example" <sam@x.example>', [("b@y.example", SAM)]),
        ("Sam@X.example <sam@x.example>", [("Sam@X.example", SAM)]),
        ("'b@y.example' via List <sam@x.example>", [("'b@y.example' via List", SAM), ("", "b@y.example")]),
        ("sam@x.example (Sam (the) Jones)", [("Sam the Jones", SAM)]),
        ("Team: a@x.example, Sam <sam@x.example>;", [("", "a@x.example"), ("Sam", SAM)]),
        ("Sam <sam @x.example>; b@x.example", [("Sam", SAM), ("", "b@x.example")]),
        ("Sam <sam@x.example", [("Sam", SAM)]),
        ('"Sam <sam@x.example>', [('"Sam', SAM)]),
        ('"S. \\"Lamp\\" J." <sam@x.example>', [('S. "Lamp" J.', SAM)]),
        ("<@r.example:sam@x.example>", [("", SAM)]),
        ("mailto:sam@x.example", [("", SAM)]),
        ("'sam@x.example'", [("", SAM)]),
        ("=?utf-8?q?Sam_=3Csam=40x.example=3E?=", [("Sam", SAM)]),
        ("<a@x.example> <b@x.example>", [("", "a@x.example"), ("", "b@x.example")]),
        ("sâm@ystâd.example", [("", "sâm@ystâd.example")]),
        ("undisclosed-recipients:;", []),
        ("MAILER-DAEMON", []),
    ],
)
def test_people_are_found_however_they_are_written(value: str, people: list[tuple[str, str]]) -> None:
    assert list(people_in(value)) == people


@pytest.mark.parametrize(
    "piece", ["(", '"', '"\\"', "<", "<a", '"a@', "a@", ":", ",", "=?utf-8?q?a?= ", "a@b.c,"]
)
def test_a_list_is_read_in_a_moment(piece: str) -> None:
    began = time.process_time()
    for _ in range(5):
        list(people_in(piece * (8_000 // len(piece))))
    assert time.process_time() - began < 0.5


@given(st.text(max_size=200))
def test_any_list_can_be_read(value: str) -> None:
    assert all("@" in address for _, address in people_in(value))
