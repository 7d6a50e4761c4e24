"""Why a delivery is as it is, in words for officers and residents' questions: the rule that decided, and a sentence.

Pure: `explain` gathers what is known. An address never stands in the words, whatever a provider put into its own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from notifier.delivery.hours import next_closing
from notifier.delivery.policy import Rule
from notifier.models import Canary, DeliveryState, HoldScope, MessageState
from subscribers.models import Frequency
from templates.dates import day, long_date

_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+|(?<![\w.])\+?\d[\d ()-]{7,}\d")
_SCOPES = {HoldScope.SYSTEM: "everything", HoldScope.CHANNEL: "this channel", HoldScope.TEAM: "this team"}
_REFUSED = {
    "stopped": "They had stopped messages to this address before it could go out.",
    "stopped after this was written": "They stopped messages to this address after it was written.",
    "address returns errors": "Earlier messages to this address came back, so it is not written to.",
    "on the list of addresses not to write to": "The address is on the list of those that must not be written to.",
    "no longer subscribed to these areas and topics": "They left the areas or topics it was for before it could go out.",
}

# state → the rule's name, and the sentence.
_STATES: Mapping[DeliveryState, tuple[str, str]] = {
    DeliveryState.PENDING: ("in line", "{it} is in line to go out."),
    DeliveryState.LEASED: ("in line", "{it} is about to go out."),
    DeliveryState.STARTED: ("sending", "{it} is going out at this moment."),
    DeliveryState.IN_DOUBT: (
        "in doubt",
        (
            "{it} went to the provider{sent}, which did not say whether it took it. "
            "We look for evidence from {due} before anything is sent again."
        ),
    ),
    DeliveryState.ACCEPTED: ("sent", "{it} went out{sent}, and the provider took it."),
    DeliveryState.DELIVERED: ("sent", "{it} arrived: the provider said so{said}."),
    DeliveryState.UNDELIVERED: ("receipt", "{it} did not arrive: the provider said so{said}{fault}."),
    DeliveryState.BOUNCED: ("receipt", "{it} came back{said}{fault}: the address does not take messages."),
    DeliveryState.COMPLAINED: ("receipt", "{it} arrived, and they marked it as unwanted{said}."),
    DeliveryState.FAILED: ("failed", "{it} could not be sent{fault}."),
    DeliveryState.SUPPRESSED: (Rule.OPT_OUT, "{it} was not sent, for they do not want it{fault}."),
    DeliveryState.CANCELLED: (Rule.CANCELLED, "{it} had not gone out when the message was cancelled."),
    DeliveryState.HELD: ("held", "{it} is held back for somebody to look at{fault}."),
    DeliveryState.UNKNOWN: (
        "unknown",
        (
            "{it} went to the provider{sent}, and nobody can say whether it arrived. "
            "A person may decide to send it again."
        ),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Why:
    """rule: the name of what decided. sentence: what happened and why. more: what else should be known."""

    rule: str
    sentence: str
    more: Sequence[str] = ()

    @property
    def text(self) -> str:
        return " ".join((self.sentence, *self.more))


@dataclass(frozen=True, kw_only=True)
class Known:
    """A delivery and everything that could decide about it.

    sent_at: when the latest attempt started. said_at: of the receipt that brought the present state.
    fault: how the latest attempt ended, where it ended badly. joined: when it was put into its digest, and why.
    digest_state: of the digest's own delivery, once it is planned. held: (scope, reason) of the holds that stand for
    it. shut: why its channel is left alone, shut_until: till then.
    """

    now: datetime
    zone: ZoneInfo
    state: DeliveryState
    due_at: datetime
    expires_at: datetime
    reason: str = ""
    tries: int = 0
    maybe_repeat: bool = False
    digest: str | None = None
    digest_state: DeliveryState | None = None
    message_state: MessageState | None = None
    send_at: datetime | None = None
    canary: str | None = None
    paused_reason: str = ""
    override_reason: str = ""
    sent_at: datetime | None = None
    said_at: datetime | None = None
    fault: str = ""
    waited: Sequence[str] = ()
    held: Sequence[tuple[str, str]] = field(default=())
    shut: str = ""
    shut_until: datetime | None = None


def why(known: Known) -> Why:
    """The rule that decided, and the sentence that says so."""
    if known.state is DeliveryState.PENDING:
        found = _waiting(known)
    elif known.digest and known.digest_state and known.reason.startswith("in the digest"):
        found = _in_digest(known, known.digest_state)
    else:
        found = _stands(known)
    return Why(rule=found.rule, sentence=masked(found.sentence), more=_more(known))


def masked(words: str) -> str:
    """The words without addresses and numbers of people."""
    return _ADDRESS.sub("(address)", words)


def _waiting(known: Known) -> Why:
    for found in (
        _by_message(known),
        _by_digest(known),
        _by_hold(known),
        _by_rule(known),
        _by_channel(known),
    ):
        if found:
            return found
    later = known.due_at > known.now
    if later and known.tries:
        again = f"It is tried again from {_at(known, known.due_at)}."
        return Why(
            rule="retry", sentence=f"The last try failed{_because(known.fault or known.reason)}. {again}"
        )
    if known.canary == Canary.WAITING:
        return Why(
            rule="first few",
            sentence="The message goes to a few people first; the rest waits for how they fare.",
        )
    if later:
        return Why(rule="due", sentence=f"It waits until {_at(known, known.due_at)}{_because(known.reason)}.")
    return Why(rule="in line", sentence="It is in line to go out now.")


def _by_message(known: Known) -> Why | None:
    match known.message_state:
        case MessageState.DRAFT | MessageState.APPROVED | MessageState.PLANNING:
            return Why(rule="planning", sentence="The list of who gets the message is being made.")
        case MessageState.SCHEDULED if known.send_at and known.send_at > known.now:
            return Why(rule="schedule", sentence=f"The message is to go out at {_at(known, known.send_at)}.")
        case MessageState.PAUSED:
            return Why(rule="paused", sentence=f"The message is paused{_because(known.paused_reason)}.")
    return None


def _by_digest(known: Known) -> Why | None:
    if not known.digest:
        return None
    if known.digest_state:
        return Why(rule="digest", sentence=f"It stands in their {known.digest} digest, which is on its way.")
    closing = next_closing(Frequency(known.digest), known.now, known.zone)
    rule = Rule.WEEKLY if known.reason.startswith(Rule.WEEKLY) else "digest"
    chose = (
        _upper(known.reason) if rule == Rule.WEEKLY else f"They chose one message a {_PERIODS[known.digest]}"
    )
    return Why(
        rule=rule,
        sentence=f"{chose}. It waits for their {known.digest} digest of {day(closing, known.zone)}.",
    )


_PERIODS: Mapping[str, str] = {Frequency.DAILY: "day", Frequency.WEEKLY: "week"}


def _by_hold(known: Known) -> Why | None:
    if not known.held:
        return None
    scope, reason = known.held[0]
    return Why(rule="hold", sentence=f"Sending of {_SCOPES[HoldScope(scope)]} is on hold{_because(reason)}.")


def _by_rule(known: Known) -> Why | None:
    """A rule of the policy put it off, and its time has not come."""
    rule = _rule_in(known.reason)
    if rule is None or known.due_at <= known.now:
        return None
    return Why(rule=rule, sentence=f"{_upper(known.reason)}.")


def _by_channel(known: Known) -> Why | None:
    if not known.shut:
        return None
    until = f" It is tried again from {_at(known, known.shut_until)}." if known.shut_until else ""
    return Why(rule="channel", sentence=f"The channel is left alone because of {known.shut}.{until}")


def _in_digest(known: Known, state: DeliveryState) -> Why:
    """Its fate is the digest's own."""
    ended = _stands(known, state=state, it="Their digest, which it stands in,")
    return Why(rule="digest", sentence=ended.sentence)


