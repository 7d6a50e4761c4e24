"""Which numbers we text, against the collection of GOV.UK Notify and the examples of libphonenumber."""

from typing import Any

from channels import addresses
from channels.errors import BadAddress
from tests import vectors
from tests.vectors import Score

OWN: list[dict[str, Any]] = [
    {"id": "own 1", "input": "07700 900 461", "expected": {"valid": True, "e164": "+447700900461", "kind": "mobile"}},
    {"id": "own 2", "input": "0044(0)7400-123456", "expected": {"valid": True, "e164": "+447400123456"}},
    {"id": "own 8", "input": "7400123456", "expected": {"valid": True, "e164": "+447400123456"}},
    {"id": "own 9", "input": "44 07400 123456", "expected": {"valid": True, "e164": "+447400123456"}},
    {"id": "own 10", "input": "74001234567", "expected": {"valid": False}},
    {"id": "own 3", "input": "020 7946 0000", "expected": {"valid_number": True, "kind": "landline"}},
    {"id": "own 4", "input": "+353 86 123 4567", "expected": {"valid_international": True, "uk": False}},
    {"id": "own 5", "input": "07911 12345x", "expected": {"valid": False}},
    {"id": "own 6", "input": "07624 123456", "expected": {"valid_number": True, "type": "mobile", "region": "IM"}},
    {"id": "own 7", "input": "07012 345678", "expected": {"valid_number": True, "type": "personalNumber", "e164": "+447012345678"}},
]  # fmt: skip


def wanted(row: dict[str, Any]) -> bool:
    """Should a text go there? To UK mobiles alone, and not to those of Man and the Channel Islands."""
    expected, info = row["expected"], row["expected"].get("info")
    if info is not None:
        return not info["international"]
    if "valid" in expected:
        return bool(expected["valid"])
    if "human" in expected:
        return str(expected["human"]).startswith("07")
    if "normalised_recipient" in expected:
        return str(expected["normalised_recipient"]).startswith("447")
    kind = expected.get("type", expected.get("kind"))
    return bool(expected.get("valid_number")) and kind == "mobile" and expected.get("region") == "GB"


def texted(number: str) -> str | None:
    try:
        return addresses.uk_mobile(number)
    except BadAddress:
        return None


def test_uk_mobiles_are_texted_under_one_spelling_and_nothing_else_is() -> None:
    score = Score()
    for row in OWN + vectors.cases("phones/phone_numbers.jsonl"):
        expected, found = row["expected"], texted(row["input"])
        e164 = expected.get("e164") or (
            f"+{each}" if (each := expected.get("normalised_recipient", "")).startswith("44") else None
        )
        # Also a number that we never text has one spelling when a text comes from there.
        spelled = e164 is None or addresses.incoming_number(row["input"]) == e164
        is_right = (found is not None) == wanted(row) and (found is None or e164 in (None, found)) and spelled
        if "@" not in row["input"]:
            score.add(is_right, f"{row['id']}: {row['input']!r} {found} {expected}")
    score.check("phones/phone_numbers")
