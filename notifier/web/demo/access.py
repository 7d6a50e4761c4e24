"""Lets the demonstration's pages be seen in a demonstration alone."""

from aiohttp import web

from notifier.web.service import settings


def require_demo(request: web.Request) -> None:
    """Raise HTTPNotFound anywhere but in a demo."""
    if not settings(request).demo:
        raise web.HTTPNotFound
