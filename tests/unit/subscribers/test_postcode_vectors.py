"""Postcode vectors of other libraries: shape, real areas, parts and look-alikes."""

from typing import Any

from subscribers.postcodes import (
    AREAS,
    Elsewhere,
    Impossible,
    Incomplete,
    Suggested,
    Unit,
    Whole,
    read,
    split,
)
from tests import vectors
from tests.vectors import Score

OWN_SHAPES = [
    {"input": "sw9 6tx", "level": "format", "expected": {"valid": True, "normalised": "SW9 6TX"}},
    {"input": "QQ9 6TX", "level": "format", "expected": {"valid": True, "normalised": "QQ9 6TX"}},
    {"input": "QQ9 6TX", "level": "real-area", "expected": {"valid": False, "normalised": None}},
    {"input": "SW9 6CX", "level": "format", "expected": {"valid": False, "normalised": None}},
    {"input": "SW9", "level": "outward", "expected": {"valid": True, "normalised": None}},
]
OWN_PARTS = [{"input": "NW1W 6TX", "expected": {"sub-districts": "NW1W"}}]
OWN_SLIPS = [{"input": "SW9 OTX", "expected": {"corrected": "SW9 0TX"}}]

# Their answers are no postcodes of a real area, so we say so instead of suggesting them.
NEVER_SUGGESTED = {"OW1 0AA", "OW1A 0AA", "SW1A 2OA", "SW1A 2AO", "SWO 0AA"}


def shape_of(text: str) -> Unit | None:
    return split("".join(sign for sign in text.upper() if sign.isalnum()))


def is_right(case: dict[str, Any]) -> bool:
    text: str = case["input"]
    valid: bool | None = case["expected"]["valid"]
    normalised: str | None = case["expected"]["normalised"]
    unit, reading = shape_of(text), read(text)
    if valid is None:  # special postcodes of no place: whatever we say, we must say something
        return isinstance(reading, Elsewhere | Impossible)
    if case["level"] == "outward":
        return reading == Incomplete()
    if case["level"] == "real-area":
        is_real = unit is not None and unit.area in AREAS | {"BF", "BX"}
        return valid == (is_real and isinstance(reading, Whole | Elsewhere))
    return valid == (unit is not None) and normalised in (None, str(unit))


def test_postcodes_are_told_from_other_text() -> None:
    score = Score()
    for case in OWN_SHAPES + vectors.cases("postcodes/validity.jsonl"):
        score.add(is_right(case), case)
    score.check("validity")


def test_postcodes_come_apart_as_elsewhere() -> None:
    score = Score()
    for case in OWN_PARTS + vectors.cases("postcodes/parts.jsonl"):
        unit = shape_of(case["input"])
        assert unit is not None
        parts = {
            "areas": unit.area,
            "districts": unit.district,
            "sub-districts": unit.sub_district,
            "sectors": unit.sector,
            "outcodes": unit.outward,
            "incodes": unit.inward,
            "units": unit.letters,
        }
        ((part, value),) = case["expected"].items()
        score.add(parts[part] == value, case)
    score.check("parts")


def test_look_alikes_are_suggested() -> None:
    score = Score()
    for case in OWN_SLIPS + vectors.cases("postcodes/ocr_corrections.jsonl"):
        meant, reading = case["expected"]["corrected"], read(case["input"])
        unit = shape_of(meant)
        if meant in NEVER_SUGGESTED:
            score.add(reading != Suggested(meant), case)
        else:
            score.add(reading == Suggested(meant) or (unit is not None and reading == Whole(unit)), case)
    score.check("look-alikes")
