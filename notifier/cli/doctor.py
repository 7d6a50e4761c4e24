"""What `notifier doctor` looks at, and the one message that `notifier channels test` sends."""

import asyncio
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import select

from channels.base import Content, Medium, Outcome, Outgoing
from channels.errors import ChannelError
from channels.registry import find
from notifier.broadcast.report import progress
from notifier.config import BadConfiguration, Environment
from notifier.errors import Unavailable
from notifier.models import Message
from notifier.runtime import Service, environment, open_service
from subscribers.signing import random_token


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    ok: bool
    detail: str


async def examine(*, ledger_only: bool = False) -> list[Finding]:
    """Look at everything; a fault found early does not stop what can still be looked at."""
    try:
        settings = environment()
    except BadConfiguration as error:
        return [Finding(check="configuration", ok=False, detail=str(error))]
    if ledger_only:
        return await _database(settings, ledger_only=True)
    found = [Finding(check="configuration", ok=True, detail="every setting is known and makes sense")]
    found += await _database(settings)
    found.append(await _redis(settings.settings.redis_url))
    found += [_channel(name, settings) for name in settings.settings.channels]
    if "outbox" in settings.settings.channels and not settings.settings.demo:
        found.append(
            Finding(
                check="outbox",
                ok=False,
                detail="is open outside a demo: nothing real is sent, words lie in clear",
            )
        )
    return found


async def send_one(name: str, to: str, medium: Medium | None) -> Outcome:
    """Send one short message by a channel. Raises ChannelError."""
    kind = find(name)
    chosen = medium or min(kind.capabilities.media)
    settings = environment()
    async with kind.from_env(settings.for_channels()) as channel:
        address = channel.normalise(to, Medium(chosen))
        prepared = channel.prepare(
            Content(
                medium=Medium(chosen),
                language="en",
                subject="A test of this channel",
                text="This is a test. No reply is needed.",
                html="<p>This is a test. No reply is needed.</p>" if chosen == Medium.EMAIL else "",
                sender_name=settings.settings.service_name,
            )
        )
        domain = settings.settings.mail_domain
        return await channel.send(
            Outgoing(
                attempt=random_token(),
                delivery=random_token(),
                to=address,
                prepared=prepared,
                values={},
                return_path=f"bounce@{domain}" if chosen == Medium.EMAIL else "",
            )
        )


async def _database(settings: Environment, *, ledger_only: bool = False) -> list[Finding]:
    try:
        async with open_service(settings, sends=False) as service:
            reached = Finding(check="database", ok=True, detail=service.db.engine.dialect.name)
            ledger = await _ledger(service)
            return [ledger] if ledger_only else [reached, ledger]
    except (Unavailable, BadConfiguration) as error:
        return [Finding(check="database", ok=False, detail=str(error))]


async def _ledger(service: Service) -> Finding:
    async with service.db.transaction(read_only=True) as tx:
        planned = (await tx.execute(select(Message.id).where(Message.audience_count.is_not(None)))).scalars()
        wrong = []
        ids = planned.all()
        for message in ids:
            found = await progress(tx, message)
            if found is not None and not found.sums_up:
                wrong.append(f"{message}: {sum(found.counts.values())} of {found.audience}")
    if wrong:
        return Finding(check="ledger", ok=False, detail="; ".join(wrong))
    return Finding(
        check="ledger", ok=True, detail=f"the counts of {len(ids)} messages sum to their audiences"
    )


async def _redis(url: str) -> Finding:
    if not url:
        return Finding(check="redis", ok=True, detail="not used: jobs run inside the process")
    client = Redis.from_url(url, socket_connect_timeout=2)
    try:
        async with asyncio.timeout(3):
            info = await client.info("server")
        return Finding(check="redis", ok=True, detail=f"version {info['redis_version']}")
    except (RedisError, OSError, TimeoutError) as error:
        return Finding(check="redis", ok=False, detail=f"cannot be reached: {type(error).__name__}")
    finally:
        await client.aclose()


def _channel(name: str, settings: Environment) -> Finding:
    try:
        find(name).from_env(settings.for_channels())
    except ChannelError as error:
        return Finding(check=f"channel {name}", ok=False, detail=str(error))
    return Finding(check=f"channel {name}", ok=True, detail="configured")
