"""Twilio's calls, as its own libraries sign them and as others read them."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from multidict import MultiDict

from channels import twilio_hooks
from channels.base import HookRequest, Incoming, Progress, Receipt
from channels.errors import BadHook
from tests import vectors
from tests.vectors import Score

URL = "https://link.example/hooks/sms_twilio?attempt=at.mac"
SID = "SM" + "5" * 32
_STATUS = {Progress.DELIVERED: "Delivered", Progress.UNDELIVERED: "Failed", Progress.SENT: "Sent"}


def signature_rows() -> list[dict[str, Any]]:
    fields = {"CallSid": "CA1234567890ABCDE", "Caller": "+14158675309", "Digits": "1234"}
    more = {"From": "+14158675309", "To": "+18005551212"}
    known = "RSOYDt4T1cUTdK1PDd93/VVr8B8="  # of Twilio's own page on validating requests
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    own = [
        (url, fields | more, known, True),
        (url.replace(".com", ".com:443"), fields | more, known, True),
        (url, fields | more | {"Digits": "1235"}, known, False),
        (url.replace("https", "http"), fields | more, known, False),
        (url, fields | more, known.lower(), False),
        (url, fields | more, "", False),
    ]
    rows = [
        {
            "id": f"own {at}",
            "input": {"auth_token": "12345", "url": url, "params": params, "signature": signature},
            "expected": {"valid": valid},
        }
        for at, (url, params, signature, valid) in enumerate(own)
    ]
    published = vectors.cases("webhooks/twilio_signature.jsonl")
    return rows + [row for row in published if row.get("portable")]


def test_every_signature_is_judged_as_twilios_libraries_judge_it() -> None:
    score = Score()
    for row in signature_rows():
        given = row["input"]
        pairs = [
            (name, each)
            for name, values in given["params"].items()
            for each in (values if isinstance(values, list) else [values])
        ]
        found = twilio_hooks.is_signed(
            given["url"], MultiDict(pairs), given["signature"] or "", [given["auth_token"]]
        )
        score.add(found is row["expected"]["valid"], row["id"])
    score.check("webhooks/twilio_signature")


def payload_rows() -> list[dict[str, Any]]:
    own = [
        (f"MessageSid={SID}&MessageStatus=delivered", {"status": "Delivered", "external_id": SID}),
        (
            f"MessageSid={SID}&MessageStatus=failed&ErrorCode=21610&To=%2B447700900001",
            {"status": "Failed", "external_id": SID, "event": "StopContact"},
        ),
        (
            f"MessageSid={SID}&From=%2B447700900001&To=%2B447700900100&Body=Msg&NumMedia=0",
            {"text": "Msg", "from": "+447700900001", "external_id": SID},
        ),
        ("MessageStatus=delivered", {}),
        (" ", {}),
    ]
    rows = [
        {"id": f"own {at}", "input": {"body": body}, "expected": wanted}
        for at, (body, wanted) in enumerate(own)
    ]
    return rows + vectors.cases("webhooks/twilio_payloads.jsonl")


def said(row: dict[str, Any]) -> dict[str, Any]:
    """What we read in a call, in the words of the vectors; nothing where it cannot be read."""
    try:
        events = twilio_hooks.events_of(HookRequest(url=URL, headers={}, body=row["input"]["body"].encode()))
    except BadHook:
        return {}
    match events:
        case [Incoming() as incoming]:
            return {
                "text": incoming.text,
                "from": incoming.sender,
                "external_id": incoming.event_id,
                "media": incoming.media,
            }
        case [Receipt() as receipt]:
            stop = {"event": "StopContact"} if receipt.opted_out else {}
            return {"status": _STATUS[receipt.progress], "external_id": receipt.provider_id, **stop}
    return {}


@pytest.mark.parametrize("row", payload_rows(), ids=lambda row: row["id"])
def test_every_call_is_read_as_others_read_it(row: dict[str, Any]) -> None:
    found, expected = said(row), row["expected"]
    for name in ("text", "from", "external_id", "status", "event"):
        if name in expected:
            assert found.get(name) == str(expected[name]).removeprefix("tel:"), name
    assert list(found.get("media", ())) == expected.get("attachments", [])
    if not dict(parse_qsl(row["input"]["body"])).get("MessageSid"):
        assert found == {}
    assert found.get("event") == expected.get("event")
