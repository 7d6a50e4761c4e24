"""`python -m tests.fakes`: the stand-ins as one process, for `make demo`, the compose file and checks across processes.

Prints one JSON line once they listen: where each is, and the settings with which the service finds them. Ends on SIGINT
or SIGTERM.
"""

import argparse
import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from tests.fakes.bluesky import FakeBluesky
from tests.fakes.box import keep_showing
from tests.fakes.control import Control, StandIn
from tests.fakes.mastodon import FakeMastodon
from tests.fakes.mmg import API_KEY, FakeMmg
from tests.fakes.push import FakePush
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import ACCOUNT_SID, AUTH_TOKEN, FakeTwilio
from tests.fakes.x import FakeX

LOGS = {
    "smtp": "mail",
    "twilio": "texts",
    "mmg": "texts-mmg",
    "push": "notifications",
    "x": "posts",
    "mastodon": "posts-mastodon",
    "bluesky": "posts-bluesky",
}
PUSH_KEY = "ejo6nfYwzHNJnXc4d1oIf5OTAzcGmKcdgSJNPFyTGPk"  # nobody else's
NAMES = (*LOGS, "control")
# The accounts of the demo's teams, as `notifier.cli.borough` gives them.
ON_MASTODON = {
    f"stand-in-{number}": f"@queensvale{number}@social.queensvale.example" for number in range(1, 5)
}
ON_BLUESKY = {
    f"team{number}.queensvale.example": (f"stand-in-{number}", f"did:plc:queensvale{number}")
    for number in range(1, 5)
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    for name in NAMES:
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0: a free one")
    parser.add_argument(
        "--log", type=Path, help=f"folder for {', '.join(f'{each}.jsonl' for each in LOGS.values())}"
    )
    parser.add_argument(
        "--outbox", type=Path, help="folder of the demo's page, which then shows what was taken"
    )
    parser.add_argument(
        "--leashed", action="store_true", help="end when standard input does, however its writer ended"
    )
    parser.add_argument("--hooks-url", default="", help="origin to which hooks are really made")
    parser.add_argument("--account-sid", default=ACCOUNT_SID)
    parser.add_argument("--auth-token", default=AUTH_TOKEN)
    parser.add_argument("--no-callbacks", action="store_true", help="do not tell what became of a text")
    return parser.parse_args()


def made(asked: argparse.Namespace) -> dict[str, StandIn]:
    """Each stand-in, not listening yet, by its name."""
    at = {name: {"host": asked.host, "port": getattr(asked, f"{name}_port")} for name in NAMES}
    logs = {name: asked.log / f"{file}.jsonl" if asked.log else None for name, file in LOGS.items()}
    return {
        "smtp": FakeSmtp(**at["smtp"], log=logs["smtp"]),
        "twilio": FakeTwilio(
            **at["twilio"],
            account_sid=asked.account_sid,
            auth_token=asked.auth_token,
            log=logs["twilio"],
            calls_back=not asked.no_callbacks,
            hooks_url=asked.hooks_url,
        ),
        "mmg": FakeMmg(**at["mmg"], log=logs["mmg"]),
        "push": FakePush(**at["push"], log=logs["push"]),
        "x": FakeX(**at["x"], log=logs["x"]),
        "mastodon": FakeMastodon(ON_MASTODON, **at["mastodon"], log=logs["mastodon"]),
        "bluesky": FakeBluesky(ON_BLUESKY, **at["bluesky"], log=logs["bluesky"]),
    }


def settings(asked: argparse.Namespace, stand_ins: dict[str, StandIn]) -> dict[str, str]:
    """With which the service sends to them. MMG stands by for Twilio."""
    return {
        "NOTIFIER_CHANNELS": "email_smtp,sms_twilio,sms_mmg,push_web,social_x,social_mastodon,social_bluesky",
        "NOTIFIER_SMTP_URL": stand_ins["smtp"].url,
        "NOTIFIER_TWILIO_ACCOUNT_SID": asked.account_sid,
        "NOTIFIER_TWILIO_AUTH_TOKEN": asked.auth_token,
        "NOTIFIER_TWILIO_API_URL": stand_ins["twilio"].url,
        "NOTIFIER_MMG_API_URL": stand_ins["mmg"].url,
        "NOTIFIER_MMG_API_KEY": API_KEY,
        "NOTIFIER_MMG_HOOK_KEYS": "stand-in-hook-secret",
        "NOTIFIER_MMG_SENDERS": "+447700900980",
        "NOTIFIER_PUSH_URL": stand_ins["push"].url,
        "NOTIFIER_PUSH_VAPID_KEY": PUSH_KEY,
        "NOTIFIER_PUSH_CONTACT": "mailto:push@queensvale.example",
        "NOTIFIER_MASTODON_API_URL": stand_ins["mastodon"].url,
        "NOTIFIER_MASTODON_ACCOUNTS": " ".join(
            f"{account}={token}" for token, account in ON_MASTODON.items()
        ),
        "NOTIFIER_BLUESKY_API_URL": stand_ins["bluesky"].url,
        "NOTIFIER_BLUESKY_ACCOUNTS": " ".join(f"{handle}={word}" for handle, (word, _) in ON_BLUESKY.items()),
        "NOTIFIER_X_API_URL": stand_ins["x"].url,
        "NOTIFIER_X_CONSUMER_KEY": "stand-in",
        "NOTIFIER_X_CONSUMER_SECRET": "stand-in",
        "NOTIFIER_X_ACCESS_TOKEN": "stand-in",
        "NOTIFIER_X_ACCESS_TOKEN_SECRET": "stand-in",
    }


async def run(asked: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    if asked.leashed:
        asyncio.get_running_loop().add_reader(sys.stdin, stop.set)  # nobody writes there: it is the end
    async with AsyncExitStack() as stack:
        stand_ins = made(asked)
        for each in stand_ins.values():
            await stack.enter_async_context(each)
        control = await stack.enter_async_context(
            Control(stand_ins, host=asked.host, port=asked.control_port)
        )
        places = {name: each.url for name, each in stand_ins.items()} | {"control": control.url}
        print(json.dumps({**places, "settings": settings(asked, stand_ins)}), flush=True)  # noqa: T201
        if asked.outbox is None:
            await stop.wait()
            return
        showing = asyncio.create_task(
            keep_showing(asked.outbox, [each.accepted for each in stand_ins.values()])
        )
        await stop.wait()
        showing.cancel()


if __name__ == "__main__":
    asyncio.run(run(arguments()))
