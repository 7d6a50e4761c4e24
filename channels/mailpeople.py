"""The people a header names: their names and addresses, however the list of them was written.

Pure, for hostile input: each list is read forward once. Called by `mailheaders`. Programs leave out angle brackets and
quotation marks, put `;` between people, and write an address as a name: what stands in angle brackets comes first.
Sources: RFC 5322 §3.4 (address lists, groups, comments), 6532 (addresses in other letters).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from channels.mailletters import decoded

LONGEST = 320  # characters of an address

_TOKEN = re.compile(r'"[^"]*"|<[^<>]*>|[,;()]|[^",;<>()]+|.')
_BARE = re.compile(r"(?:\"[^\"\s@]{1,64}\"|[^\s<>,;:\"()\[\]@]{1,128})@[^\s<>,;:\"()@]{1,255}")
_BEFORE_AT = 130  # characters: as much as a name of a mailbox may have
_SPACE = re.compile(r"\s+")
_ESCAPED = re.compile(r"\\([\"\\])")
_QUOTE = "\ue000"  # stands for an escaped quotation mark while a list is cut


@dataclass
class _Person:
    """One entry of a list as it stands: words, comments, what stood in angle brackets, words behind them."""

    words: list[str] = field(default_factory=list)
    comment: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)


def people_in(value: str) -> Iterator[tuple[str, str]]:
    """(name, lower-case address) of each person that has one. The name may be empty, and is not cleaned."""
    flat = _SPACE.sub(" ", value)
    if "@" not in flat and "=?" not in flat:
        return
    found = False
    for entry in _entries(flat):
        for name, address in _read(entry):
            found = True
            yield name, address
    if not found and "=?" in flat:  # some encode address and all
        yield from ((name, address) for entry in _entries(decoded(flat)) for name, address in _read(entry))


def _entries(flat: str) -> Iterator[_Person]:
    person, depth = _Person(), 0
    for piece in _TOKEN.findall(flat.replace('\\"', _QUOTE)):
        text = piece.replace(_QUOTE, '\\"')
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth = max(0, depth - 1)
        elif depth:
            person.comment.append(text)
        elif piece in (",", ";"):
            yield person
            person = _Person()
        elif piece[0] == "<" and piece[-1] == ">":
            person.addresses.append(text[1:-1])
        else:
            person.words.append(text)
    yield person


def _read(entry: _Person) -> Iterator[tuple[str, str]]:
    words = "".join(entry.words)
    marked = [address for address in map(_address, entry.addresses) if address]
    if marked:
        name = _name(words) or _name("".join(entry.comment))
        yield from ((name, address) for address in marked)
        words = "".join(each for each in entry.words if not each.startswith('"'))
    bare = _BARE.search(words, max(0, words.find("@") - _BEFORE_AT))
    address = _address(bare[0]) if bare else ""
    if marked and address and address not in marked:
        yield "", address  # in the place of a name: whoever reads it may be meant to take it for the address
    elif bare and address and not marked:
        around = words[: bare.start()] + words[bare.end() :]
        yield _name(around.replace("<", " ")) or _name("".join(entry.comment)), address


def _address(text: str) -> str:
    """In lower case, without white space, a route or a scheme before it; nothing where it is none."""
    bare = text.replace(" ", "").rpartition(":")[2].strip("<>,").lower()
    if bare[:1] == bare[-1:] == "'":
        bare = bare.strip("'")
    return bare if len(bare) <= LONGEST and _BARE.fullmatch(bare) else ""


def _name(words: str) -> str:
    """Without the quotation marks around it, and without the name of the group it is in."""
    stripped = words.strip(" <>")
    if ":" in stripped and '"' not in stripped:
        stripped = stripped.rpartition(":")[2].strip()
    if len(stripped) > 1 and stripped[0] == stripped[-1] == '"':
        stripped = stripped[1:-1]
    return decoded(_ESCAPED.sub(r"\1", stripped)).strip()
