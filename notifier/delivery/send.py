"""Hands started deliveries to their channel, one at a time, outside any transaction."""

from collections.abc import Mapping, Sequence

from channels.base import Idempotency, Outcome, Refusal, Refused
from channels.errors import ChannelError
from channels.registry import Channels
from notifier.delivery.claim import Started
from notifier.delivery.content import Contents, Words
from notifier.delivery.settle import Tried


async def send(
    channels: Channels, contents: Contents, started: Sequence[Started], words: Mapping[int, Words]
) -> list[tuple[Tried, Outcome]]:
    """The outcome of each, in order. Words that cannot be made or carried are refused, never retried."""
    done = []
    for delivery in started:
        channel = channels[delivery.channel]
        try:
            message = contents.outgoing(delivery, words.get(delivery.id))
        except (ChannelError, LookupError, ValueError, TypeError) as error:
            outcome: Outcome = Refused(
                why=Refusal.CONTENT, reason=f"cannot be written: {type(error).__name__}"
            )
        else:
            outcome = await channel.send(message)
        done.append((tried(delivery, channel.capabilities.idempotency), outcome))
    return done


def tried(delivery: Started, idempotency: Idempotency) -> Tried:
    """What the decision needs to know of a delivery that was sent."""
    return Tried(
        id=delivery.id,
        number=delivery.number,
        lane=delivery.lane,
        tries=delivery.tries,
        checks=delivery.checks,
        maybe_repeat=delivery.maybe_repeat,
        expires_at=delivery.expires_at,
        idempotency=idempotency,
        contact_point_id=delivery.contact_point_id,
    )
