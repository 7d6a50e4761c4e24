"""The open service, kept in the application under one key."""

from collections.abc import AsyncIterator

from aiohttp import web

from notifier.config import Settings
from notifier.db import Database
from notifier.runtime import Service
from notifier.web.shedding import is_busy

SERVICE = web.AppKey("service", Service)
RESERVE = web.AppKey("reserve", Database)
AHEAD = ("/desk", "/api/v1/messages")  # what sends an alert
RESERVED = 5  # connections kept; ten more may be opened


def service(request: web.Request) -> Service:
    """The service that this request is served by."""
    return request.app[SERVICE]


def settings(request: web.Request) -> Settings:
    """Its settings. Absolute addresses come from `public_url` alone, never from a Host header."""
    return request.app[SERVICE].settings


def database(request: web.Request) -> Database:
    """Its database: `async with database(request).transaction(read_only=True) as tx`.

    Once callers wait for a connection, officers and what may be an alert go past them by the reserve.
    """
    own = request.app[SERVICE].db
    return request.app[RESERVE] if request.path.startswith(AHEAD) and is_busy(own.waits) else own


async def reserve(app: web.Application) -> AsyncIterator[None]:
    """Connections of their own, opened when they are needed, for as long as the application runs."""
    async with app[SERVICE].db.apart(pool_size=RESERVED) as apart:
        app[RESERVE] = apart
        yield
