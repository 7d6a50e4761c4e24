"""What the long-running commands write down when a library speaks for itself."""

import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest
import structlog
from aiohttp import web

from notifier.cli import logs
from notifier.web.app import make_runner
from tests.processes import dialled


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What is logged from now on; everything is put back afterwards."""
    root, before, target = logging.getLogger(), logging.getLogger().handlers[:], StringIO()
    kept = structlog.get_config()
    logs.configure(target)
    yield target
    root.handlers[:] = before
    structlog.configure(**kept)


def events(log: StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_librarys_complaint_is_an_event_without_what_it_quotes(log: StringIO) -> None:
    try:
        raise ValueError("sam@resident.example +447700900123 token-of-a-link")
    except ValueError:
        logging.getLogger("some.library").exception(
            "%s went wrong\nfuture: %r", "sam@resident.example", "token"
        )
    (event,) = events(log)
    assert (event["event"], event["logger"], event["error"]) == (
        "library_complains",
        "some.library",
        "ValueError",
    )
    assert event["said"] == "%s went wrong"
    assert "test_logs.py" in str(event["at"])
    for secret in ("sam@", "4477", "token"):
        assert secret not in log.getvalue()


def test_a_fault_of_our_own_says_where_and_nothing_of_what_was_handled(log: StringIO) -> None:
    def handle(words: str) -> None:
        try:
            raise KeyError(words)
        except KeyError as error:
            raise RuntimeError(f"could not handle {words}") from error

    try:
        handle("my neighbour's secret")
    except RuntimeError:
        structlog.get_logger().exception("loop_failed", loop="deliver")
    (event,) = events(log)
    assert event["exception"]["kinds"] == ["RuntimeError", "KeyError"]  # type: ignore[index]
    assert "handle" in str(event["exception"])
    assert "secret" not in log.getvalue()


def test_what_a_library_merely_mentions_is_left_out(log: StringIO) -> None:
    logging.getLogger("some.library").info("hello")
    assert events(log) == []


@pytest.mark.parametrize(
    "request_line",
    [b"GET /manage/a-token who=sam@resident.example HTTP/1.1", b"GET /manage/a-token HTTP/9.x"],
)
async def test_a_request_that_is_none_leaves_no_trace_of_its_path(log: StringIO, request_line: bytes) -> None:
    runner = make_runner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    async with dialled(runner.addresses[0][1]) as (reader, writer):
        writer.write(request_line + b"\r\nHost: x\r\n\r\n")
        answer = await reader.read()
    await runner.cleanup()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert [event["logger"] for event in events(log)] == ["aiohttp.server"]
    assert "a-token" not in log.getvalue()
    assert "sam@" not in log.getvalue()
