"""Stylesheets and pictures from `notifier/web/static`, each address holding the hash of its content.

An address with the right hash may be kept for a year; any other is looked at afresh each time.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain",
}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A file, read once."""

    body: bytes
    content_type: str
    version: str


def asset(name: str) -> str:
    """The address of a static file: `/static/base.css?v=1f0c…`."""
    return f"/static/{name}?v={_assets()[name].version}"


async def serve(request: web.Request) -> web.Response:
    """One file of the folder; 404 for anything else, whatever its path says."""
    found = _assets().get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    is_current = request.query.get("v") == found.version
    headers = {"Cache-Control": FOR_EVER if is_current else "no-cache", "ETag": f'"{found.version}"'}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    charset = None if found.content_type == "image/png" else "utf-8"
    return web.Response(body=found.body, content_type=found.content_type, charset=charset, headers=headers)


async def worker(request: web.Request) -> web.Response:
    """The service worker: at the root, so that it serves the whole site; looked at afresh each time."""
    found = _assets()["push-worker.js"]
    headers = {"Cache-Control": "no-cache", "ETag": f'"{found.version}"'}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.body, content_type=found.content_type, charset="utf-8", headers=headers)


@cache
def _assets() -> dict[str, Asset]:
    return {path.name: _read(path) for path in FOLDER.iterdir() if path.suffix in TYPES}


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body=body, content_type=TYPES[path.suffix], version=hashlib.sha256(body).hexdigest()[:12])


ROUTES = [web.get("/static/{name}", serve), web.get("/push.js", worker)]
