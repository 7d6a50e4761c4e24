"""The rules of Atom for a feed, restated from RFC 4287 (sections 3 and 4): what must stand where, how often, and how.

Judged are elements and attributes that must be there, those that may stand once, times, and links that say the same
twice. What is inside a text or an extension is not.
"""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping

ATOM = "{http://www.w3.org/2005/Atom}"
# name → least and most
PERSON = {"name": (1, 1), "uri": (0, 1), "email": (0, 1)}
LIKE_BOTH = {"author": (0, 99), "category": (0, 99), "contributor": (0, 99), "id": (1, 1), "link": (0, 99),
             "rights": (0, 1), "title": (1, 1), "updated": (1, 1)}  # fmt: skip
FEED = LIKE_BOTH | {
    "generator": (0, 1),
    "icon": (0, 1),
    "logo": (0, 1),
    "subtitle": (0, 1),
    "entry": (0, 999),
}
ENTRY = LIKE_BOTH | {"content": (0, 1), "published": (0, 1), "source": (0, 1), "summary": (0, 1)}
_TIME = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?"
    r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
)


def faults(document: bytes) -> list[str]:
    """What is wrong with a feed or an entry, as `kind: element`; nothing where it is sound."""
    try:
        root = ET.fromstring(document)  # noqa: S314 - examples of a test
    except ET.ParseError as error:
        return [f"XML: {error}"]
    if root.tag == f"{ATOM}entry":
        return _entry(root)
    if root.tag != f"{ATOM}feed":
        return [f"root: {root.tag}"]
    entries = root.findall(f"{ATOM}entry")
    found = [*_part(root, FEED), *(fault for entry in entries for fault in _entry(entry))]
    if not root.findall(f"{ATOM}author") and not all(_has_author(entry) for entry in entries):
        found.append("missing: author")
    return found


def _entry(entry: ET.Element) -> list[str]:
    found = _part(entry, ENTRY)
    kinds = {link.get("rel", "alternate") for link in entry.findall(f"{ATOM}link")}
    content = entry.find(f"{ATOM}content")
    if content is None and "alternate" not in kinds:
        found.append("missing: link")  # 4.1.2: an entry without content says where it is
    if content is not None and content.get("src") and entry.find(f"{ATOM}summary") is None:
        found.append("missing: summary")
    return found


def _has_author(entry: ET.Element) -> bool:
    return entry.find(f"{ATOM}author") is not None or entry.find(f"{ATOM}source/{ATOM}author") is not None


def _part(part: ET.Element, rules: Mapping[str, tuple[int, int]]) -> list[str]:
    """Of a feed, an entry or a person."""
    counts = Counter(child.tag.removeprefix(ATOM) for child in part if child.tag.startswith(ATOM))
    found = [f"missing: {name}" for name, (least, _) in rules.items() if counts[name] < least]
    found += [f"twice: {name}" for name, (_, most) in rules.items() if counts[name] > most]
    found += [f"unknown: {name}" for name in counts if name not in rules]
    for child in part:
        found += _child(child, child.tag.removeprefix(ATOM))
    links = Counter(
        (link.get("type"), link.get("hreflang"))
        for link in part.findall(f"{ATOM}link")
        if link.get("rel", "alternate") == "alternate"
    )
    return found + ["twice: link" for number in links.values() if number > 1]


def _child(child: ET.Element, name: str) -> list[str]:
    text = (child.text or "").strip()
    match name:
        case "updated" | "published":
            return [] if _TIME.fullmatch(child.text or "") else [f"time: {name}"]
        case "id":
            return [] if re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", text) else ["id: no address"]
        case "link":
            return [] if child.get("href") is not None else ["missing: href"]
        case "category":
            return [] if child.get("term") is not None else ["missing: term"]
        case "author" | "contributor":
            return _part(child, PERSON)
        case "title" | "subtitle" | "summary" | "rights":
            return [] if child.get("type", "text") in ("text", "html", "xhtml") else [f"type: {name}"]
    return []
