"""The open service, kept in the application under one key."""

from aiohttp import web

from notifier.config import Settings
from notifier.db import Database
from notifier.runtime import Service

SERVICE = web.AppKey("service", Service)


def service(request: web.Request) -> Service:
    """The service that this request is served by."""
    return request.app[SERVICE]


def settings(request: web.Request) -> Settings:
    """Its settings. Absolute addresses come from `public_url` alone, never from a Host header."""
    return request.app[SERVICE].settings


def database(request: web.Request) -> Database:
    """Its database: `async with database(request).transaction(read_only=True) as tx`."""
    return request.app[SERVICE].db
