"""Reads what a person typed into a postcode box, and takes postcodes apart. Pure.

Called by the look-up (`areas`), by sign-up and by the reader of postcode files. The shapes are those
of Royal Mail's Programmer's Guide to the Postcode Address File; the list of areas is its too.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from string import ascii_uppercase

MAX_CHARS = 1000  # edges refuse more than 256 bytes; this keeps a forgotten edge cheap

AREAS = frozenset(
    re.findall(
        r"[A-Z]+",
        """
    AB AL B BA BB BD BH BL BN BR BS BT CA CB CF CH CM CO CR CT CV CW DA DD DE DG DH DL DN DT DY E EC EH
    EN EX FK FY G GL GU GY HA HD HG HP HR HS HU HX IG IM IP IV JE KA KT KW KY L LA LD LE LL LN LS LU M ME
    MK ML N NE NG NN NP NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE SG SK SL SM SN SO SP SR SS ST SW SY
    TA TD TF TN TQ TR TS TW UB W WA WC WD WF WN WR WS WV YO ZE
    """,
    )
)
FICTIONAL_AREA = "QV"  # never assigned: the demo's borough lies there, as 07700 900 numbers ring nobody
SCOTTISH_AREAS = frozenset(re.findall(r"[A-Z]+", "AB DD DG EH FK G HS IV KA KW KY ML PA PH TD ZE"))
DIVIDED_AREAS = frozenset(
    {"E", "EC", "N", "NW", "SE", "SW", "W", "WC"}
)  # districts like SW1A are theirs alone
ENGLISH_DISTRICTS_OF_TD = frozenset({"TD12", "TD15"})  # Northumberland shares these with Scotland

_OUTWARD = r"[A-Z]{1,2}(?:0|[1-9][0-9]?|[0-9][A-HJ-NP-Z])|GIR(?=0AA)"
_INWARD_LETTER = "ABD-HJLNP-UW-Z"
_UNIT = re.compile(rf"({_OUTWARD})([0-9][{_INWARD_LETTER}]{{2}})")
_BEGINNING = re.compile(
    rf"([A-Z]{{1,2}})(?:(?:0|[1-9][0-9]?|[0-9][A-HJ-NP-Z])(?:[0-9][{_INWARD_LETTER}]?)?)?"
)
_OVERSEAS = re.compile(r"(ASCN|BBND|BIQQ|FIQQ|PCRN|SIQQ|STHL|TDCU|TKCA)1ZZ")
_SEPARATORS = frozenset(".,-+_()")
_PROGRAM_WORDS = frozenset({"NULL", "NONE", "NIL", "NAN", "UNDEFINED", "TRUE", "FALSE"})

# What a sign may have been meant as, where a letter or where a digit must stand.
_AS_LETTER = {"0": "O", "1": "IL"}
_AS_DIGIT = {"O": "0", "I": "1", "L": "1"}


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit postcode by its two halves, for example `SW1A` and `1AA`."""

    outward: str
    inward: str

    def __str__(self) -> str:
        return f"{self.outward} {self.inward}"

    @property
    def area(self) -> str:
        """`SW` of SW1A 1AA."""
        return re.split(r"[0-9]", self.outward, maxsplit=1)[0]

    @property
    def district(self) -> str:
        """`SW1` of SW1A 1AA."""
        return self.outward.rstrip(ascii_uppercase) or self.outward

    @property
    def sub_district(self) -> str | None:
        """`SW1A` of SW1A 1AA; None where the district is not divided."""
        return self.outward if self.outward != self.district else None

    @property
    def sector(self) -> str:
        """`SW1A 1` of SW1A 1AA."""
        return f"{self.outward} {self.inward[0]}"

    @property
    def letters(self) -> str:
        """The unit within the sector: `AA` of SW1A 1AA."""
        return self.inward[1:]


class Nation(StrEnum):
    """Parts of the United Kingdom that have one police force, told by the postcode alone."""

    SCOTLAND = "scotland"
    NORTHERN_IRELAND = "northern_ireland"


class Place(StrEnum):
    """Where postcodes lead that no neighbourhood team of ours can ever serve."""

    JERSEY = "jersey"
    GUERNSEY = "guernsey"
    ISLE_OF_MAN = "isle_of_man"
    FORCES = "forces"
    OVERSEAS = "overseas"
    NOWHERE = "nowhere"  # BX: banks and tax offices, on purpose tied to no place


_PLACES = {
    "JE": Place.JERSEY,
    "GY": Place.GUERNSEY,
    "IM": Place.ISLE_OF_MAN,
    "BF": Place.FORCES,
    "BX": Place.NOWHERE,
    "GX": Place.OVERSEAS,  # Gibraltar
}


@dataclass(frozen=True, slots=True)
class Whole:
    """A full postcode of a real postcode area. Whether that very postcode exists, only rows tell."""

    unit: Unit

    @property
    def postcode(self) -> str:
        """The canonical form: capitals, one space."""
        return str(self.unit)


