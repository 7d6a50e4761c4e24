"""What stands above every page of the desk while something is held or a channel is down, in plain words."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from channels.base import Medium
from notifier.carriers import Carriers
from notifier.db import Tx
from notifier.delivery import failover
from notifier.delivery.accounts import network_of
from notifier.delivery.standing import ChannelStanding, HoldStanding, sending_state
from notifier.models import BreakerState, HoldScope

NAMES = {"email": "emails", "sms": "text messages", "push": "notifications", "social": "posts"}
WAITS = "What you send waits, and goes out when that is over."


@dataclass(frozen=True, kw_only=True)
class Banner:
    """lines: what is wrong, and what it means."""

    lines: Sequence[tuple[str, str]]


async def banner(tx: Tx, teams: Collection[UUID] | None) -> Banner | None:
    """What is wrong with sending just now, or None. teams: whose holds concern the reader; None: every team's."""
    state = await sending_state(tx)
    carried = _carried(tx.carriers)
    lines = [line for each in state.holds if (line := _of_hold(each, teams, carried))]
    held = {each.key for each in state.holds if each.scope == HoldScope.CHANNEL}
    out_of_order = held | {each.name for each in state.channels if not each.domain}
    lines += [
        _of_channel(each, carried[each.name], has_another=_has_another(tx.carriers, each.name, out_of_order))
        for each in state.channels
        if not each.domain and each.name in carried and each.name not in held
    ]
    return Banner(lines=lines) if lines else None


def _of_hold(
    hold: HoldStanding, teams: Collection[UUID] | None, carried: Mapping[str, str]
) -> tuple[str, str] | None:
    because = f"{hold.reason.rstrip('.')}. {WAITS}"
    match hold.scope:
        case HoldScope.SYSTEM:
            return "All sending is held.", because
        case HoldScope.CHANNEL:
            return (f"{carried[hold.key]} are held.", because) if hold.key in carried else None
        case _:
            concerns = teams is None or hold.key in {str(team) for team in teams}
            return ("What the team sends is held.", because) if concerns else None


def _has_another(carriers: Carriers, channel: str, out_of_order: Collection[str]) -> bool:
    """Does another channel that works carry each medium it carries, so that what waits goes by that?"""
    return all(
        medium in failover.MEDIA and any(each.channel not in out_of_order for each in carriers.all_of(medium))
        for medium in carriers.by_channel()[channel]
    )


def _of_channel(channel: ChannelStanding, what: str, *, has_another: bool) -> tuple[str, str]:
    if has_another:
        return (
            f"{what} go out another way just now.",
            "One of the two ways is out of order. Some may be late.",
        )
    if channel.state is BreakerState.OPERATOR:
        return f"{what} cannot be sent.", f"Whoever runs the service must act. {WAITS}"
    return f"{what} are not going out just now.", f"They are tried again by themselves. {WAITS}"


def _named(medium: str, channel: str, carriers: Carriers) -> str:
    """Posts are named by their network, where there are several."""
    network = network_of(channel) if medium == Medium.SOCIAL else ""
    return f"posts on {network}" if network and len(carriers.all_of(medium)) > 1 else NAMES[medium]


def _carried(carriers: Carriers) -> Mapping[str, str]:
    """Each channel that is in use → what it carries here, in words."""
    found = {
        channel: [_named(medium, channel, carriers) for medium in media if medium in NAMES]
        for channel, media in carriers.by_channel().items()
    }
    listed = {
        channel: " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        for channel, names in found.items()
        if names
    }
    return {channel: words[:1].upper() + words[1:] for channel, words in listed.items()}