def _stands(known: Known, *, state: DeliveryState | None = None, it: str = "It") -> Why:
    """Why it is in that state, its own or its digest's."""
    state = state or known.state
    if state is DeliveryState.EXPIRED:
        return _expired(known, it)
    if state is DeliveryState.SUPPRESSED and known.reason in _REFUSED:
        return Why(rule=Rule.OPT_OUT, sentence=_REFUSED[known.reason])
    rule, words = _STATES[state]
    fault = known.fault or ("" if known.reason.startswith("in the digest") else known.reason)
    return Why(
        rule=rule,
        sentence=words.format(
            it=it,
            sent=f" at {_at(known, known.sent_at)}" if known.sent_at else "",
            said=f" at {_at(known, known.said_at)}" if known.said_at else "",
            due=_at(known, known.due_at),
            fault=_because(fault),
        ),
    )


def _expired(known: Known, it: str) -> Why:
    rule = _rule_in(known.reason)
    if rule:
        return Why(rule=rule, sentence=f"{it} was not sent. {_upper(known.reason)}.")
    ended = f"{it} was not sent: its time ended at {_at(known, known.expires_at)}, before it could go out."
    return Why(rule=Rule.EXPIRY, sentence=ended)


def _more(known: Known) -> Sequence[str]:
    """What else should be known: earlier waits, tries, a possible repeat, a reason that overrode the rules."""
    found = []
    if known.state is not DeliveryState.PENDING:
        found += [
            f"Before, it was put off. {_upper(words)}." for words in known.waited if words != known.reason
        ]
    if known.tries > 1:
        found.append(f"It took {known.tries} tries.")
    if known.maybe_repeat:
        found.append("It may have arrived twice.")
    if known.override_reason:
        found.append(
            f"Quiet hours and limits do not hold for this message: {known.override_reason.rstrip('.')}."
        )
    return [masked(words) for words in found]


def _rule_in(reason: str) -> Rule | None:
    """The rule of the policy that a reason begins with."""
    return next((rule for rule in Rule if rule and reason.startswith(f"{rule}: ")), None)


def _because(reason: str) -> str:
    return f" ({reason.rstrip('.')})" if reason else ""


def _at(known: Known, moment: datetime | None) -> str:
    return long_date(moment, known.zone) if moment else ""


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]
