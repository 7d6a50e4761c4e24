"""Puts the service together: settings, keys, database, doorbell and channels. Edges open it.

Commands that send nothing open it with `channels=()`: the names of the channels are enough to plan.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from channels.base import Channel, HasSenders, Medium, Sender
from channels.errors import ChannelError
from channels.registry import Channels, find, installed, opened
from channels.senders import of as of_addresses
from notifier import config, failpoints
from notifier.carriers import Carrier, Carriers
from notifier.config import BadConfiguration, Environment, Settings
from notifier.db import Database
from notifier.delivery.counters import Counters, LocalCounters, RedisCounters
from notifier.errors import Unavailable
from notifier.inbox.resolvers import DEFAULT_RESOLVERS
from notifier.inbox.route import Resolver
from notifier.jobs import InProcessJobs, Jobs, RedisJobs
from subscribers.signing import CannotOpen, Keys


@dataclass(frozen=True, kw_only=True)
class Service:
    """What an edge works with. resolvers: the ordered rule by which an incoming message finds its team.

    counters: of every process where there is Redis, else of this one.
    """

    environment: Environment
    db: Database
    channels: Channels
    resolvers: Sequence[Resolver] = DEFAULT_RESOLVERS
    counters: Counters = field(default_factory=LocalCounters)

    @property
    def settings(self) -> Settings:
        return self.environment.settings


def environment() -> Environment:
    """The settings of this process, checked against what every installed channel declares."""
    return config.read(channel_variables)


def channel_variables(names: Sequence[str] | None = None) -> set[str]:
    """Every variable these channels read, of those that are installed; None: all of them."""
    asked = installed() if names is None else [name for name in names if name in installed()]
    return {variable.name for name in asked for variable in find(name).variables}


def carriers(names: Sequence[str], weights: Sequence[str] = ()) -> Carriers:
    """Medium → the first named channel that carries it, and the others that share it or stand by.

    Those are channels of that medium alone, and whatever `weights` (NAME=NUMBER) names: one that carries every
    medium, as `outbox` does, never steps in by itself. Raises BadConfiguration for a weight of no open channel.
    """
    given = {name: int(weight) for name, _, weight in (pair.partition("=") for pair in weights)}
    if strange := [name for name in given if name not in names]:
        raise BadConfiguration(f"NOTIFIER_WEIGHTS: {strange[0]} is not among NOTIFIER_CHANNELS")
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        media = find(name).capabilities.media
        for medium in media:
            ways = found.setdefault(Medium(medium).value, [])
            if not ways or len(media) == 1 or name in given:
                ways.append(name)
    return Carriers({medium: _shared(ways, given) for medium, ways in found.items()})


def _shared(ways: Sequence[str], given: Mapping[str, int]) -> list[Carrier]:
    """Weights are given for all of a medium's channels or for none: who is not named stands by."""
    shares = given if any(given.get(name) for name in ways) else {ways[0]: 1}
    return [
        Carrier(channel=name, weight=shares.get(name, 0), can_reply=find(name).capabilities.replies)
        for name in ways
    ]


def _senders(environment: Environment, channels: Mapping[str, Channel]) -> Mapping[str, Sequence[Sender]]:
    """What each channel sends texts from: what it lists, else the service's numbers.

    channels: the open ones. One that is closed in this process is asked all the same, where it is configured.
    """
    found = {}
    for name in environment.settings.channels:
        if Medium.SMS not in find(name).capabilities.media:
            continue
        channel = channels.get(name)
        if channel is None:
            with contextlib.suppress(ChannelError):
                channel = find(name).from_env(environment.for_channels())
        ours = of_addresses(*environment.settings.sms_numbers)
        found[name] = channel.senders if isinstance(channel, HasSenders) else ours
    return found


@asynccontextmanager
async def open_service(
    environment: Environment, *, jobs: Jobs | None = None, sends: bool = True, pool_size: int = 20
) -> AsyncIterator[Service]:
    """The service, open until the block ends. sends=False leaves the channels closed."""
    settings = environment.settings
    failpoints.arm(settings.failpoint)
    bell = jobs or (RedisJobs(settings.redis_url) if settings.redis_url else InProcessJobs())
    keys = Keys(config.secret_ring(settings))
    try:
        db = await Database.opened(
            settings.database_url,
            keys=keys,
            jobs=bell,
            carriers=carriers(settings.channels, settings.weights),
            pool_size=pool_size,
        )
    except (SQLAlchemyError, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise Unavailable(
            f"The database cannot be used: {first}. Has `notifier migrate` been run?"
        ) from error
    except CannotOpen as error:
        raise BadConfiguration(
            f"NOTIFIER_SECRET_KEYS: {error}. Add the key that sealed this database."
        ) from error
    counters = RedisCounters(settings.redis_url) if settings.redis_url else LocalCounters()
    try:
        async with opened(settings.channels if sends else [], environment.for_channels()) as channels:
            db.carriers = db.carriers.with_senders(Medium.SMS, _senders(environment, channels))
            yield Service(environment=environment, db=db, channels=channels, counters=counters)
    finally:
        await counters.close()
        await bell.close()
        await db.close()


__all__ = ["BadConfiguration", "Service", "carriers", "channel_variables", "environment", "open_service"]
