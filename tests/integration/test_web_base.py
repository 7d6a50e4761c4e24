"""The base of all pages: errors as answers, what the log may say, and a database that is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from channels.registry import Channels
from notifier import config
from notifier.db import Database
from notifier.engine import engine_for
from notifier.errors import Conflict, Invalid, NotAllowed, NotFound, Unavailable
from notifier.runtime import Service
from notifier.web.app import make_app, make_runner
from notifier.web.context import see_other
from notifier.web.service import database
from tests.processes import dialled

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ERRORS: dict[str, Exception] = {
    "not_found": NotFound(),
    "not_allowed": NotAllowed(),
    "conflict": Conflict(),
    "invalid": Invalid({"title": "Write a title.", "texts.cy": "Write it."}),
    "unavailable": Unavailable(),
    "refused": ConnectionRefusedError("10.0.0.7:5432"),
    "fault": RuntimeError("secret-inside@resident.example"),
}
STATUS = {"not_found": 404, "not_allowed": 403, "conflict": 409, "invalid": 422, "unavailable": 503, "refused": 503,
          "fault": 500}  # fmt: skip


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.02)


async def _raise(request: web.Request) -> web.Response:
    raise ERRORS[request.match_info["name"]]


async def _read(request: web.Request) -> web.Response:
    async with database(request).transaction() as tx:
        return web.Response(text=str(tx.now))


@pytest.fixture
async def client(db: Database) -> AsyncIterator[TestClient[Any, Any]]:
    """The application with a few pages that fail."""
    app = make_app(Service(environment=config.build({}), db=db, channels=Channels([])))
    for start in ("", "/api/v1", "/hooks"):
        app.router.add_get(f"{start}/raise/{{name}}", _raise)
    app.router.add_get("/read", _read)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize("name", ERRORS)
async def test_each_error_has_its_status_as_a_page_as_json_and_to_a_hook(
    client: TestClient[Any, Any], name: str
) -> None:
    page = await client.get(f"/raise/{name}")
    problem = await client.get(f"/api/v1/raise/{name}")
    hook = await client.get(f"/hooks/raise/{name}")
    assert [page.status, problem.status, hook.status] == [STATUS[name]] * 3
    assert page.content_type == "text/html"
    assert problem.content_type == "application/problem+json"
    assert await hook.read() == b""
    assert (await problem.json())["status"] == STATUS[name]
    assert ("Retry-After" in page.headers) == (STATUS[name] == 503)
    for text in (await page.text(), await problem.text()):
        assert "secret-inside" not in text
        assert "10.0.0.7" not in text
        assert "Traceback" not in text


async def test_a_program_is_told_which_fields_to_mend(client: TestClient[Any, Any]) -> None:
    problem = await (await client.get("/api/v1/raise/invalid")).json()
    assert problem["errors"] == [
        {"pointer": "/title", "detail": "Write a title."},
        {"pointer": "/texts/cy", "detail": "Write it."},
    ]


async def test_a_fault_has_a_number_that_leads_to_the_log_and_nothing_else(
    client: TestClient[Any, Any],
) -> None:
    with structlog.testing.capture_logs() as lines:
        text = await (await client.get("/raise/fault")).text()
    failed = next(line for line in lines if line["event"] == "request_failed")
    assert failed["reference"] in text
    assert failed["error"] == "RuntimeError"
    assert "secret-inside" not in str(lines)


async def test_the_log_holds_the_pattern_of_a_path_and_never_its_token(client: TestClient[Any, Any]) -> None:
    with structlog.testing.capture_logs() as lines:
        await client.get("/manage/abcdefghijklmnop?postcode=SW1A1AA")
        await client.get("/confirm/qrstuvwxyz")
    assert {line["route"] for line in lines} == {"/manage/{token}", "/confirm/{token}"}
    assert not any(secret in str(lines) for secret in ("abcdefgh", "qrstuv", "SW1A"))


async def test_a_wrong_method_is_named_with_the_right_ones(client: TestClient[Any, Any]) -> None:
    response = await client.put("/sign-up")
    assert response.status == 405
    assert "POST" in response.headers["Allow"]


async def test_a_database_that_is_away_is_a_page_that_says_try_again(
    client: TestClient[Any, Any], db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await client.get("/read")).status == 200
    nowhere = engine_for("postgresql://nobody@127.0.0.1:1/nothing", pool_size=1)
    monkeypatch.setattr(db, "engine", nowhere)
    for path in ("/read", "/?postcode=SW1A1AA", "/health/ready"):
        response = await client.get(path)
        assert (path, response.status) == (path, 503)
    assert (await client.get("/")).status == 200


async def test_a_visitor_who_leaves_in_the_middle_is_not_taken_for_a_database_that_is_away(
    db: Database,
) -> None:
    runner = make_runner(make_app(Service(environment=config.build({}), db=db, channels=Channels([]))))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    head = b"POST /sign-up HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    with structlog.testing.capture_logs() as lines:
        async with dialled(port) as (_, writer):
            writer.write(head + b"Content-Length: 10\r\n\r\narea")
            await writer.drain()
            await asyncio.sleep(0.1)
        await until(lambda: any(line["event"] == "request" for line in lines))
    await runner.cleanup()
    assert [(line["event"], line.get("status")) for line in lines] == [("request", 400)]


@pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "evil"])
def test_nobody_is_sent_to_another_site(database_url: str, path: str) -> None:
    with pytest.raises(ValueError, match="our own"):
        see_other(path)
