"""What each kind of message means for its lane, its life, and who wants it. Pure."""

from datetime import timedelta

from notifier.models import Kind, Lane
from subscribers.models import LeastPriority

_LANES = {Kind.ALERT: Lane.URGENT, Kind.NEWS: Lane.BULLETIN}
_LIVES = {
    Lane.URGENT: timedelta(hours=6),
    Lane.TRANSACTIONAL: timedelta(hours=24),
    Lane.WARD: timedelta(hours=24),
    Lane.BULLETIN: timedelta(hours=72),
}
_DIGEST_LIFE = timedelta(days=8)


def lane_of(kind: Kind) -> Lane:
    """The lane a kind is served in; a correction's caller passes on the lane of what it corrects."""
    return _LANES.get(kind, Lane.WARD)


def life_of(lane: Lane) -> timedelta:
    """How long a delivery may still be tried."""
    return _LIVES[lane]


def digest_life() -> timedelta:
    """How long a delivery may wait for a digest: a weekly run and a day."""
    return _DIGEST_LIFE


def wanted_by(kind: Kind) -> tuple[LeastPriority, ...]:
    """The choices of a resident that let this kind through."""
    if kind is Kind.ALERT:
        return tuple(LeastPriority)
    if kind is Kind.NEWS:
        return (LeastPriority.EVERYTHING,)
    return (LeastPriority.PRIORITY, LeastPriority.EVERYTHING)
