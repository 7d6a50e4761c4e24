"""Provider's calls kept as HTTP messages: all of one comes back, but for what proved who called."""

import pytest

from channels.base import HookRequest
from notifier.inbox import calls

ORIGIN = "https://link.example"


@pytest.mark.parametrize(
    "body", [b"", b"a=b", b"\r\n\r\nx\r\n", b"--b\r\n\r\n\xff\x00\r\n--b--", b"POST / HTTP/1.1"]
)
@pytest.mark.parametrize("target", ["/hooks/sms_mmg", "/hooks/sms_mmg?attempt=x%20y&z=\u00fc"])
def test_a_call_comes_back_as_it_was(target: str, body: bytes) -> None:
    headers = {
        "Content-Type": 'multipart/form-data; boundary="b: c"',
        "X-Odd": "\udcff \u00fc",
        "X-Empty": "",
    }
    call = HookRequest(url=f"{ORIGIN}{target}", headers=headers, body=body)
    assert calls.read(calls.written(call), ORIGIN) == call


def test_what_proved_who_called_is_not_kept() -> None:
    headers = {"authorization": "Basic c2VjcmV0", "Cookie": "c2VjcmV0", "Content-Type": "text/plain"}
    raw = calls.written(HookRequest(url=f"{ORIGIN}/hooks/email_postmark", headers=headers, body=b"{}"))
    assert b"c2VjcmV0" not in raw
    assert b"text/plain" in raw


@pytest.mark.parametrize(
    "raw", [b"", b"a=b", b"From: sam@resident.example\r\n\r\nIt is dark.", b"POST /x HTTP/1.1\r\nno end"]
)
def test_what_is_no_call_is_told_apart(raw: bytes) -> None:
    assert calls.read(raw, ORIGIN) is None
