"""The rules of CAP 1.2 for a message, restated from the standard (OASIS, July 2010, sections 3.2 and 3.4).

The order of elements, how often each may stand, the words of its code lists, and how times are written. What the
standard leaves to profiles is not judged. A message of CAP 1.1 is judged by the same rules: 1.2 takes nothing away.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

NAMESPACES = ("urn:oasis:names:tc:emergency:cap:1.1", "urn:oasis:names:tc:emergency:cap:1.2")
SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"

# name → least and most, in the order in which they stand.
Order = Mapping[str, tuple[int, int]]
ONE, MAYBE, ANY, SOME = (1, 1), (0, 1), (0, 999), (1, 999)
ALERT: Order = {"identifier": ONE, "sender": ONE, "sent": ONE, "status": ONE, "msgType": ONE, "source": MAYBE,
                "scope": ONE, "restriction": MAYBE, "addresses": MAYBE, "code": ANY, "note": MAYBE,
                "references": MAYBE, "incidents": MAYBE, "info": ANY}  # fmt: skip
INFO: Order = {"language": MAYBE, "category": SOME, "event": ONE, "responseType": ANY, "urgency": ONE,
               "severity": ONE, "certainty": ONE, "audience": MAYBE, "eventCode": ANY, "effective": MAYBE,
               "onset": MAYBE, "expires": MAYBE, "senderName": MAYBE, "headline": MAYBE, "description": MAYBE,
               "instruction": MAYBE, "web": MAYBE, "contact": MAYBE, "parameter": ANY, "resource": ANY,
               "area": ANY}  # fmt: skip
RESOURCE: Order = {"resourceDesc": ONE, "mimeType": MAYBE, "size": MAYBE, "uri": MAYBE, "derefUri": MAYBE,
                   "digest": MAYBE}  # fmt: skip
AREA: Order = {
    "areaDesc": ONE,
    "polygon": ANY,
    "circle": ANY,
    "geocode": ANY,
    "altitude": MAYBE,
    "ceiling": MAYBE,
}
PAIR: Order = {"valueName": ONE, "value": ONE}
INSIDE = {"alert": ALERT, "info": INFO, "resource": RESOURCE, "area": AREA,
          "eventCode": PAIR, "parameter": PAIR, "geocode": PAIR}  # fmt: skip

CODES = {
    "status": "Actual Exercise System Test Draft",
    "msgType": "Alert Update Cancel Ack Error",
    "scope": "Public Restricted Private",
    "category": "Geo Met Safety Security Rescue Fire Health Env Transport Infra CBRNE Other",
    "responseType": "Shelter Evacuate Prepare Execute Avoid Monitor Assess AllClear None",
    "urgency": "Immediate Expected Future Past Unknown",
    "severity": "Extreme Severe Moderate Minor Unknown",
    "certainty": "Observed Likely Possible Unlikely Unknown",
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d")
_NAME = re.compile(r"[^\s,<&]+")
_REFERENCE = re.compile(rf"[^\s,<&]+,[^\s,<&]+,{_TIME.pattern}")
_LANGUAGE = re.compile(r"[a-zA-Z]{1,8}(?:-[a-zA-Z0-9]{1,8})*")


def faults(document: bytes) -> list[str]:
    """What is wrong with a message, as `element: fault`; nothing where it is sound."""
    if b"<!DOCTYPE" in document or b"<!ENTITY" in document:
        return ["alert: a document type, which a message needs none of"]
    try:
        root = ET.fromstring(document)  # noqa: S314 - no entity gets here
    except ET.ParseError as error:
        return [f"alert: no XML, {error}"]
    space, _, name = root.tag.removeprefix("{").partition("}")
    if name != "alert" or space not in NAMESPACES:
        return [f"alert: the root is {root.tag}"]
    return [*_inside(root, "alert", space), *_together(root, space)]


def _inside(element: ET.Element, name: str, space: str) -> list[str]:
    order = INSIDE.get(name)
    if order is None:
        return (
            _value(name, (element.text or "").strip()) if len(element) == 0 else [f"{name}: holds elements"]
        )
    found, last, counts = [], -1, dict.fromkeys(order, 0)
    for child in element:
        if child.tag == SIGNATURE:
            continue
        own = child.tag.removeprefix(f"{{{space}}}")
        if own not in order:
            found.append(f"{name}: has no {own}")
            continue
        place = list(order).index(own)
        if place < last:
            found.append(f"{own}: out of its order")
        last, counts[own] = max(place, last), counts[own] + 1
        found += _inside(child, own, space)
    found += [
        f"{own}: stands {n} times" for own, n in counts.items() if not order[own][0] <= n <= order[own][1]
    ]
    return found


def _value(name: str, text: str) -> list[str]:
    if name in CODES and text not in CODES[name].split():
        return [f"{name}: {text!r} is none of its words"]
    if name in ("sent", "effective", "onset", "expires") and not _TIME.fullmatch(text):
        return [f"{name}: {text!r} is no time"]
    if name in ("identifier", "sender") and not _NAME.fullmatch(text):
        return [f"{name}: empty, or holds a space, comma, < or &"]
    if name == "references" and not all(_REFERENCE.fullmatch(each) for each in text.split()):
        return ["references: not sender,identifier,sent"]
    if name == "language" and text and not _LANGUAGE.fullmatch(text):
        return [f"language: {text!r}"]
    if name in ("event", "areaDesc", "headline", "valueName") and not text:
        return [f"{name}: empty"]
    return []


def _together(root: ET.Element, space: str) -> list[str]:
    """What depends on another element."""

    def text(name: str) -> str:
        return (root.findtext(f"{{{space}}}{name}") or "").strip()

    found = []
    if text("msgType") in ("Update", "Cancel", "Ack", "Error") and not text("references"):
        found.append("references: an update or cancellation says what of")
    if text("scope") == "Restricted" and not text("restriction"):
        found.append("restriction: missing")
    if text("scope") == "Private" and not text("addresses"):
        found.append("addresses: missing")
    return found
