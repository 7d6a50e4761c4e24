"""What is seen of sending from outside: `/health/ready`, `/metrics`, and the alarm address."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner
from sqlalchemy import insert

from channels.base import Failed, Refusal, Refused, Where
from channels.registry import Channels
from notifier import config
from notifier.cli.channels import channels_command
from notifier.config import BadConfiguration
from notifier.db import Database
from notifier.delivery.alarms import AlarmKind, Herald, mark_told, raise_alarm, untold
from notifier.delivery.gate import Gate, Result
from notifier.models import Hold, HoldScope, WorkerRow
from notifier.runtime import Service, open_service
from notifier.web.app import make_app
from tests.fakes.web import FakeWeb
from tests.processes import outside_the_loop


@pytest.fixture
async def client(db: Database) -> AsyncIterator[TestClient[Any, Any]]:
    environment = config.build({"NOTIFIER_CHANNELS": "outbox memory"})
    app = make_app(Service(environment=environment, db=db, channels=Channels([])))
    async with TestClient(TestServer(app)) as opened:
        yield opened


async def trouble(db: Database) -> None:
    """A channel locked out, another held by hand, a mail domain that takes nothing, a worker."""
    locked = Refused(why=Refusal.NOT_ALLOWED, reason="no credit", code="402")
    busy = Failed(reason="try later", code="451", where=Where.DOMAIN)
    async with db.transaction() as tx:
        results = [Result(channel="memory", outcome=busy, domain="gmail.com")] * 5
        await Gate(keys=db.keys).learn(tx, [*results, Result(channel="memory", outcome=locked)])
        await tx.execute(
            insert(Hold).values(
                scope=HoldScope.CHANNEL, key="outbox", reason="a drill", by="cli", since=tx.now
            )
        )
        for seen, owner in ((1, "here"), (60, "gone")):
            at = tx.now - timedelta(seconds=seen)
            await tx.execute(
                insert(WorkerRow).values(owner=owner, lanes="urgent", version="1", started_at=at, seen_at=at)
            )


async def test_ready_says_that_all_is_well(client: TestClient[Any, Any]) -> None:
    response = await client.get("/health/ready")
    assert response.status == 200
    said = await response.json()
    assert (said["status"], said["degraded"], said["alarms"]) == ("ready", False, [])
    assert said["channels"] == [
        {"name": "outbox", "state": "closed", "held": False},
        {"name": "memory", "state": "closed", "held": False},
    ]


async def test_ready_stays_200_and_names_what_is_in_trouble(
    db: Database, client: TestClient[Any, Any]
) -> None:
    await trouble(db)
    response = await client.get("/health/ready")
    assert response.status == 200
    said = await response.json()
    assert said["degraded"] is True
    assert said["channels"] == [
        {"name": "outbox", "state": "closed", "held": True},
        {"name": "memory", "state": "operator", "held": False},
    ]
    assert said["domains"] == [{"channel": "memory", "domain": "gmail.com", "state": "open"}]
    assert [(alarm["kind"], alarm["key"]) for alarm in said["alarms"]] == [("channel", "memory")]


async def test_metrics_show_breakers_alarms_workers_and_lanes(
    db: Database, client: TestClient[Any, Any]
) -> None:
    await trouble(db)
    lines = (await (await client.get("/metrics")).text()).splitlines()
    for line in (
        'notifier_breaker_state{channel="outbox"} 0',
        'notifier_breaker_state{channel="memory"} 3',
        'notifier_breaker_domains{channel="memory"} 1',
        "notifier_alarms_open 1",
        "notifier_workers_live 1",
        'notifier_deliveries_pending{lane="urgent"} 0',
        'notifier_deliveries_open{state="pending"} 0',
    ):
        assert line in lines


# --- The alarm address ----------------------------------------------------------------------------


class Pager(FakeWeb):
    """An address that takes alarms."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/alarm", self._take), web.post("/moved", self._move)]

    async def _take(self, request: web.Request) -> web.Response:
        self.told.append(await request.json())
        return web.Response(status=204)

    async def _move(self, request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/alarm")


async def test_an_alarm_is_told_once_it_is_raised_and_says_nothing_of_anybody(db: Database) -> None:
    async with Pager() as pager:
        herald = Herald(f"{pager.url}/alarm")
        async with db.transaction() as tx:
            await raise_alarm(tx, AlarmKind.CHANNEL, "sms_twilio", "locked out (20003)")
            assert "alarm" in tx.queued[0]
        async with db.transaction() as tx:
            (alarm,) = await untold(tx)
        assert await herald.tell(alarm, service="Neighbourhood Link")
        async with db.transaction() as tx:
            await mark_told(tx, alarm.id)
            assert await untold(tx) == []
        await herald.close()
    (told,) = pager.told
    assert told == {
        "id": alarm.id,
        "kind": "channel",
        "key": "sms_twilio",
        "detail": "locked out (20003)",
        "raised_at": alarm.raised_at.isoformat(),
        "service": "Neighbourhood Link",
    }


async def test_a_redirect_and_a_dead_address_are_no_success(db: Database) -> None:
    async with db.transaction() as tx:
        await raise_alarm(tx, AlarmKind.COUNTERS, "", "away")
        (alarm,) = await untold(tx)
    async with Pager() as pager:
        moved = Herald(f"{pager.url}/moved")
        assert not await moved.tell(alarm, service="x")
        await moved.close()
    dead = Herald(f"{pager.url}/alarm")
    assert not await dead.tell(alarm, service="x")
    await dead.close()
    assert pager.told == []


@pytest.mark.parametrize(
    "url", ["http://alarms.example/x", "ftp://127.0.0.1/x", "https://", "alarms.example"]
)
def test_an_alarm_address_is_https_or_on_this_machine(url: str) -> None:
    with pytest.raises(BadConfiguration):
        config.build({"NOTIFIER_ALARM_URL": url})
    config.build({"NOTIFIER_ALARM_URL": "https://alarms.example/x"})
    config.build({"NOTIFIER_ALARM_URL": "http://127.0.0.1:9/x"})


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_list_of_channels_says_how_each_does(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def prepare() -> None:
        service = open_service(config.build({"NOTIFIER_DATABASE_URL": database_url}), sends=False)
        async with service as opened:
            await trouble(opened.db)

    outside_the_loop(lambda: asyncio.run(prepare()))
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DATABASE_URL": database_url,
        "CHANNELS": "memory outbox",
        "RATES": "memory=5 memory/domain=2",
    }.items():
        monkeypatch.setenv(f"NOTIFIER_{name}", value)
    shown = outside_the_loop(lambda: CliRunner().invoke(channels_command).output)
    assert (
        "locked out; an operator must act (no credit (402)); mail domains that take nothing now: 1" in shown
    )
    assert "most a second: memory=5, memory/domain=2" in shown
    assert "working; held: a drill; none accepted yet; most a second: no limit" in shown
    assert "to open it, set NOTIFIER_SMTP_URL" in shown
    said = outside_the_loop(lambda: CliRunner().invoke(channels_command, ["--json"]).output)
    listed = {row["name"]: row for row in json.loads(said)}
    assert list(listed)[:2] == ["memory", "outbox"]
    assert (listed["memory"]["state"], listed["memory"]["domains_shut"]) == ("operator", 1)
    assert (listed["outbox"]["state"], listed["outbox"]["held"]) == ("closed", ["a drill"])
    assert listed["email_smtp"]["number"] is None
