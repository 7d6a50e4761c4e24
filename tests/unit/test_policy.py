"""The rules that decide whether a delivery starts, in their order: each with its name and its sentence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier import config
from notifier.delivery.hours import Hours, hours_in, is_quiet
from notifier.delivery.permit import permit_of
from notifier.delivery.policy import (
    NO_RULES,
    Facts,
    Got,
    Rule,
    Rules,
    Verdict,
    decide,
    is_limited,
    rules_of,
)
from notifier.models import DeliveryState, Lane, MessageState, NoticeKind

NOON = datetime(2027, 1, 13, 12, tzinfo=UTC)  # a Wednesday
NIGHT = NOON.replace(hour=22)
HOUR = timedelta(hours=1)
QUIET = Rules(quiet={"sms": hours_in("21:00-08:00")})
WEEKLY = Rules(weekly_limit=3)
TEXTS = Rules(texts_a_day=2)
TEXTS_BY_DAY = Rules(texts_a_day=2, quiet={"sms": hours_in("20:00-09:30")})


def facts(**changes: Any) -> Facts:
    now = changes.get("now", NOON)
    plain: dict[str, Any] = {
        "now": now,
        "expires_at": now + 24 * HOUR,
        "is_held": False,
        "message_state": MessageState.SENDING,
        "send_at": None,
        "notice_kind": None,
        "asked_at": None,
        "is_person": True,
        "contact_state": "active",
        "stopped_at": None,
        "still_subscribed": True,
        "suppressed": False,
        "medium": "sms",
    }
    return Facts(**(plain | changes))


NOTICE = {"notice_kind": NoticeKind.ANSWER, "message_state": None, "lane": Lane.TRANSACTIONAL}
DIGEST = {"notice_kind": NoticeKind.DIGEST, "message_state": None, "lane": Lane.BULLETIN}
ALERT = {"lane": Lane.URGENT}
OVERDUE = {"got": Got(messages=9, texts=9)}

TABLE = [
    ("plain", {}, NO_RULES, "start", ""),
    ("its time passed", {"expires_at": NOON}, QUIET, "expired", "its time had passed"),
    ("of no use any more", {"useless_at": NOON}, NO_RULES, "expired", "its time had passed"),
    ("late and stopped", {"expires_at": NOON, "contact_state": "stopped"}, NO_RULES, "expired", ""),
    ("stopped", {"contact_state": "stopped"}, NO_RULES, "suppressed", "stopped"),
    ("bounced", {"contact_state": "bounced"}, NO_RULES, "suppressed", "address returns errors"),
    ("listed", {"suppressed": True}, NO_RULES, "suppressed", "on the list of addresses not to write to"),
    ("left", {"still_subscribed": False}, NO_RULES, "suppressed", "no longer subscribed"),
    ("an account", {"still_subscribed": False, "is_person": False}, NO_RULES, "start", ""),
    ("stopped and cancelled", {"contact_state": "stopped", "message_state": "cancelled"}, NO_RULES,
     "suppressed", ""),
    ("cancelled", {"message_state": MessageState.CANCELLED, "is_held": True}, NO_RULES, "cancelled", ""),
    ("held", {"is_held": True, "now": NIGHT}, QUIET, "wait", "held back"),
    ("paused", {"message_state": MessageState.PAUSED}, NO_RULES, "wait", ""),
    ("not yet", {"message_state": MessageState.SCHEDULED, "send_at": NOON + HOUR}, NO_RULES, "wait", ""),
    ("now", {"message_state": MessageState.SCHEDULED, "send_at": NOON}, NO_RULES, "start", ""),
    ("at night", {"now": NIGHT}, QUIET, "later",
     "quiet hours: it waits until Thursday 14 January 2027, 8am"),
    ("at night by mail", {"now": NIGHT, "medium": "email"}, QUIET, "start", ""),
    ("at night, useless by morning", {"now": NIGHT, "useless_at": NIGHT + 9 * HOUR}, QUIET, "expired",
     "quiet hours: they last until Thursday 14 January 2027, 8am, and by then its time has passed"),
    ("useless as quiet hours end", {"now": NIGHT, "useless_at": NIGHT + 10 * HOUR}, QUIET, "expired", ""),
    ("an alert at night", {"now": NIGHT, **ALERT}, QUIET, "start", ""),
    ("an answer at night", {"now": NIGHT, **NOTICE}, QUIET, "start", ""),
    ("a digest at night", {"now": NIGHT, **DIGEST}, QUIET, "later", ""),
    ("overridden at night", {"now": NIGHT, "overrides": True}, QUIET, "start", ""),
    ("their own quiet hours", {"quiet": Hours(start=11 * 60, end=13 * 60), "medium": "email"}, QUIET, "later",
     "quiet hours: it waits until Wednesday 13 January 2027, 1pm"),
    ("both, one after the other", {"now": NIGHT, "quiet": Hours(start=420, end=600)}, QUIET, "later",
     "quiet hours: it waits until Thursday 14 January 2027, 10am"),
    ("below the limit", {"got": Got(messages=2)}, WEEKLY, "start", ""),
    ("at the limit", {"got": Got(messages=3)}, WEEKLY, "digest",
     "weekly limit: they had 3 messages in seven days, so it joins the weekly digest of Friday 15 January 2027"),
    ("their own limit", {"got": Got(messages=1), "weekly_limit": 1}, WEEKLY, "digest", "they had 1 message in"),
    ("their own, larger", {"got": Got(messages=4), "weekly_limit": 5}, WEEKLY, "start", ""),
    ("limit, and useless by Friday", {**OVERDUE, "useless_at": NOON + 24 * HOUR}, WEEKLY, "expired",
     "weekly limit: they had 9 messages in seven days, and the next weekly digest comes after its time"),
    ("an alert beyond it", {**OVERDUE, **ALERT}, WEEKLY, "start", ""),
    ("an answer beyond it", {**OVERDUE, **NOTICE}, WEEKLY, "start", ""),
    ("a digest beyond it", {**OVERDUE, **DIGEST}, WEEKLY, "start", ""),
    ("overridden beyond it", {**OVERDUE, "overrides": True}, WEEKLY, "start", ""),
    ("texts left", {"got": Got(texts=1)}, TEXTS, "start", ""),
    ("no texts left", {"got": Got(texts=2)}, TEXTS, "later",
     "daily limit on texts: they had 2 texts today, so it waits until Thursday 14 January 2027, 8am"),
    ("no texts left, a short night", {"got": Got(texts=2)}, TEXTS_BY_DAY, "later", "2027, 9:30am"),
    ("no texts left, an email", {"got": Got(texts=2), "medium": "email"}, TEXTS, "start", ""),
    ("no texts left, useless tomorrow", {"got": Got(texts=2), "useless_at": NOON + 9 * HOUR}, TEXTS, "expired",
     "daily limit on texts: they had 2 texts today, and by Thursday"),
    ("an alert beyond the texts", {**OVERDUE, **ALERT}, TEXTS, "start", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "rules", "verdict", "sentence"),
    [row[1:] for row in TABLE],
    ids=[str(row[0]) for row in TABLE],
)
def test_the_first_rule_that_objects_decides_and_says_why(
    changes: dict[str, Any], rules: Rules, verdict: str, sentence: str
) -> None:
    decision = decide(facts(**changes), rules)
    assert decision.verdict == verdict, decision
    assert sentence in decision.sentence
    assert len(decision.sentence) <= 200
    assert bool(decision.rule) == (verdict != Verdict.START)


def test_a_decision_says_when_the_row_is_due_again_and_how_long_it_may_wait() -> None:
    morning = decide(facts(now=NIGHT), QUIET)
    assert (morning.rule, morning.due_at) == (Rule.QUIET, NIGHT + 10 * HOUR)
    friday = decide(facts(got=Got(messages=3)), WEEKLY)
    assert friday.due_at == NOON
    assert friday.expires_at == datetime(2027, 1, 16, 17, tzinfo=UTC)
    joined = permit_of(friday)
    assert (joined.state, joined.digest) == (DeliveryState.PENDING, "weekly")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_makes_something_of_the_row(verdict: Verdict) -> None:
    permit = permit_of(replace(decide(facts()), verdict=verdict, sentence="for a reason"))
    assert permit.starts == (verdict is Verdict.START)


def test_what_a_person_got_is_asked_only_where_a_limit_may_hold() -> None:
    assert not is_limited(facts(), NO_RULES)
    assert not is_limited(facts(medium="email"), TEXTS)
    assert not is_limited(facts(**ALERT, weekly_limit=1), WEEKLY)
    assert not is_limited(facts(**DIGEST), TEXTS)
    assert not is_limited(facts(is_person=False), WEEKLY)
    assert is_limited(facts(weekly_limit=1), NO_RULES)
    assert is_limited(facts(), WEEKLY)
    assert is_limited(facts(), TEXTS)


def test_the_rules_are_those_of_the_settings() -> None:
    rules = rules_of(
        config.build(
            {
                "NOTIFIER_QUIET_HOURS": "sms=21:00-08:00 email=23:30-05:00",
                "NOTIFIER_WEEKLY_LIMIT": "7",
                "NOTIFIER_TEXTS_A_DAY": "3",
            }
        ).settings
    )
    assert rules.quiet == {"sms": Hours(start=1260, end=480), "email": Hours(start=1410, end=300)}
    assert (rules.weekly_limit, rules.texts_a_day) == (7, 3)


@settings(max_examples=100, deadline=None)
@given(
    minutes=st.integers(0, 400 * 24 * 60),
    start=st.integers(0, 1439),
    end=st.integers(0, 1439),
    lives=st.integers(1, 72),
    medium=st.sampled_from(["sms", "email"]),
)
def test_a_row_is_never_put_off_beyond_its_time_nor_into_quiet_hours(
    minutes: int, start: int, end: int, lives: int, medium: str
) -> None:
    now = NOON + timedelta(minutes=minutes)
    own = Hours(start=start, end=end)
    given = facts(now=now, expires_at=now + lives * HOUR, quiet=own, medium=medium)
    decision = decide(given, QUIET)
    both = [own, *([QUIET.quiet["sms"]] if medium == "sms" else [])]
    assert (decision.verdict is Verdict.START) != is_quiet(both, now, QUIET.zone)
    if decision.due_at:
        assert now < decision.due_at < given.expires_at
    if decision.due_at and decision.due_at - now < 48 * HOUR:  # else the two leave no minute of the day
        assert decide(replace(given, now=decision.due_at), QUIET).verdict is Verdict.START
