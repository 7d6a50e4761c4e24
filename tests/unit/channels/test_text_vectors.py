"""Calls of UK text providers, and what residents write, against collections of others."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from channels import twilio_hooks
from channels.base import HookRequest, Incoming, Progress, Receipt
from channels.sms_firetext import SmsFiretext
from channels.sms_mmg import SmsMmg
from tests import vectors
from tests.fakes import firetext, mmg
from tests.vectors import Score

KEYS, OURS = ["key-0123456789abcdef"], "+447700900100"
PROVIDERS: dict[str, SmsFiretext | SmsMmg] = {
    "firetext": SmsFiretext("key", [OURS], KEYS),
    "mmg": SmsMmg("key", [OURS], KEYS),
}
# Rejected for good, and the number none the worse: others call both a permanent failure.
REJECTED = ("401", "2.", "5.")


def own_calls() -> list[dict[str, Any]]:
    def row(name: str, provider: str, kind: str, given: object, expected: dict[str, Any]) -> dict[str, Any]:
        return {"id": name, "provider": provider, "kind": kind, "input": given, "expected": expected}

    receipt, status = "delivery_receipt", "status_mapping"
    summer = "mobile=447700900001&status=0&time=2026-07-01 10:00:00&reference=d.mac"
    winter = summer.replace("2026-07-01", "2026-01-07")
    return [
        row("summer", "firetext", receipt, {"body": summer}, {"status": "delivered", "at_utc": "2026-07-01T09:00:00"}),
        row("winter", "firetext", receipt, {"body": winter}, {"at_utc": "2026-01-07T10:00:00"}),
        row("zone", "firetext", receipt, {"body": winter.replace("00&ref", "00%2B0300&ref")}, {"at_utc": "2026-01-07T07:00:00"}),
        row("no time", "firetext", receipt, {"body": "status=0&reference=a&time=soon"}, {"at_utc": None}),
        row("nobody", "firetext", status, {"status": "1", "detail": "101"}, {"status": "permanent-failure"}),
        row("absent", "firetext", status, {"status": "1", "detail": "102"}, {"status": "temporary-failure"}),
        row("rejected", "firetext", status, {"status": "1", "detail": "401"}, {"status": "permanent-failure"}),
        row("waits", "firetext", status, {"status": "2", "detail": None}, {"status": "pending"}),
        row("there", "mmg", status, {"status": "3", "detail": "5"}, {"status": "delivered"}),
        row("blocked", "mmg", status, {"status": "2", "detail": "4"}, {"status": "permanent-failure"}),
        row("later", "mmg", status, {"status": "4", "detail": "6"}, {"status": "temporary-failure"}),
        row("plus", "mmg", "text_decoding", "a+%2B+b%0A", {"text": "a + b\n"}),
        row("percent", "mmg", "text_decoding", "100%25+true", {"text": "100% true"}),
    ]  # fmt: skip


def body_of(row: dict[str, Any]) -> bytes:
    """The call a row stands for; some give only the part that matters."""
    given, provider = row["input"], row["provider"]
    if row["kind"] == "text_decoding":
        told = {"ID": "1", "MSISDN": "447700900001", "Number": OURS[1:], "Message": given}
        return json.dumps(told).encode()
    if row["kind"] == "status_mapping" and provider == "firetext":
        return urlencode(
            {"status": given["status"], "code": given["detail"] or "", "reference": "a"}
        ).encode()
    if row["kind"] == "status_mapping":
        told = {"reference": "a", "status": given["status"], "substatus": given["detail"] or ""}
        return json.dumps(told).encode()
    return str(given["body"]).encode()


def said(row: dict[str, Any]) -> dict[str, Any]:
    """What we read in the call, in the words of the vectors."""
    (event,) = PROVIDERS[row["provider"]].parse(HookRequest(url="", headers={}, body=body_of(row)))
    if isinstance(event, Incoming):
        return {"text": event.text, "from": event.sender.removeprefix("+")}
    assert isinstance(event, Receipt)
    at = event.at.astimezone(UTC).replace(tzinfo=None).isoformat() if event.at else None
    return {"accept": True, "at_utc": at, "status": kind_of(event)}


def kind_of(receipt: Receipt) -> str:
    match receipt.progress:
        case Progress.DELIVERED:
            return "delivered"
        case Progress.SENT:
            return "pending"
    is_final = receipt.permanent or receipt.code.startswith(REJECTED)
    return "permanent-failure" if is_final else "temporary-failure"


def test_every_call_of_a_uk_provider_says_what_it_says_to_others() -> None:
    score = Score()
    for row in own_calls() + vectors.cases("webhooks/uk_sms_providers.jsonl"):
        found = said(row)
        wrong = {
            name: found[name]
            for name in found.keys() & row["expected"]
            if found[name] != row["expected"][name]
        }
        score.add(not wrong, f"{row['id']}: {wrong}")
    score.check("webhooks/uk_sms_providers")


def test_what_residents_write_comes_in_unchanged_whoever_carries_it() -> None:
    own = ["STOP", " Ok  lar...\r\n", "£5 & 10% + more = 15?", "Tŷ 😀\0", "a%2Bb+c", "", "\ufeff“quoted”"]
    texts = own + [row["input"] for row in vectors.cases("sms/inbound_corpus.jsonl")]
    score, sender = Score(), "+447700900001"
    by_form, by_json = firetext.FakeFiretext(), mmg.FakeMmg()
    for text in texts:
        fields = {"MessageSid": "SM" + "0" * 32, "From": sender, "To": OURS, "Body": text}
        calls = [
            twilio_hooks.events_of(HookRequest(url="", headers={}, body=urlencode(fields).encode())),
            *(
                PROVIDERS[name].parse(HookRequest(url="", headers={}, body=body))
                for name, body in (
                    ("firetext", by_form.reply_form(sender=sender, to=OURS, body=text)),
                    ("mmg", by_json.reply_body(sender=sender, to=OURS, body=text)),
                )
            ),
        ]
        found = [(each.sender, each.recipient, each.text) for (each,) in calls if isinstance(each, Incoming)]
        score.add(found == [(sender, OURS, text)] * 3, text)
    score.check("sms/inbound_corpus")


@pytest.mark.parametrize("name", ["firetext", "mmg"])
def test_a_providers_time_is_londons_where_it_names_no_zone(name: str) -> None:
    bodies = {
        "firetext": b"status=0&reference=a&time=2026-10-25 00:59:00",
        "mmg": b'{"status": "3", "reference": "a", "deliverytime": "2026-10-25+00%3A59%3A00"}',
    }
    (event,) = PROVIDERS[name].parse(HookRequest(url="", headers={}, body=bodies[name]))
    assert event.at == datetime(2026, 10, 24, 23, 59, tzinfo=UTC)
