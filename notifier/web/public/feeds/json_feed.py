"""The latest messages of an area as JSON Feed 1.1 (jsonfeed.org/version/1.1). Pure."""

import json
from collections.abc import Sequence
from typing import Any

from notifier.config import Settings
from notifier.web.public.places import Place, PublishedMessage
from templates import render

VERSION = "https://jsonfeed.org/version/1.1"


def write(known: Settings, place: Place, messages: Sequence[PublishedMessage]) -> bytes:
    page = f"{known.public_url}/areas/{place.code}"
    made = {
        "version": VERSION,
        "title": f"{place.name}: {known.service_name}",
        "home_page_url": page,
        "feed_url": f"{page}.json",
        "language": "en-GB",
        "authors": [{"name": known.force_name}],
        "items": [_item(page, message) for message in messages],
    }
    return json.dumps(made, ensure_ascii=False, indent=1).encode("utf-8", "replace")


def _item(page: str, message: PublishedMessage) -> dict[str, Any]:
    return {
        "id": f"urn:uuid:{message.id}",
        "url": f"{page}#m-{message.id}",
        "title": message.title,
        "content_html": str(render.html(message.body)),
        "content_text": render.plain(message.body),
        "date_published": message.published_at.isoformat(),
        "authors": [{"name": message.team_name}],
        "tags": [str(message.kind)],
    }
