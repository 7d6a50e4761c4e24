"""Is the process alive, can it serve, and what it counts: for supervisors, load balancers and Prometheus."""

import asyncio

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from sqlalchemy import func, select

from notifier.models import Delivery, DeliveryState
from notifier.web.service import database

log = structlog.get_logger()

PATIENCE_SECONDS = 5


class Meters:
    """What one application counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("notifier_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "notifier_request_seconds", "Seconds until the answer", ("route",), registry=self.registry
        )


METERS = web.AppKey("meters", Meters)


def count(request: web.Request, *, route: str, status: int, seconds: float) -> None:
    """Count one request by its route's pattern."""
    meters = request.app[METERS]
    method = (
        request.method if request.method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
    )
    meters.requests.labels(method, route, str(status)).inc()
    meters.seconds.labels(route).observe(seconds)


async def live(_request: web.Request) -> web.Response:
    """The process runs its loop."""
    return web.json_response({"status": "live"})


async def ready(request: web.Request) -> web.Response:
    """The database answers and is migrated; 503 where it does not."""
    async with asyncio.timeout(PATIENCE_SECONDS), database(request).transaction(read_only=True) as tx:
        await tx.scalar(select(Delivery.id).limit(1))
    return web.json_response({"status": "ready"})


async def metrics(request: web.Request) -> web.Response:
    """Requests, and how many deliveries are on their way, by state. Keep it from the public at the proxy."""
    on_their_way = [state for state in DeliveryState if not state.is_terminal]
    statement = (
        select(Delivery.state, func.count().label("number"))
        .where(Delivery.state.in_(on_their_way))
        .group_by(Delivery.state)
    )
    async with database(request).transaction(read_only=True) as tx:
        found = {row.state: row.number for row in await tx.execute(statement)}
    lines = [
        "# HELP notifier_deliveries_open Deliveries not yet settled",
        "# TYPE notifier_deliveries_open gauge",
    ]
    lines += [f'notifier_deliveries_open{{state="{state}"}} {found.get(state, 0)}' for state in on_their_way]
    body = generate_latest(request.app[METERS].registry) + ("\n".join(lines) + "\n").encode()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


ROUTES = [web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", metrics)]
