"""When, and whether, a delivery may go out: the rules in their order, each with its name and a sentence. Pure.

`permit` asks at the mark, moments before the provider is called, so that a rule holds however long a message
drains. An alert, and an answer somebody waits for, is held by none but expiry, opt-outs and holds.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from notifier.config import Settings
from notifier.delivery.hours import Hours, end_of_quiet, hours_in, next_closing, next_morning
from notifier.models import Lane, MessageState, NoticeKind
from subscribers.models import ContactPointState, Frequency
from templates.dates import day, long_date

WEEK = timedelta(days=7)
AFTER_CLOSING = timedelta(days=1)
BULK = (Lane.WARD, Lane.BULLETIN)
TEXT = "sms"


class Verdict(StrEnum):
    START = "start"
    LATER = "later"
    DIGEST = "digest"
    WAIT = "wait"
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Rule(StrEnum):
    """The names of the rules, as they are shown."""

    NONE = ""
    EXPIRY = "expiry"
    OPT_OUT = "opt-out"
    CANCELLED = "cancelled"
    HOLD = "hold"
    QUIET = "quiet hours"
    WEEKLY = "weekly limit"
    TEXTS = "daily limit on texts"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The organisation's. quiet: medium → hours. 0: no limit."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/London"))
    quiet: Mapping[str, Hours] = field(default_factory=dict)
    weekly_limit: int = 0
    texts_a_day: int = 0


NO_RULES = Rules()


@dataclass(frozen=True, kw_only=True)
class Got:
    """What a person was sent, alerts and answers apart: other messages in seven days, texts since midnight."""

    messages: int = 0
    texts: int = 0


NOTHING = Got()


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of a leased row at the mark.

    asked_at: when the notice was planned. useless_at: when the message's author says it is of no use any more.
    overrides: its author has said why quiet hours and limits do not hold for it. quiet, weekly_limit: the
    person's own. got: reckoned only where `is_limited`.
    """

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
    lane: Lane = Lane.WARD
    medium: str = ""
    useless_at: datetime | None = None
    overrides: bool = False
    quiet: Hours | None = None
    weekly_limit: int | None = None
    got: Got = NOTHING

    @property
    def last_moment(self) -> datetime:
        """After it nothing starts."""
        return min(self.expires_at, self.useless_at) if self.useless_at else self.expires_at


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What becomes of the row and by which rule, in a sentence. due_at, expires_at: its new ones."""

    verdict: Verdict
    rule: Rule = Rule.NONE
    sentence: str = ""
    due_at: datetime | None = None
    expires_at: datetime | None = None


START = Decision(verdict=Verdict.START)


def rules_of(settings: Settings) -> Rules:
    """The organisation's rules, as its settings say."""
    quiet = {}
    for pair in settings.quiet_hours:
        medium, _, hours = pair.partition("=")
        quiet[medium] = hours_in(hours)
    return Rules(
        zone=settings.zone,
        quiet=quiet,
        weekly_limit=settings.weekly_limit,
        texts_a_day=settings.texts_a_day,
    )


def decide(facts: Facts, rules: Rules = NO_RULES) -> Decision:
    """Start, wait, or end. Expiry and opt-outs outweigh everything; the first rule that objects decides."""
    if facts.last_moment <= facts.now:
        return _expired(Rule.EXPIRY, "its time had passed")
    refused = _refused_by_owner(facts)
    if refused:
        return Decision(verdict=Verdict.SUPPRESSED, rule=Rule.OPT_OUT, sentence=refused)
    if facts.message_state is MessageState.CANCELLED:
        return Decision(verdict=Verdict.CANCELLED, rule=Rule.CANCELLED, sentence="the message was cancelled")
    if facts.is_held or not _is_sending(facts):
        return Decision(verdict=Verdict.WAIT, rule=Rule.HOLD, sentence="held back")
    if not is_timed(facts):
        return START
    return _by_quiet_hours(facts, rules) or _by_week(facts, rules) or _by_texts(facts, rules) or START


def is_timed(facts: Facts) -> bool:
    """Do quiet hours hold for it? They do for what goes to many, unless its author had a reason."""
    return facts.lane in BULK and not facts.overrides


def is_limited(facts: Facts, rules: Rules) -> bool:
    """Must be known what the person got before? Only messages to persons are counted."""
    if not (_weekly_limit(facts, rules) or (rules.texts_a_day and facts.medium == TEXT)):
        return False
    return is_timed(facts) and facts.notice_kind is None and facts.is_person


def _weekly_limit(facts: Facts, rules: Rules) -> int:
    return facts.weekly_limit or rules.weekly_limit


def _quiet_hours(facts: Facts, rules: Rules) -> Sequence[Hours]:
    found: Collection[Hours | None] = (rules.quiet.get(facts.medium), facts.quiet)
    return [each for each in found if each is not None]


def _by_quiet_hours(facts: Facts, rules: Rules) -> Decision | None:
    if facts.quiet is None and facts.medium not in rules.quiet:
        return None
    hours = _quiet_hours(facts, rules)
    end = end_of_quiet(hours, facts.now, rules.zone)
    if end is None:
        return None
    until = long_date(end, rules.zone)
    if end >= facts.last_moment:
        return _expired(Rule.QUIET, f"they last until {until}, and by then its time has passed")
    return Decision(
        verdict=Verdict.LATER,
        rule=Rule.QUIET,
        sentence=_said(Rule.QUIET, f"it waits until {until}"),
        due_at=end,
    )


def _by_week(facts: Facts, rules: Rules) -> Decision | None:
    """Beyond the limit a message is not lost: it joins the person's weekly digest."""
    limit = _weekly_limit(facts, rules)
    if facts.notice_kind is not None or not limit or facts.got.messages < limit:
        return None
    closing = next_closing(Frequency.WEEKLY, facts.now, rules.zone)
    before = f"they had {_number(facts.got.messages, 'message')} in seven days"
    if facts.useless_at and facts.useless_at <= closing:
        return _expired(Rule.WEEKLY, f"{before}, and the next weekly digest comes after its time")
    return Decision(
        verdict=Verdict.DIGEST,
        rule=Rule.WEEKLY,
        sentence=_said(Rule.WEEKLY, f"{before}, so it joins the weekly digest of {day(closing, rules.zone)}"),
        due_at=facts.now,
        expires_at=closing + AFTER_CLOSING,
    )


def _by_texts(facts: Facts, rules: Rules) -> Decision | None:
    """Beyond the limit a text waits for the next day."""
    over = rules.texts_a_day and facts.medium == TEXT and facts.got.texts >= rules.texts_a_day
    if facts.notice_kind is not None or not over:
        return None
    morning = next_morning(facts.now, _quiet_hours(facts, rules), rules.zone)
    before, until = f"they had {_number(facts.got.texts, 'text')} today", long_date(morning, rules.zone)
    if morning >= facts.last_moment:
        return _expired(Rule.TEXTS, f"{before}, and by {until} its time has passed")
    return Decision(
        verdict=Verdict.LATER,
        rule=Rule.TEXTS,
        sentence=_said(Rule.TEXTS, f"{before}, so it waits until {until}"),
        due_at=morning,
    )


def _expired(rule: Rule, words: str) -> Decision:
    sentence = words if rule is Rule.EXPIRY else _said(rule, words)
    return Decision(verdict=Verdict.EXPIRED, rule=rule, sentence=sentence)


def _said(rule: Rule, words: str) -> str:
    return f"{rule}: {words}"


def _number(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


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
