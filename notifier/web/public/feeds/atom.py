"""The latest messages of an area as Atom (RFC 4287). Pure."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import datetime

from notifier.config import Settings
from notifier.web.public.feeds.xml import LANGUAGE, add, document, midnight
from notifier.web.public.places import Place, PublishedMessage
from templates import render

NAMESPACE = "http://www.w3.org/2005/Atom"
TYPE = "application/atom+xml"


def write(known: Settings, place: Place, messages: Sequence[PublishedMessage], *, now: datetime) -> bytes:
    """Absolute addresses come from the settings: a feed outlives the request that made it."""
    page = f"{known.public_url}/areas/{place.code}"
    updated = messages[0].published_at.isoformat() if messages else midnight(now)
    root = begin(f"{place.name}: {known.service_name}", page, f"{page}.atom", updated, known.force_name)
    for message in messages:
        _entry(root, page, message)
    return document(root)


def begin(title: str, page: str, own: str, updated: str, author: str) -> ET.Element:
    """A feed with no entries yet. Its id is the page's address, or its own where it is not the page's first feed."""
    root = ET.Element("feed", {"xmlns": NAMESPACE, LANGUAGE: "en-GB"})
    add(root, "id", page if own.endswith(".atom") else own)
    add(root, "title", title)
    add(root, "updated", updated)
    add(add(root, "author"), "name", author)
    add(root, "link", rel="self", type=TYPE, href=own)
    add(root, "link", rel="alternate", type="text/html", href=page)
    return root


def _entry(root: ET.Element, page: str, message: PublishedMessage) -> None:
    entry = add(root, "entry")
    add(entry, "id", f"urn:uuid:{message.id}")
    add(entry, "title", message.title)
    add(entry, "updated", message.published_at.isoformat())
    add(entry, "published", message.published_at.isoformat())
    add(add(entry, "author"), "name", message.team_name)
    add(entry, "category", term=message.kind)
    add(entry, "link", rel="alternate", type="text/html", href=f"{page}#m-{message.id}")
    add(entry, "content", str(render.html(message.body)), type="html")
