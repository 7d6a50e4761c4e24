"""Puts the service together: settings, keys, database, doorbell and channels. Edges open it.

Commands that send nothing open it with `channels=()`: the names of the channels are enough to plan.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from channels.base import Medium
from channels.registry import Channels, find, installed, opened
from notifier import config, failpoints
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


def channel_variables() -> set[str]:
    """Every variable an installed channel reads."""
    return {variable.name for name in installed() for variable in find(name).variables}


def carriers(names: Sequence[str]) -> Mapping[str, str]:
    """Medium → the first named channel that carries it."""
    found: dict[str, str] = {}
    for name in names:
        for medium in find(name).capabilities.media:
            found.setdefault(Medium(medium).value, name)
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
            carriers=carriers(settings.channels),
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
            yield Service(environment=environment, db=db, channels=channels, counters=counters)
    finally:
        await counters.close()
        await bell.close()
        await db.close()


__all__ = ["BadConfiguration", "Service", "carriers", "channel_variables", "environment", "open_service"]
