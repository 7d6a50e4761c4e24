"""`python -m tests.fakes`: the stand-ins as one process, for the compose file and for checks across processes.

Prints one JSON line with their addresses once they listen; ends on SIGINT or SIGTERM. Port 0 takes a free one.
"""

import argparse
import asyncio
import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN, FakeTwilio
from tests.fakes.x import FakeX


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtp-port", type=int, default=0)
    parser.add_argument("--twilio-port", type=int, default=0)
    parser.add_argument("--x-port", type=int, default=0)
    parser.add_argument("--log", type=Path, help="folder for mail.jsonl, texts.jsonl and posts.jsonl")
    parser.add_argument("--hooks-url", default="", help="origin to which hooks are really made")
    parser.add_argument("--account-sid", default=ACCOUNT_SID)
    parser.add_argument("--auth-token", default=AUTH_TOKEN)
    parser.add_argument("--no-callbacks", action="store_true", help="do not tell what became of a text")
    return parser.parse_args()


async def run(asked: argparse.Namespace) -> None:
    folder: Path | None = asked.log
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        smtp = await stack.enter_async_context(
            FakeSmtp(host=asked.host, port=asked.smtp_port, log=folder and folder / "mail.jsonl")
        )
        twilio = await stack.enter_async_context(
            FakeTwilio(
                host=asked.host,
                port=asked.twilio_port,
                account_sid=asked.account_sid,
                auth_token=asked.auth_token,
                log=folder and folder / "texts.jsonl",
                calls_back=not asked.no_callbacks,
                hooks_url=asked.hooks_url,
            )
        )
        x = await stack.enter_async_context(
            FakeX(host=asked.host, port=asked.x_port, log=folder and folder / "posts.jsonl")
        )
        print(json.dumps({"smtp": smtp.url, "twilio": twilio.url, "x": x.url}), flush=True)  # noqa: T201
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(arguments()))