@dataclass(frozen=True, slots=True)
class Suggested:
    """Not a postcode, but one slip away from this one. Ask; never take it silently."""

    postcode: str


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Nothing, the beginning of a postcode, or the words of a place."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """Nothing that the United Kingdom uses as a postcode; attack text too."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A real postcode of a place outside England, Wales, Scotland and Northern Ireland, or of none."""

    postcode: str
    place: Place


Reading = Whole | Suggested | Incomplete | Impossible | Elsewhere


def read(text: str) -> Reading:
    """What a person typed, in any case, spacing and width of letters. Never raises."""
    if len(text) > MAX_CHARS:
        return Impossible()
    written = _visible(text)
    if not written:
        return Incomplete()
    words = _words(written)
    if not words:
        return Impossible()
    compact = "".join(words)
    unit = split(compact) or _among_words(words)
    if unit is not None:
        return _known_kind(unit)
    if found := _OVERSEAS.fullmatch(compact):
        return Elsewhere(f"{found[1]} 1ZZ", Place.OVERSEAS)
    return _slip(compact) or _fragment(words)


def split(compact: str) -> Unit | None:
    """The two halves of a postcode written in capitals without a space; None if it has not the shape.

    The shape alone: AA9 9AA passes, though no area AA exists.
    """
    found = _UNIT.fullmatch(compact)
    return Unit(found[1], found[2]) if found else None


def nation(unit: Unit) -> Nation | None:
    """The nation, where the postcode alone tells it and the nation has one police force."""
    if unit.area == "BT":
        return Nation.NORTHERN_IRELAND
    if unit.area in SCOTTISH_AREAS and unit.outward not in ENGLISH_DISTRICTS_OF_TD:
        return Nation.SCOTLAND
    return None


def _visible(text: str) -> str:
    """The text as it looks: compatibility forms folded (wide letters), invisible signs gone."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(sign for sign in folded if unicodedata.category(sign) != "Cf").strip()


def _words(written: str) -> list[str]:
    """Runs of letters and digits, in capitals. None at all if there is a sign no postcode is written with."""
    if len(written) > 2 and written[0] in "\"'“‘" and written[-1] in "\"'”’":
        written = written[1:-1]
    spaced = "".join(" " if _separates(sign) else sign for sign in written)
    if not re.fullmatch(r"[A-Za-z0-9 ]*", spaced):
        return []
    return spaced.upper().split()


def _separates(sign: str) -> bool:
    return sign.isspace() or sign in _SEPARATORS or unicodedata.category(sign) == "Pd"


def _among_words(words: list[str]) -> Unit | None:
    """`SW1A 1AA, London` or `London SW1A 1AA`: the rest must be plain words of two letters or more."""
    for size in (1, 2):
        for code, rest in ((words[:size], words[size:]), (words[-size:], words[:-size])):
            if (
                rest
                and all(word.isalpha() and len(word) > 1 for word in rest)
                and (unit := split("".join(code)))
            ):
                return unit
    return None


def _known_kind(unit: Unit) -> Reading:
    if place := _PLACES.get(unit.area):
        return Elsewhere(str(unit), place)
    return Whole(unit) if unit.area in AREAS | {FICTIONAL_AREA, "GIR"} else Impossible()


def _slip(compact: str) -> Suggested | None:
    """The real postcode that one kind of slip would turn into this: a digit too many, or look-alike signs."""
    if compact[-1].isdigit() and (unit := _likely(compact[:-1])):
        return Suggested(str(unit))
    if not 5 <= len(compact) <= 7 or compact.isdigit():
        return None
    alike = [(_changes(compact, candidate), candidate) for candidate in _look_alikes(compact)]
    likely = [(changes, str(unit)) for changes, candidate in alike if (unit := _likely(candidate))]
    return Suggested(min(likely)[1]) if likely else None


def _likely(compact: str) -> Unit | None:
    """A postcode worth suggesting: of a real area, divided only where districts are."""
    unit = split(compact)
    if unit is None or isinstance(_known_kind(unit), Impossible):
        return None
    return unit if unit.sub_district is None or unit.area in DIVIDED_AREAS else None


def _look_alikes(compact: str) -> Iterator[str]:
    """Every reading of O as 0, of I or L as 1, and the other way round: at most 3 to the seventh."""
    for signs in product(*(sign + _AS_LETTER.get(sign, "") + _AS_DIGIT.get(sign, "") for sign in compact)):
        yield "".join(signs)


def _changes(compact: str, candidate: str) -> int:
    return sum(a != b for a, b in zip(compact, candidate, strict=True))


def _fragment(words: list[str]) -> Incomplete | Impossible:
    """The beginning of a postcode, or a place's name: ask for the rest. Anything else is no postcode."""
    compact = "".join(words)
    if compact.isalpha():
        return Impossible() if compact in _PROGRAM_WORDS else Incomplete()
    beginning = _BEGINNING.fullmatch(compact)
    return (
        Incomplete()
        if beginning and beginning[1] in AREAS | {FICTIONAL_AREA} | _PLACES.keys()
        else Impossible()
    )
