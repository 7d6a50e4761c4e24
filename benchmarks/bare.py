"""The bare loops we compare ourselves with: `python -m benchmarks.bare mail|texts …` prints one JSON line.

Nothing but the library and the network: no rows, no retries, no tokens; the same bytes to the same far end over
the same number of kept connections on the same event loop.
"""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import aiosmtplib


async def mail(port: int, message: bytes, number: int, connections: int) -> None:
    """aiosmtplib.sendmail over kept connections, one recipient a message."""
    left = iter(range(number))

    async def one() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as client:
            for which in left:
                await client.sendmail("bounce@link.example", [f"person{which}@mail.example"], message)

    await asyncio.gather(*(one() for _ in range(connections)))


async def texts(url: str, number: int, connections: int, body: str, account: str, token: str) -> None:
    """aiohttp POSTs of the same form, the answer read as JSON."""
    left = iter(range(number))
    auth = aiohttp.BasicAuth(account, token)
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector, auth=auth) as session:

        async def one() -> None:
            for which in left:
                form = {
                    "To": f"+447700{900000 + which % 1000:06d}",
                    "From": "+447700900999",
                    "StatusCallback": f"https://link.example/hooks/sms_twilio?attempt=attempt{which}",
                    "Body": body,
                }
                async with session.post(url, data=form) as answer:
                    assert answer.status == 201
                    await answer.json()

        await asyncio.gather(*(one() for _ in range(connections)))


def measured(work: Coroutine[Any, Any, None]) -> dict[str, float]:
    """CPU and wall seconds of one coroutine, on uvloop where it is installed."""

    async def timed() -> dict[str, float]:
        cpu, clock = time.process_time(), time.monotonic()
        await work
        return {"cpu": time.process_time() - cpu, "wall": time.monotonic() - clock}

    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.run(timed())
    return asyncio.run(timed())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare", description=__doc__)
    parser.add_argument("what", choices=["mail", "texts"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--message", type=Path)
    parser.add_argument("--body", default="")
    parser.add_argument("--account", default="")
    parser.add_argument("--token", default="")
    asked = parser.parse_args()
    if asked.what == "mail":
        work = mail(
            urlsplit(asked.url).port or 25, asked.message.read_bytes(), asked.number, asked.connections
        )
    else:
        work = texts(asked.url, asked.number, asked.connections, asked.body, asked.account, asked.token)
    print(json.dumps(measured(work)))


if __name__ == "__main__":
    main()
