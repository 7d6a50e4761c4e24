"""One kept HTTP session for a provider, with a deadline and an origin that can be another than the provider's own.

For the channels whose provider is asked over HTTP. It tells apart, before an SDK can blur it, what certainly did not arrive from
what may have.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

from channels.base import Failed, Outcome, Throttled, Unknown

DEFAULT_WAIT_SECONDS = 60.0
MOST_BYTES = 8_000_000  # of an answer: a page of posts and their authors is less than two
_PIECE_BYTES = 64 * 1024
_LONGEST_WAIT_SECONDS = 24 * 3600.0


class TooFast(Exception):
    """The provider asks us to wait (429)."""

    def __init__(self, after_seconds: float) -> None:
        self.after_seconds = after_seconds
        super().__init__(f"wait {after_seconds:.0f} s")


class TooLarge(Exception):
    """The answer is longer than it may be."""


class NoAnswer(Exception):
    """The provider failed while it had the request (5xx)."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"status {status}")


# What a call may raise besides an SDK's own errors.
TROUBLE = (TooFast, TooLarge, NoAnswer, aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True, kw_only=True)
class Download:
    """What was downloaded. kind: its content type. location: where a redirect goes, in full."""

    status: int
    kind: str
    data: bytes
    location: str


class _Answer(aiohttp.ClientResponse):
    """One whose body is given up where it grows too large, also while it is unpacked."""

    async def read(self) -> bytes:
        if self._body is None:
            self._body = await _whole(self, MOST_BYTES)
        return self._body


class Session:
    """Requests to one provider. Opened by the first call, inside the running loop.

    origin: where all of them go, whatever their own; empty: where each says itself.
    """

    def __init__(self, origin: str, *, total_seconds: float = 10, connect_seconds: float = 5) -> None:
        self._origin = URL(origin.rstrip("/")) if origin else None
        self._timeout = aiohttp.ClientTimeout(total=total_seconds, sock_connect=connect_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def request(
        self, method: str, url: str | URL, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One call, its body read. TooFast for 429, NoAnswer for 5xx, TooLarge, else aiohttp's errors and TimeoutError."""
        options = {**options, "timeout": self._timeout, "allow_redirects": False}
        async with self._opened().request(method, self._moved(URL(url)), **options) as response:
            if response.status == 429:
                raise TooFast(_wait_seconds(response))
            if response.status >= 500:
                raise NoAnswer(response.status)
            await response.read()
            yield response

    async def download(
        self, url: str, *, most_bytes: int, headers: Mapping[str, str] | None = None, elsewhere: bool = False
    ) -> Download:
        """One GET whose body is given up where it grows too large. No redirect is followed.

        elsewhere: at that address as it stands, and not at the origin; the caller has made sure of its host.
        Raises as `request` does, and TooLarge.
        """
        address = URL(url, encoded=True) if elsewhere else self._moved(URL(url))
        async with self._opened().get(
            address, headers=headers, timeout=self._timeout, allow_redirects=False
        ) as response:
            if response.status == 429:
                raise TooFast(_wait_seconds(response))
            if response.status >= 500:
                raise NoAnswer(response.status)
            return Download(
                status=response.status,
                kind=response.content_type,
                data=await _whole(response, most_bytes),
                location=_location(response),
            )

    def _moved(self, url: URL) -> URL:
        return URL(f"{self._origin}{url.raw_path_qs}", encoded=True) if self._origin else url

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=15)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), response_class=_Answer
            )
            # aiohttp makes a PUT or DELETE whose answer was lost a second time by itself, and tells nobody: one that is
            # in doubt would look taken, or be taken twice. It has no public switch; a test fails where this one is gone.
            self._session._retry_connection = False  # noqa: SLF001
        return self._session


async def _whole(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body. TooLarge, and the connection closed, where it is longer."""
    data = bytearray()
    if (response.content_length or 0) <= most_bytes:
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            data += piece
            if len(data) > most_bytes:
                break
        else:
            return bytes(data)
    response.close()
    raise TooLarge


async def json_of(response: aiohttp.ClientResponse) -> Any:
    """The body as JSON, whatever it says it is. ValueError where it is none, or nested without end."""
    try:
        return json.loads(await response.read())
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def not_asked(trouble: BaseException) -> Throttled:
    """What an error of a call that should only look means: nothing is known, ask again when it suits."""
    after = trouble.after_seconds if isinstance(trouble, TooFast) else 0.0
    return Throttled(after_seconds=after, reason="the provider could not be asked")


def outcome_of(trouble: BaseException) -> Outcome:
    """What an error of a call that should send something means."""
    match trouble:
        case TooFast(after_seconds=after):
            return Throttled(after_seconds=after, code="429")
        case NoAnswer(status=status):
            return Unknown(reason=f"the provider failed with {status}")
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return Failed(reason="no connection to the provider")
        case aiohttp.ContentTypeError(status=status) if 400 <= status < 500:
            return Failed(reason=f"turned away with {status}", code=str(status))
        case TimeoutError():
            return Unknown(reason="no answer in time")
        case TooLarge():
            return Unknown(reason="an answer too long to read")
        case _:
            return Unknown(reason="the connection broke during the call")


def _location(response: aiohttp.ClientResponse) -> str:
    """Where a redirect goes, in full; empty where it goes nowhere that can be."""
    try:
        return str(response.url.join(URL(response.headers.get("Location", ""))))
    except ValueError:
        return ""


_RESETS = ("x-rate-limit-reset", "x-ratelimit-reset", "ratelimit-reset")  # X's, Mastodon's, Bluesky's
_A_MOMENT = 1e9  # a smaller number is a wait, a larger one Unix time


def _wait_seconds(response: aiohttp.ClientResponse) -> float:
    """From Retry-After (seconds or a date) or the moment of the reset, the day's where the day's limit is spent."""
    asked = response.headers.get("Retry-After", "").strip()
    resets = (response.headers.get(name, "").strip() for name in _RESETS)
    reset = next((each for each in resets if each), "")
    for limit in ("x-user-limit-24hour", "x-app-limit-24hour"):
        if response.headers.get(f"{limit}-remaining", "").strip() == "0":
            reset = response.headers.get(f"{limit}-reset", "").strip() or reset
    try:
        wait = _seconds_until(asked or reset)
    except (ValueError, OverflowError):
        return DEFAULT_WAIT_SECONDS
    return min(max(wait, 1.0), _LONGEST_WAIT_SECONDS)


def _seconds_until(moment: str) -> float:
    """Of a number of seconds, Unix time, a date of RFC 9110 or of ISO 8601. ValueError for anything else."""
    if re.fullmatch(r"\d{1,15}(?:\.\d{1,9})?", moment):
        number = float(moment)
        return number - time.time() if number > _A_MOMENT else number
    if moment[:4].isdigit():
        return datetime.fromisoformat(moment).timestamp() - time.time()
    return parsedate_to_datetime(moment).timestamp() - time.time()
