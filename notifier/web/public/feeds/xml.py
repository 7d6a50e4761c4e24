"""XML that any reader can take: the standard library escapes, and what XML 1.0 does not know is left out. Pure."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime

LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


def add(parent: ET.Element, name: str, text: str = "", **attributes: str) -> ET.Element:
    """A new last child."""
    made = ET.SubElement(parent, name, {key: legal(value) for key, value in attributes.items()})
    made.text = legal(text) or None
    return made


def document(root: ET.Element) -> bytes:
    """In UTF-8, each element on a line of its own."""
    ET.indent(root)
    made: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return made + b"\n"


def legal(text: str) -> str:
    """Without the control characters, halves of characters and non-characters that XML 1.0 (2.2) does not know."""
    return "".join(sign for sign in text if _is_legal(sign))


def midnight(now: datetime) -> str:
    """The last one, for a feed that holds nothing: it must say some time, and not another one at each look."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0).isoformat()


def _is_legal(sign: str) -> bool:
    return (
        sign in "\t\n\r" or "\x20" <= sign <= "\ud7ff" or "\ue000" <= sign <= "\ufffd" or sign >= "\U00010000"
    )
