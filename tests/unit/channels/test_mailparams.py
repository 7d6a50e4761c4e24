"""Names of files and charsets, as programs write them into the head of a part."""

import time
from email import message_from_bytes, policy

import pytest

from channels.mailparams import parameter, value_of


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ('attachment; filename="lamp.png"', "lamp.png"),
        ("attachment;filename=my lamp.png ;x=y", "my lamp.png"),
        ("attachment; filename*=iso-8859-1'cy'l%E2mp.png", "lâmp.png"),
        ("attachment; filename*0*=UTF-8''l%C3%A2; filename*1*=mp.; filename*2=png; filename=\"l...\"", "lâmp.png"),
        ('attachment; filename="la..."; filename*0="lamp"; filename*1=".png"', "lamp.png"),
        ("x; filename*1*=%B1%B9.png; filename*0*=euc-kr''%C7%D1", "한국.png"),
        ('attachment; FileName = "=?utf-8?B?bMOibXA=?=.png"', "lâmp.png"),
        ('attachment; filename="a \\"lamp\\".png"; z=1', 'a "lamp".png'),
        ('attachment; filename="C:\\new\\lamp.png"', "C:\\new\\lamp.png"),
        ('attachment; filename="lamp.png', "lamp.png"),
        ('x; y="; filename=no.png"; filename=lamp.png', "lamp.png"),
        ("attachment", ""),
    ],
)  # fmt: skip
def test_a_file_is_called_what_its_sender_called_it(field: str, name: str) -> None:
    assert value_of(field, "filename") == name


def test_a_name_in_eight_bits_keeps_its_letters() -> None:
    part = message_from_bytes(
        'Content-Disposition: inline; filename="lâmp.png"\n\n'.encode(), policy=policy.compat32
    )
    assert parameter(part, "content-disposition", "filename") == "lâmp.png"


@pytest.mark.parametrize("piece", [';a="', ';a=\\"', "; ", ";a=", " ", ";a*1*=b", '"', "\\", "; " + "a" * 60])
def test_a_field_is_read_in_a_moment(piece: str) -> None:
    began = time.process_time()
    for begin in ("; filename=", '; filename="', ""):
        value_of(begin + piece * (16_000 // len(piece)), "filename")
    assert time.process_time() - began < 0.2
