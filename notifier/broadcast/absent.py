"""Why somebody was not meant by a message, or not by one way of sending: the first criterion that failed. Pure.

`explain` gathers what is asked here. Homes, distance, samples and who is left out are asked of the very statement
that chose the audience, one after the other; here they are put into words.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from notifier.broadcast.kinds import wanted_by
from notifier.delivery.why import Why
from notifier.models import Kind
from subscribers.models import ContactPointState, LeastPriority
from templates.dates import long_date

_BY: Mapping[str, str] = {
    "email": "by email",
    "sms": "by text message",
    "push": "as a notification",
    "social": "as a post",
}
_ADDRESSES: Mapping[str, str] = {
    "email": "email address",
    "sms": "mobile number",
    "push": "device for notifications",
}
_WANTS: Mapping[str, str] = {
    LeastPriority.URGENT: "alerts alone",
    LeastPriority.PRIORITY: "what matters most, without news",
}
# In the order in which they are asked: criterion → why it left them out.
NARROWED: Mapping[str, str] = {
    "languages": "It was for people who read other languages.",
    "homes": "It was for certain postcodes, and their home is in none of them.",
    "near": "It was for people near a certain place, and their home is not, or is not known.",
    "without_areas": "They follow an area that it left out.",
    "without_topics": "They follow a topic that it left out.",
    "without": "It left out those who got another message, and they did.",
    "sample": "It went to some people, drawn by chance, and they were not drawn.",
}


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One topic of one area that they follow, or did."""

    area: str
    topic: str
    least_priority: LeastPriority
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Address:
    """One of their addresses, without the address."""

    medium: str
    state: ContactPointState
    verified_at: datetime | None
    stopped_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Meant:
    """Whom a message is for. areas: codes, with everything inside them. topics: none means whatever the topic."""

    kind: Kind
    areas: Collection[str]
    topics: Collection[str]
    media: Collection[str]
    frozen_at: datetime


def not_meant(meant: Meant, wishes: Sequence[Wish], zone: ZoneInfo) -> Why | None:
    """Why what they follow did not bring them the message; None where it did."""
    if not wishes:
        return Why(rule="area", sentence="They follow no area at all.")
    here = [wish for wish in wishes if wish.area in meant.areas]
    if not here:
        return Why(rule="area", sentence="They follow none of its areas.")
    about = [wish for wish in here if not meant.topics or wish.topic in meant.topics]
    if not about:
        return Why(rule="topic", sentence="They follow its areas, but none of its topics there.")
    pressing = [wish for wish in about if wish.least_priority in wanted_by(meant.kind)]
    if not pressing:
        wants = _WANTS.get(about[0].least_priority, "other kinds of message")
        return Why(rule="kind", sentence=f"They asked for {wants}, and this message is not of that kind.")
    if any(_stood(wish, meant.frozen_at) for wish in pressing):
        return None
    approved = f"the message was approved at {long_date(meant.frozen_at, zone)}"
    left = [wish.ended_at for wish in pressing if wish.ended_at and wish.ended_at <= meant.frozen_at]
    if left:
        return Why(rule="left", sentence=f"They left at {long_date(max(left), zone)}, and {approved}.")
    joined = min(wish.started_at for wish in pressing)
    return Why(rule="joined", sentence=f"They joined at {long_date(joined, zone)}, and {approved}.")


def not_reached(meant: Meant, medium: str, addresses: Sequence[Address], zone: ZoneInfo) -> Why | None:
    """Why nothing was planned for them on a medium of the message; None where an address could take it."""
    mine = [address for address in addresses if address.medium == medium]
    thing = _ADDRESSES.get(medium, "address")
    if not mine:
        return Why(rule="no address", sentence=f"They have given no {thing}.")
    proved = [each for each in mine if each.verified_at and each.verified_at <= meant.frozen_at]
    if not proved:
        later = min((each.verified_at for each in mine if each.verified_at), default=None)
        if later is None:
            return Why(rule="not confirmed", sentence=f"They have not confirmed their {thing}.")
        return Why(
            rule="not confirmed",
            sentence=f"They confirmed their {thing} at {long_date(later, zone)}, after the message was approved.",
        )
    if any(_could_take(each, meant.frozen_at) for each in proved):
        return None
    last = max(proved, key=lambda each: each.stopped_at or each.verified_at or meant.frozen_at)
    since = f" since {long_date(last.stopped_at, zone)}" if last.stopped_at else ""
    if last.state is ContactPointState.BOUNCED:
        return Why(rule="bounced", sentence=f"Messages to their {thing} come back{since}.")
    return Why(rule="stopped", sentence=f"They had stopped messages to their {thing}{since}.")


def not_sent_by(medium: str) -> Why:
    """A way of sending that the message did not use."""
    return Why(rule="channel", sentence=f"It was not sent {by(medium)}.")


def by(medium: str) -> str:
    """A medium as part of a sentence: by text message."""
    return _BY.get(medium, f"by {medium}")


def _stood(wish: Wish, at: datetime) -> bool:
    return wish.started_at <= at and (wish.ended_at is None or wish.ended_at > at)


def _could_take(address: Address, at: datetime) -> bool:
    if address.state is ContactPointState.ACTIVE:
        return True
    return address.stopped_at is not None and address.stopped_at > at
