"""How many parts a text is sent in, and which characters make it dearer.

Pure. Called by the channels that carry texts, and through their estimates by the compose page.
Rules: 3GPP TS 23.038 (the 7-bit alphabet and its extension) and 23.040 (joined texts).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")  # an escape and a character: two places

# What a person can write instead without changing a word. Letters are never here: a name in
# Welsh is spelled as it is spelled, whatever it costs.
PLAINER = {
    "‘": "'", "’": "'", "‚": ",", "‛": "'", "′": "'", "`": "'", "´": "'",
    "“": '"', "”": '"', "„": '"', "″": '"', "«": '"', "»": '"',
    "–": "-", "—": "-", "‐": "-", "‑": "-", "−": "-", "•": "-", "·": "-",
    "…": "...", "\t": "a space", "\u00a0": "a space", "\u2009": "a space", "\u202f": "a space",
    "\u200b": "nothing", "\u200c": "nothing", "\u200d": "nothing", "\u2060": "nothing", "\ufeff": "nothing",
}  # fmt: skip
INVISIBLE = {
    "\t": "A tab",
    "\u00a0": "A fixed space",
    "\u2009": "A thin space",
    "\u202f": "A narrow space",
    "\u200b": "An invisible character",
    "\u200c": "An invisible character",
    "\u200d": "An invisible joiner",
    "\u2060": "An invisible joiner",
    "\ufeff": "An invisible mark",
}


class Encoding(StrEnum):
    """How a text's characters are packed."""

    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


ALONE = {Encoding.GSM_7: 160, Encoding.UCS_2: 70}
JOINED = {Encoding.GSM_7: 153, Encoding.UCS_2: 67}  # the header that joins parts takes 6 octets of 140


@dataclass(frozen=True, kw_only=True)
class Costly:
    """A character outside the 7-bit alphabet, and what to write instead (empty: nothing fits)."""

    character: str
    count: int
    instead: str = ""

    @property
    def note(self) -> str:
        """One plain sentence for the person writing."""
        name = INVISIBLE.get(self.character, self.character)
        advice = f": write {self.instead} instead" if self.instead else ""
        return f"{name} makes every part shorter{advice}"


@dataclass(frozen=True, kw_only=True)
class SmsSize:
    """What one text measures.

    units: septets (GSM-7) or 16-bit units (UCS-2), the whole text. parts: texts it is sent in.
    per_part: units that fit one part of this many. used: units in each part.
    """

    encoding: Encoding
    units: int
    parts: int
    per_part: int
    used: tuple[int, ...]
    costly: tuple[Costly, ...] = ()

    @property
    def left(self) -> int:
        """Units that still fit the last part."""
        return self.per_part - self.used[-1]

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(each.note for each in self.costly)


def is_basic(text: str) -> bool:
    """Whether every character is in the 7-bit alphabet or its extension."""
    return all(character in BASIC or character in EXTENSION for character in text)


def measure(text: str) -> SmsSize:
    """Encoding, units and exact parts of `text`; an empty text is one part."""
    encoding = Encoding.GSM_7 if is_basic(text) else Encoding.UCS_2
    widths = list(_widths(text, encoding))
    units = sum(widths)
    per_part = ALONE[encoding] if units <= ALONE[encoding] else JOINED[encoding]
    used = _fill(widths, per_part)
    costly = _costly(text) if encoding is Encoding.UCS_2 else ()
    return SmsSize(
        encoding=encoding, units=units, parts=len(used), per_part=per_part, used=used, costly=costly
    )


def _widths(text: str, encoding: Encoding) -> Iterator[int]:
    """Units of each character that may not be split: an escape pair, a surrogate pair."""
    if encoding is Encoding.GSM_7:
        return (2 if character in EXTENSION else 1 for character in text)
    return (2 if character > "\uffff" else 1 for character in text)


def _fill(widths: list[int], room: int) -> tuple[int, ...]:
    """Units in each part, in order, none over `room` and no character split."""
    used = [0]
    for width in widths:
        if used[-1] + width > room:
            used.append(0)
        used[-1] += width
    return tuple(used)


def _costly(text: str) -> tuple[Costly, ...]:
    """Characters outside the alphabet, most frequent first."""
    outside = Counter(c for c in text if c not in BASIC and c not in EXTENSION)
    return tuple(
        Costly(character=character, count=count, instead=PLAINER.get(character, ""))
        for character, count in outside.most_common()
    )
