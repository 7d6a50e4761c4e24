"""Hands one started delivery to its channel, outside any transaction (commit point C5)."""

from channels.base import Channel, Idempotency, Outcome, Refusal, Refused
from notifier import failpoints
from notifier.delivery.content import Contents, Ready
from notifier.delivery.mark import Started
from notifier.delivery.settle import Tried


async def send(channel: Channel, contents: Contents, started: Started, ready: Ready) -> Outcome:
    """What came of it. Words that cannot be filled in for this one person are refused, never retried."""
    try:
        message = contents.outgoing(started, ready)
    except Exception as error:
        return Refused(why=Refusal.CONTENT, reason=f"cannot be written: {type(error).__name__}")
    failpoints.reach("C5.before")
    outcome = await channel.send(message)
    failpoints.reach("C5.after")
    return outcome


def tried(delivery: Started, idempotency: Idempotency) -> Tried:
    """What the decision needs to know of a delivery that was sent."""
    return Tried(
        delivery.id,
        delivery.number,
        delivery.lane,
        delivery.tries,
        delivery.checks,
        delivery.maybe_repeat,
        delivery.expires_at,
        idempotency,
        delivery.contact_point_id,
        delivery.notice_id is not None,
    )
