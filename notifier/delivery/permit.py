"""May this delivery start now? Pure: the last look before an attempt is written (commit point C4)."""

from dataclasses import dataclass
from datetime import datetime

from notifier.models import DeliveryState, MessageState, NoticeKind
from subscribers.models import ContactPointState


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a leased row at the mark. asked_at: when the notice was planned."""

    now: datetime
    expires_at: datetime
    is_held: bool
    message_state: MessageState | None
    send_at: datetime | None
    notice_kind: str | None
    asked_at: datetime | None
    is_person: bool
    contact_state: str
    stopped_at: datetime | None
    still_subscribed: bool
    suppressed: bool


@dataclass(frozen=True, kw_only=True)
class Permit:
    """The state the row takes, and why."""

    state: DeliveryState
    reason: str = ""

    @property
    def starts(self) -> bool:
        return self.state is DeliveryState.STARTED


START = Permit(state=DeliveryState.STARTED)
WAIT = Permit(state=DeliveryState.PENDING, reason="held back")


def decide(facts: Facts) -> Permit:
    """Start, wait, or end with a reason. Expiry and opt-outs outweigh everything."""
    if facts.expires_at <= facts.now:
        return Permit(state=DeliveryState.EXPIRED, reason="its time had passed")
    refused = _refused_by_owner(facts)
    if refused:
        return Permit(state=DeliveryState.SUPPRESSED, reason=refused)
    if facts.message_state is MessageState.CANCELLED:
        return Permit(state=DeliveryState.CANCELLED, reason="the message was cancelled")
    if facts.is_held or not _is_sending(facts):
        return WAIT
    return START


def _is_sending(facts: Facts) -> bool:
    if facts.message_state is None:
        return True
    if facts.message_state is MessageState.SCHEDULED:
        return facts.send_at is not None and facts.send_at <= facts.now
    return facts.message_state is MessageState.SENDING


def _refused_by_owner(facts: Facts) -> str:
    """Why the address's owner would not have this, or nothing.

    A notice answers something its owner did, so only a stop that came after it was planned forbids it:
    the receipt of a stop still leaves, an answer waiting since before the stop does not. A digest is
    bulk: it is held to what a message is held to.
    """
    stopped = facts.contact_state in (ContactPointState.STOPPED, ContactPointState.BOUNCED)
    if facts.notice_kind is not None and facts.notice_kind != NoticeKind.DIGEST:
        later = facts.stopped_at and facts.asked_at and facts.stopped_at > facts.asked_at
        return "stopped after this was written" if stopped and later else ""
    if stopped:
        return "stopped" if facts.contact_state == ContactPointState.STOPPED else "address returns errors"
    if facts.suppressed:
        return "on the list of addresses not to write to"
    if facts.is_person and facts.notice_kind is None and not facts.still_subscribed:
        return "no longer subscribed to these areas and topics"
    return ""
