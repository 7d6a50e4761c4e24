"""Which team? Asks an ordered list of resolvers; the first that knows decides, and why is kept.

Called by `handle`. The list is an argument: `runtime` puts it together, so that packages above this one
add resolvers of their own. The last one always knows.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import insert

from notifier.db import Tx
from notifier.inbox.places import Covered
from notifier.inbox.sender import Sender
from notifier.inbox.thread import Thread
from notifier.models import RoutingDecision


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a message when it is routed. text: its new words. recipients: the addresses of ours
    it was sent to, in their normal spelling. choice: the number it consists of, if it does."""

    incoming: UUID
    sender: Sender
    text: str
    recipients: tuple[str, ...] = ()
    thread: Thread | None = None
    choice: int | None = None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A resolver's answer. confidence: 0 to 1. reason: a sentence for the officer, without an address.
    asks: the areas among which the sender should be asked to choose."""

    team: UUID
    confidence: float
    reason: str
    asks: tuple[Covered, ...] = ()


Resolver = Callable[[Tx, Facts], Awaitable[Hit | None]]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The hit, and which resolver it came from."""

    resolver: str
    hit: Hit


class NoResolver(LookupError):
    """No resolver placed a message: the last of the list must always know."""


async def route(tx: Tx, facts: Facts, resolvers: Sequence[Resolver]) -> Decision:
    """The first hit, recorded with its reason. Raises NoResolver."""
    for resolver in resolvers:
        hit = await resolver(tx, facts)
        if hit is not None:
            decision = Decision(resolver=resolver.__name__, hit=hit)
            await record(tx, facts.incoming, decision)
            return decision
    raise NoResolver


async def record(tx: Tx, incoming: UUID, decision: Decision) -> None:
    """Keep why a message went where it went."""
    await tx.execute(
        insert(RoutingDecision).values(
            incoming_id=incoming,
            resolver=decision.resolver[:40],
            team_id=decision.hit.team,
            confidence=decision.hit.confidence,
            reason=decision.hit.reason[:200],
            at=tx.now,
        )
    )
