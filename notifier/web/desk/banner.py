"""What stands above every page of the desk while something is held or a channel is down, in plain words."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from channels.errors import ChannelError
from channels.registry import find
from notifier.db import Tx
from notifier.delivery.standing import ChannelStanding, HoldStanding, sending_state
from notifier.models import BreakerState, HoldScope

NAMES = {"email": "Emails", "sms": "Text messages", "social": "Posts", "push": "Notifications"}
WAITS = "What you send waits, and goes out when that is over."


@dataclass(frozen=True, kw_only=True)
class Banner:
    """lines: what is wrong, and what it means."""

    lines: Sequence[tuple[str, str]]


async def banner(tx: Tx, teams: Collection[UUID] | None) -> Banner | None:
    """What is wrong with sending just now, or None. teams: whose holds concern the reader; None: every team's."""
    state = await sending_state(tx)
    lines = [line for each in state.holds if (line := _of_hold(each, teams))]
    held = {each.key for each in state.holds if each.scope == HoldScope.CHANNEL}
    lines += [_of_channel(each) for each in state.channels if not each.domain and each.name not in held]
    return Banner(lines=lines) if lines else None


def _of_hold(hold: HoldStanding, teams: Collection[UUID] | None) -> tuple[str, str] | None:
    because = f"{hold.reason.rstrip('.')}. {WAITS}"
    match hold.scope:
        case HoldScope.SYSTEM:
            return "All sending is held.", because
        case HoldScope.CHANNEL:
            return f"{_what(hold.key)} are held.", because
        case _:
            concerns = teams is None or hold.key in {str(team) for team in teams}
            return ("What the team sends is held.", because) if concerns else None


def _of_channel(channel: ChannelStanding) -> tuple[str, str]:
    if channel.state is BreakerState.OPERATOR:
        return f"{_what(channel.name)} cannot be sent.", f"Whoever runs the service must act. {WAITS}"
    return (
        f"{_what(channel.name)} are not going out just now.",
        f"They are tried again by themselves. {WAITS}",
    )


def _what(channel: str) -> str:
    """The media of a channel, in words."""
    try:
        media = sorted(find(channel).capabilities.media)
    except ChannelError:  # it is installed no longer
        return f"Messages by {channel}"
    return " and ".join(name if at == 0 else name.lower() for at, name in enumerate(NAMES[m] for m in media))
