"""What `notifier doctor` looks at, and the one message that `notifier channels test` sends."""

import asyncio
from dataclasses import dataclass
from functools import partial

import click
from redis.asyncio import Redis
from redis.exceptions import RedisError

from channels.base import Content, Idempotency, Medium, Outcome, Outgoing
from channels.errors import ChannelError
from channels.registry import find
from notifier.config import BadConfiguration, Environment
from notifier.delivery import nightly, proof
from notifier.delivery.findings import Proved
from notifier.errors import Unavailable
from notifier.runtime import Service, environment, open_service
from subscribers.signing import random_token

EVERY = 100_000  # deliveries between two words of progress


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
            if ledger_only:
                return await _proof(service)
            reached = Finding(check="database", ok=True, detail=service.db.engine.dialect.name)
            return [reached, *await _sums(service)]
    except (Unavailable, BadConfiguration) as error:
        return [Finding(check="database", ok=False, detail=str(error))]


async def _sums(service: Service) -> list[Finding]:
    """Do the counts of every message add up? What takes longer is proved at night."""
    proved = await proof.add_up(partial(service.db.transaction, read_only=True))
    add_up = f"the counts of {proved.messages:,} messages sum to their audiences"
    async with service.db.transaction(read_only=True) as tx:
        last = await nightly.last_run(tx)
    told = f"; last proved {last.at:%Y-%m-%d %H:%M} UTC, {last.result}" if last else "; not proved yet"
    return _told(proved, add_up + told)


async def _proof(service: Service) -> list[Finding]:
    kinds = {name: find(name).capabilities.idempotency for name in service.settings.channels}
    refuse = [name for name, kind in kinds.items() if kind is not Idempotency.NONE]
    reading = partial(service.db.transaction, read_only=True)
    proved = await proof.prove(reading, refuse_repeats=refuse, told=_Told())
    return _told(proved, nightly.in_words(proved))


def _told(proved: Proved, sentence: str) -> list[Finding]:
    if not proved.found:
        return [Finding(check="ledger", ok=True, detail=sentence)]
    wrong = [
        Finding(check=f"ledger: {each.kind}", ok=False, detail=each.in_words) for each in proved.findings
    ]
    return [*wrong, Finding(check="ledger", ok=False, detail=nightly.in_words(proved))]


class _Told:
    """Says on standard error how far it is, now and then."""

    def __init__(self) -> None:
        self._next = EVERY

    def __call__(self, read: int) -> None:
        if read >= self._next:
            self._next = read - read % EVERY + EVERY
            click.echo(f"{read:,} deliveries read", err=True)


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
