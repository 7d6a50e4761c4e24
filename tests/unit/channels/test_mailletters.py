"""Octets as letters: mislabelled charsets, mixed ones, encoded words that programs got wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.mailletters import decoded, letters


@pytest.mark.parametrize(
    ("octets", "charset", "read"),
    [
        (b"\x93lamp\x94 \x96 out", "iso-8859-1", "“lamp” – out"),
        ("Ystâd".encode(), "us-ascii", "Ystâd"),
        ("Ystâd".encode(), "iso-8859-1", "Ystâd"),
        ("Ystâd ".encode() + "Tŷ".encode("iso-8859-14"), "utf-8", "Ystâd Tþ"),
        ("фонарь".encode("koi8-r"), "KOI8-R", "фонарь"),
        ("фонарь".encode("cp1251"), '"windows-1251"', "фонарь"),
        ("路灯㎝".encode("gb18030"), "gb2312", "路灯㎝"),
        ("가로등 똠".encode("cp949"), "ks_c_5601-1987", "가로등 똠"),
        ("街灯①".encode("cp932"), "shift_jis", "街灯①"),
        ("街灯".encode("iso-2022-jp"), "iso-2022-jp", "街灯"),
        (b"Tom+AOk-", "unicode-1-1-utf-7", "Tomé"),
        (b"Tom\xe9", "utf-7", "Tomé"),
        (b"Tom\xe9", "zlib", "Tomé"),
        (b"Tom\xe9", "x" * 5_000, "Tomé"),
        (b"\xef\xbb\xbfTom", "utf-8", "Tom"),
        ("路灯".encode("gb18030") + b"\xff", "gb2312", "路灯\ufffd"),
    ],
)
def test_octets_are_read_as_they_were_meant(octets: bytes, charset: str, read: str) -> None:
    assert letters(octets, charset) == read


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("=?utf-8?q?caf=C3?= =?UTF-8?q?=A9?= x", "café x"),
        ("=?iso-2022-jp?B?GyRCMzlFdBsoQg==?= =?ISO-2022-JP?B?GyRCMzkbKEI=?=", "街灯街"),
        ("a =?utf-8?q?b?= c =?utf-8?q?d?==?utf-8?q?e?= f", "a b c de f"),
        ("=?utf-8*cy?q?t=C5=B7?=", "tŷ"),
        ("=?utf-8?q?two words?=", "two words"),
        ("=?utf-8?b?Y2Fmw6k?=", "café"),
        ("=?utf-8?b?!!!!?=", ""),
        ("=?utf-8?q?never ended", "=?utf-8?q?never ended"),
        ("=?nonsense?q?x?=", "x"),
        ("is 2=?3", "is 2=?3"),
    ],
)
def test_encoded_words_are_read_whoever_wrote_them(value: str, read: str) -> None:
    assert decoded(value) == read


@given(st.binary(max_size=300), st.text(max_size=20))
def test_any_octets_have_letters(octets: bytes, charset: str) -> None:
    assert isinstance(letters(octets, charset), str)
    assert isinstance(decoded(f"=?{charset}?b?{octets!r}?= =?{charset}?q?{octets!r}?="), str)
