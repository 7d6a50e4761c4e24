"""Alerts in the Common Alerting Protocol, OASIS standard CAP 1.2 (ITU-T X.1303 bis), and an Atom index of them. Pure.

An officer chooses "alert" and nothing finer, so urgency, severity and certainty are `Unknown`, which the standard has
for that: a value made up here would be believed. `expires` is the officer's own time, else the end of the hours in
which the service itself still sends an alert.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from notifier.config import Settings
from notifier.web.public.feeds import atom
from notifier.web.public.feeds.alerts import Alert, MessageType, Reference
from notifier.web.public.feeds.xml import add, document, midnight
from notifier.web.public.places import Place
from templates import feeds as words
from templates import render

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
TYPE = "application/cap+xml"
CATEGORIES = ("Safety", "Security")  # public safety; law enforcement
UNKNOWN = "Unknown"
LANGUAGES = {"en": "en-GB", "cy": "cy-GB"}
GSS = re.compile(r"[EKNSW]\d{8}")  # a code of the Office for National Statistics


def write(alert: Alert, known: Settings) -> bytes:
    """One message, its elements in the order of the standard's schema."""
    root = ET.Element("alert", {"xmlns": NAMESPACE})
    add(root, "identifier", identifier(alert))
    add(root, "sender", sender(alert.sender, known))
    add(root, "sent", time(alert.sent))
    add(root, "status", "Test" if known.demo else "Actual")
    add(root, "msgType", alert.type)
    add(root, "scope", "Public")
    if note := _note(alert, known):
        add(root, "note", note)
    if alert.before:
        add(root, "references", " ".join(_reference(each, known) for each in alert.before))
    for language, title, body in alert.texts:
        _info(root, alert, known, language, title, body)
    return document(root)


def write_index(known: Settings, place: Place, alerts: Sequence[Alert], *, now: datetime) -> bytes:
    """The alerts of an area, each with where its message is."""
    page = f"{known.public_url}/areas/{place.code}"
    updated = alerts[0].sent.isoformat() if alerts else midnight(now)
    title = f"{place.name}: {words.event('en')}"
    root = atom.begin(title, page, f"{page}.cap", updated, known.force_name)
    for alert in alerts:
        _, title, body = alert.texts[0]
        entry = add(root, "entry")
        add(entry, "id", f"{known.public_url}/alerts/{alert.id}.cap#{alert.type}")
        add(entry, "title", title)
        add(entry, "updated", alert.sent.isoformat())
        add(add(entry, "author"), "name", alert.team.name)
        add(entry, "category", term=alert.type)
        add(entry, "link", rel="alternate", type=TYPE, href=f"{known.public_url}/alerts/{alert.id}.cap")
        add(entry, "summary", _note(alert, known) or render.plain(body))
    return document(root)


def identifier(alert: Alert) -> str:
    """The message's own, never that of another: a withdrawal is a message too (section 3.2.1)."""
    return f"{alert.id}.cancel" if alert.type is MessageType.CANCEL else str(alert.id)


def sender(slug: str, known: Settings) -> str:
    """A team under our domain: nobody else can have the same, and it holds no space, comma, < or &."""
    return f"{urlsplit(known.public_url).hostname}/{slug}"


def time(when: datetime) -> str:
    """Whole seconds of UTC, which the standard writes -00:00 and never Z (section 3.3.2)."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%S}-00:00"


def _reference(each: Reference, known: Settings) -> str:
    return f"{sender(each.sender, known)},{each.id},{time(each.sent)}"


def _note(alert: Alert, known: Settings) -> str:
    said = [words.WITHDRAWN] if alert.type is MessageType.CANCEL else []
    return " ".join([*said, words.DEMONSTRATION] if known.demo else said)


def _info(root: ET.Element, alert: Alert, known: Settings, language: str, title: str, body: str) -> None:
    info = add(root, "info")
    add(info, "language", LANGUAGES.get(language, language))
    for category in CATEGORIES:
        add(info, "category", category)
    add(info, "event", words.event(language))
    for name in ("urgency", "severity", "certainty"):
        add(info, name, UNKNOWN)
    add(info, "effective", time(alert.sent))
    add(info, "expires", time(alert.expires))
    add(info, "senderName", f"{alert.team.name}, {known.force_name}")
    add(info, "headline", title)
    add(info, "description", render.plain(body))
    if alert.areas:
        add(info, "web", f"{known.public_url}/areas/{alert.areas[0][0]}#m-{alert.id}")
    if reached := [*alert.team.emails, *alert.team.numbers]:
        add(info, "contact", f"{', '.join(reached)}. {words.NOT_READ}")
    for code, name in alert.areas:
        area = add(info, "area")
        add(area, "areaDesc", name)
        geocode = add(area, "geocode")
        add(geocode, "valueName", "GSS" if GSS.fullmatch(code) else "local")
        add(geocode, "value", code)
