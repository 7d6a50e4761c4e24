"""The one HTTP session of channels: a call is made once, and an answer is only so long."""

import gzip
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientError, web

from channels.base import Unknown
from channels.http import MOST_BYTES, Session, TooLarge, json_of, outcome_of
from tests.fakes.web import FakeWeb, Trouble, trouble

LONG = b"x" * (MOST_BYTES + 1)


class FarEnd(FakeWeb):
    """Breaks off after it took a call, or says too much."""

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/cut", self._cut), web.get("/{how}", self._long)]

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        self.scripted(request.method)
        return await trouble(Trouble.TAKE_AND_CUT, request)

    async def _long(self, request: web.Request) -> web.StreamResponse:
        if request.match_info["how"] == "packed":
            return web.Response(body=gzip.compress(LONG, 1), headers={"Content-Encoding": "gzip"})
        if request.match_info["how"] == "deep":
            return web.Response(body=b"[" * 100_000)
        answer = web.Response(body=LONG)
        if request.match_info["how"] == "in-pieces":
            answer.enable_chunked_encoding()
        return answer


@pytest.fixture
async def far_end() -> AsyncIterator[FarEnd]:
    async with FarEnd() as server:
        yield server


@pytest.fixture
async def session(far_end: FarEnd) -> AsyncIterator[Session]:
    opened = Session(far_end.url)
    yield opened
    await opened.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
async def test_a_call_whose_answer_is_lost_is_not_made_again(
    far_end: FarEnd, session: Session, method: str
) -> None:
    """What HTTP calls idempotent a provider need not: the service decides on a second try."""
    with pytest.raises(ClientError) as error:
        async with session.request(method, "http://far/cut"):
            pass
    assert len(far_end.calls) == 1
    assert isinstance(outcome_of(error.value), Unknown)


@pytest.mark.parametrize("how", ["whole", "in-pieces", "packed"])
async def test_an_answer_without_end_is_given_up(session: Session, how: str) -> None:
    with pytest.raises(TooLarge) as error:
        async with session.request("GET", f"http://far/{how}"):
            pass
    assert isinstance(outcome_of(error.value), Unknown)


async def test_an_answer_nested_without_end_is_no_json(session: Session) -> None:
    async with session.request("GET", "http://far/deep") as answer:
        with pytest.raises(ValueError, match="nested"):
            await json_of(answer)
