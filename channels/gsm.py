"""How many parts a text is sent in, and which characters make it dearer.

Pure. Called by the channels that carry texts, and through their estimates by the compose page. What is counted is
what is sent: the providers are told not to replace a character by a cheaper one on the way.
Rules: 3GPP TS 23.038 (the 7-bit alphabet and its extension) and 23.040 (joined texts).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from channels import plainer

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")  # an escape and a character: two places
MOST_NOTES = 8


class Encoding(StrEnum):
    """How a text's characters are packed."""

    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


ALONE = {Encoding.GSM_7: 160, Encoding.UCS_2: 70}
JOINED = {Encoding.GSM_7: 153, Encoding.UCS_2: 67}  # the header that joins parts takes 6 octets of 140


@dataclass(frozen=True, kw_only=True)
class Costly:
    """A character that costs more than its place.

    doubles: it only takes two places, as it stands in the extension; else it is outside the 7-bit alphabet, and with
    one such character a part holds 70 and not 160. instead: what to write (empty: nothing fits). advice: in words.
    """

    character: str
    count: int
    instead: str = ""
    advice: str = ""
    doubles: bool = False

    @property
    def note(self) -> str:
        """One plain sentence for the person writing, without its full stop."""
        times = f" ({self.count} times)" if self.count > 1 else ""
        what = "counts as two characters" if self.doubles else "makes every part shorter"
        advice = f": {self.advice}" if self.advice else ""
        return f"{plainer.name(self.character)}{times} {what}{advice}"


@dataclass(frozen=True, kw_only=True)
class SmsSize:
    """What one text measures.

    units: septets (GSM-7) or 16-bit units (UCS-2), the whole text. parts: texts it is sent in.
    per_part: units that fit one part of this many. used: units in each part.
    costly: characters that cost more, those to be replaced first. plain_parts: parts once they are replaced.
    """

    encoding: Encoding
    units: int
    parts: int
    per_part: int
    used: tuple[int, ...]
    costly: tuple[Costly, ...] = ()
    plain_parts: int = 1

    @property
    def left(self) -> int:
        """Units that still fit the last part."""
        return self.per_part - self.used[-1]

    @property
    def notes(self) -> tuple[str, ...]:
        """What to tell the person writing: each costly character, and what replacing them would save."""
        notes = [each.note for each in self.costly[:MOST_NOTES]]
        more = len(self.costly) - MOST_NOTES
        if more > 0:
            notes.append(f"{more} more such {'character does' if more == 1 else 'characters do'} the same")
        if self.plain_parts < self.parts:
            parts = "1 part" if self.plain_parts == 1 else f"{self.plain_parts} parts"
            notes.append(f"Changed like this, the text has {parts} and not {self.parts}")
        return tuple(notes)


def is_basic(text: str) -> bool:
    """Whether every character is in the 7-bit alphabet or its extension."""
    return all(character in BASIC or character in EXTENSION for character in text)


def measure(text: str, joined: Mapping[Encoding, int] = JOINED) -> SmsSize:
    """Encoding, units and exact parts of `text`; an empty text is one part. joined: units of a part of several."""
    encoding, used, per_part = _packed(text, joined)
    costly = _outside(text) if encoding is Encoding.UCS_2 else _doubled(text)
    plain = _cheaply(text, encoding) if any(each.advice for each in costly) else text
    return SmsSize(
        encoding=encoding,
        units=sum(used),
        parts=len(used),
        per_part=per_part,
        used=used,
        costly=costly,
        plain_parts=min(len(used), len(_packed(plain, joined)[1])),
    )


def _packed(text: str, joined: Mapping[Encoding, int]) -> tuple[Encoding, tuple[int, ...], int]:
    """Encoding, units in each part, and units that fit one."""
    encoding = Encoding.GSM_7 if is_basic(text) else Encoding.UCS_2
    widths = list(_widths(text, encoding))
    alone = ALONE[encoding]
    per_part = alone if sum(widths) <= alone else joined[encoding]
    return encoding, _fill(widths, per_part), per_part


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


def _outside(text: str) -> tuple[Costly, ...]:
    """Characters outside the alphabet: first those that can be replaced, then the most frequent."""
    found = Counter(c for c in text if c not in BASIC and c not in EXTENSION)
    costly = [
        Costly(character=c, count=n, instead=_instead(c), advice=plainer.advice(c))
        for c, n in found.most_common()
    ]
    return tuple(sorted(costly, key=lambda each: plainer.twin(each.character) is None))


def _doubled(text: str) -> tuple[Costly, ...]:
    """Characters of the extension, most frequent first."""
    found = Counter(c for c in text if c in EXTENSION)
    costly = []
    for character, count in found.most_common():
        instead = plainer.CHEAPER.get(character, "")
        advice = f"write {plainer.called(instead)} instead" if instead else ""
        costly.append(Costly(character=character, count=count, instead=instead, advice=advice, doubles=True))
    return tuple(costly)


def _instead(character: str) -> str:
    plain = plainer.twin(character)
    return "" if plain is None else plainer.called(plain)


def _cheaply(text: str, encoding: Encoding) -> str:
    """The text once everything that can be replaced is replaced, and what adds only a picture is left out."""
    if encoding is Encoding.GSM_7:
        return "".join(plainer.CHEAPER.get(character, character) for character in text)
    return "".join(c for c in plainer.plainly(text) if plainer.advice(c) != "leave it out")
