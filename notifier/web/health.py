"""Is the process alive, can it serve, and what it counts: for supervisors, load balancers and Prometheus."""

import asyncio
from collections.abc import Mapping

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from sqlalchemy import func, select

from notifier.delivery.standing import SendingState, live_workers, sending_state
from notifier.models import BreakerState, Delivery, DeliveryState, HoldScope, Lane
from notifier.web.service import SERVICE, database
from notifier.web.shedding import is_crowded

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
    """200 while the database answers and is migrated, with what does not work as it should; 503 where it does not."""
    names, waits = request.app[SERVICE].settings.channels, database(request).waits
    async with asyncio.timeout(PATIENCE_SECONDS), database(request).transaction(read_only=True) as tx:
        await tx.scalar(select(Delivery.id).limit(1))
        state = await sending_state(tx)
    return web.json_response(
        {
            "status": "ready",
            "degraded": state.is_degraded or is_crowded(waits),
            "sheds_bulk": is_crowded(waits),
            "channels": [
                {"name": name, "state": _state_of(state, name), "held": _is_held(state, name)}
                for name in names
            ],
            "domains": [
                {"channel": each.name, "domain": each.domain, "state": each.state}
                for each in state.channels
                if each.domain
            ],
            "alarms": [
                {"kind": each.kind, "key": each.key, "since": each.raised_at.isoformat()}
                for each in state.alarms
            ],
        }
    )


async def metrics(request: web.Request) -> web.Response:
    """Requests, and how sending is doing. Keep it from the public at the proxy."""
    waits = database(request).waits
    on_their_way = [state for state in DeliveryState if not state.is_terminal]
    statement = (
        select(Delivery.state, Delivery.lane, func.count().label("number"))
        .where(Delivery.state.in_(on_their_way))
        .group_by(Delivery.state, Delivery.lane)
    )
    async with database(request).transaction(read_only=True) as tx:
        rows = (await tx.execute(statement)).all()
        state, workers = await sending_state(tx), await live_workers(tx)
    names = request.app[SERVICE].settings.channels
    pending = {row.lane: row.number for row in rows if row.state == DeliveryState.PENDING}
    lines = [
        *_gauge(
            "notifier_deliveries_open",
            "Deliveries not yet settled",
            {f'state="{each}"': sum(r.number for r in rows if r.state == each) for each in on_their_way},
        ),
        *_gauge(
            "notifier_deliveries_pending",
            "Deliveries that wait, by lane",
            {f'lane="{lane.name.lower()}"': pending.get(lane, 0) for lane in Lane},
        ),
        *_gauge(
            "notifier_breaker_state",
            "0 closed, 1 being probed, 2 open, 3 locked out until an operator acts",
            {f'channel="{name}"': _LEVELS[_state_of(state, name)] for name in names},
        ),
        *_gauge(
            "notifier_breaker_domains",
            "Mail domains behind a channel that take nothing now",
            {f'channel="{name}"': _domains(state, name) for name in names},
        ),
        *_gauge("notifier_alarms_open", "Alarms nobody has cleared", {"": len(state.alarms)}),
        *_gauge(
            "notifier_database_wait_seconds",
            "Longest wait of this process for a connection in the last five seconds; bulk is shed above two",
            {"": round(waits.longest_seconds, 3)},
        ),
        *_gauge("notifier_workers_live", "Workers heard of in the last 15 seconds", {"": workers}),
    ]
    body = generate_latest(request.app[METERS].registry) + ("\n".join(lines) + "\n").encode()
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


def _gauge(name: str, about: str, values: Mapping[str, float]) -> list[str]:
    """In Prometheus's text format, one line for each set of labels."""
    lines = [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
    return lines + [
        f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in values.items()
    ]


def _state_of(state: SendingState, name: str) -> BreakerState:
    standing = state.of_channel(name)
    return standing.state if standing else BreakerState.CLOSED


def _is_held(state: SendingState, name: str) -> bool:
    return any(
        hold.scope == HoldScope.SYSTEM or (hold.scope == HoldScope.CHANNEL and hold.key == name)
        for hold in state.holds
    )


def _domains(state: SendingState, name: str) -> int:
    return sum(1 for each in state.channels if each.name == name and each.domain)


_LEVELS = {
    BreakerState.CLOSED: 0,
    BreakerState.HALF_OPEN: 1,
    BreakerState.OPEN: 2,
    BreakerState.OPERATOR: 3,
}

ROUTES = [web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", metrics)]
