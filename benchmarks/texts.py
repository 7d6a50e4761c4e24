"""The text channel's `send` through the twilio SDK, beside bare aiohttp POSTs of the same form."""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.machine import python, said_by
from benchmarks.result import Figure
from channels.base import Accepted, Content, Medium, Outgoing
from channels.sms_twilio import SmsTwilio
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN

NUMBER = "+447700900999"
BODY = "Link: police will be at Abbey Hall on Saturday 2pm to 4pm. Come and tell us what matters. Reply STOP to stop."


async def through_the_channel(api_url: str, number: int, connections: int) -> dict[str, float]:
    """CPU and wall seconds of so many sends."""
    channel = SmsTwilio(ACCOUNT_SID, [AUTH_TOKEN], [NUMBER], base_url="https://link.example", api_url=api_url)
    prepared = channel.prepare(Content(medium=Medium.SMS, language="en", text=BODY))

    async def some(left: Iterator[int]) -> None:
        for which in left:
            outcome = await channel.send(
                Outgoing(
                    attempt=f"attempt{which}",
                    delivery=f"delivery{which}",
                    to=f"+447700{900000 + which % 1000:06d}",
                    prepared=prepared,
                    values={},
                    sender=NUMBER,
                )
            )
            assert isinstance(outcome, Accepted), outcome

    async with channel:
        await some(iter(range(50)))  # the SDK imports its parts when they are first needed
        cpu, clock, left = time.process_time(), time.monotonic(), iter(range(number))
        await asyncio.gather(*(some(left) for _ in range(connections)))
        return {"cpu": time.process_time() - cpu, "wall": time.monotonic() - clock}


def against_bare_posts(number: int, *, connections: int = 16) -> Figure:
    """f: the channel ÷ the bare POSTs, in texts per CPU second; the better of two interleaved rounds each."""
    ours, theirs = [], []
    with python("-m", "tests.fakes", "--no-callbacks") as fakes:
        assert fakes.stdout is not None
        api_url = json.loads(fakes.stdout.readline())["twilio"]
        posts = f"{api_url}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
        for _ in range(2):
            said = said_by(
                "-m",
                "benchmarks.texts",
                f"--url={api_url}",
                f"--number={number}",
                f"--connections={connections}",
            )
            ours.append(number / json.loads(said)["cpu"])
            words = [f"--url={posts}", f"--number={number}", f"--connections={connections}"]
            words += [f"--body={BODY}", f"--account={ACCOUNT_SID}", f"--token={AUTH_TOKEN}"]
            theirs.append(number / json.loads(said_by("-m", "benchmarks.bare", "texts", *words))["cpu"])
    return Figure(
        name="f. SMS send through the twilio SDK ÷ bare aiohttp POSTs",
        value=max(ours) / max(theirs),
        at_least=0.7,
        detail={"ours a CPU s": max(ours), "bare a CPU s": max(theirs), "connections": connections},
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.texts", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    asked = parser.parse_args()
    work = through_the_channel(asked.url, asked.number, asked.connections)
    assert urlsplit(asked.url).hostname == "127.0.0.1", "a benchmark texts nobody"
    with contextlib.suppress(ImportError):
        import uvloop

        print(json.dumps(uvloop.run(work)))
        return
    print(json.dumps(asyncio.run(work)))


if __name__ == "__main__":
    main()
