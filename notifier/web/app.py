"""Puts the web application together. `serve`, `demo` and the tests call `make_app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from aiohttp import web

from notifier.runtime import Service
from notifier.web import api, demo, desk, health, hooks, public, static_files
from notifier.web.health import METERS, Meters
from notifier.web.middleware import MIDDLEWARES
from notifier.web.service import SERVICE, reserve

PUBLIC_BODY_BYTES = 64 * 1024
PARTS = (health, static_files, hooks, public, desk, api, demo)  # each has a list ROUTES


def make_app(service: Service) -> web.Application:
    """The application over an open service; the caller closes the service after the application."""
    app = web.Application(middlewares=MIDDLEWARES, client_max_size=PUBLIC_BODY_BYTES)
    app[SERVICE] = service
    app[METERS] = Meters()
    app.cleanup_ctx.append(reserve)
    desk.prepare(app)
    for part in PARTS:
        app.add_routes(part.ROUTES)
    return app


def make_runner(app: web.Application) -> web.AppRunner:
    """Without aiohttp's own access log, which would write the tokens in our paths."""
    return web.AppRunner(app, access_log=None, handle_signals=False)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[None]:
    """The pages, served on `NOTIFIER_LISTEN` until the block ends."""
    runner = make_runner(make_app(service))
    await runner.setup()
    try:
        at = urlsplit(f"//{service.settings.listen}")
        await web.TCPSite(runner, at.hostname, at.port).start()
        yield
    finally:
        await runner.cleanup()
