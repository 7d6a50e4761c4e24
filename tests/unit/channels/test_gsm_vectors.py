"""Parts of a text, against the calculators of others: Twilio's and GOV.UK Notify's."""

from typing import Any

import pytest

from channels.gsm import ALONE, JOINED, Encoding, SmsSize, measure
from channels.plainer import plainly
from tests import vectors
from tests.vectors import Score

BITS = {Encoding.GSM_7: 7, Encoding.UCS_2: 16}
HEADER_BITS = 48
# Boundaries as Twilio's calculator and its tests draw them, in cases of our own.
OWN: list[tuple[str, dict[str, Any]]] = [
    ("a" * 306 + "b", {"encoding": "GSM-7", "segments": 3, "message_bits": 2149, "total_bits": 2293}),
    ("~" + "a" * 158, {"encoding": "GSM-7", "segments": 1, "message_bits": 1120, "total_bits": 1120}),
    ("~" + "a" * 159, {"encoding": "GSM-7", "segments": 2, "message_bits": 1127, "total_bits": 1223}),
    ("a" * 152 + "|" + "a" * 9, {"encoding": "GSM-7", "segments": 2, "message_bits": 1141}),
    ("ç" * 70, {"encoding": "UCS-2", "segments": 1, "unicode_scalars": 70}),
    ("ç" * 71, {"encoding": "UCS-2", "segments": 2, "unicode_scalars": 71}),
    ("😀" + "]" * 69, {"encoding": "UCS-2", "segments": 2}),
    ("e\u0301\u0301" + "a" * 67, {"encoding": "UCS-2", "segments": 1}),
    ("👮🏽‍♀️" + "a" * 63, {"encoding": "UCS-2", "segments": 1, "unicode_scalars": 68}),
    ("à" * 612, {"segments": 4, "units_above_previous_boundary": 153}),
    ("à" * 70 + "ŵ", {"segments": 2, "units_above_previous_boundary": 1}),
    ("𠮷a", {"units": 3}),
]
# Notify replaces what it does not know by a question mark before it counts; we send what was written.
NOTIFY_REPLACES = ("gn-nd_welsh-20",)


def described(text: str, size: SmsSize) -> dict[str, object]:
    """The size in the words of the vectors."""
    bits = size.units * BITS[size.encoding]
    before = size.parts - 1
    boundary = ALONE[size.encoding] if before == 1 else before * JOINED[size.encoding]
    return {
        "encoding": size.encoding.value,
        "segments": size.parts,
        "units": size.units,
        "message_bits": bits,
        "total_bits": bits + (HEADER_BITS * size.parts if size.parts > 1 else 0),
        "unicode_scalars": len(text),
        "units_above_previous_boundary": size.units - boundary,
    }


@pytest.mark.parametrize("file", ["segment_vectors", "segment_oracle"])
def test_every_text_is_packed_as_others_pack_it(file: str) -> None:
    score = Score()
    rows = [(f"own {at}", text, expected) for at, (text, expected) in enumerate(OWN)]
    rows += [(row["id"], row["input"], row["expected"]) for row in vectors.cases(f"sms/{file}.jsonl")]
    for name, text, expected in rows:
        found = described(text, measure(text))
        wrong = {key: found[key] for key in expected if key in found and found[key] != expected[key]}
        score.add(not wrong, f"{name}: {wrong}")
    score.check(f"sms/{file}", allowed=NOTIFY_REPLACES)


def test_plain_characters_are_the_ones_notify_writes() -> None:
    score = Score()
    own = [("–", "-"), ("—", "-"), ("’", "'"), ("“", '"'), ("”", '"'), ("€", "€"), ("é", "é"), ("\r", "\r")]
    rows = [(text, text, plain) for text, plain in own]
    rows += [
        (row["id"], row["input"], row["expected"]["sms_text"])
        for row in vectors.cases("sms/transliteration_notify.jsonl")
    ]
    for name, text, plain in rows:
        # Where Notify writes a question mark we change nothing, and say so to who writes.
        score.add(plainly(text) == (text if plain == "?" else plain), name)
    score.check("sms/transliteration_notify")
