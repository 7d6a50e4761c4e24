"""Hands one started delivery to its channel, outside any transaction (commit point C5)."""

from channels.base import Idempotency, Outgoing, Refusal, Refused
from notifier.delivery.claim import Claimed
from notifier.delivery.content import Contents, Personal, Ready
from notifier.delivery.settle import Tried


def written(contents: Contents, row: Claimed, ready: Ready, personal: Personal) -> Outgoing | Refused:
    """One copy. Words that cannot be filled in for this one person are refused, never retried."""
    try:
        return contents.outgoing(row, ready, personal)
    except Exception as error:
        return Refused(why=Refusal.CONTENT, reason=f"cannot be written: {type(error).__name__}")


def tried(delivery: Claimed, idempotency: Idempotency) -> Tried:
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
        delivery.is_notice,
    )
