"""What Twilio's error codes mean."""

import json
import re

import pytest

from channels.base import Failed, Outcome, Refusal, Refused, Throttled, Where
from channels.twilio_codes import CODES, RANGES, Meaning, meaning, outcome
from tests import vectors

ABOUT_TEXTS = (
    (400, 599),
    (14100, 14199),
    (20000, 20999),
    (21400, 21499),
    (21600, 21999),
    (30000, 30999),
    (63000, 63999),
)
PUBLISHED_SINCE = (21635,)  # "'To' number cannot be a landline", in the dictionary on the web alone
# What the words of a code allow it to mean, where they are plain: a second opinion on the table.
PLAIN_WORDS = {
    r"unsubscribed recipient|blocked to receive|blocked by user action": {Meaning.OPTED_OUT},
    r"rate limit|send rate|queued messages|too many requests|daily message (cap|limit) reached|daily messages limit": {Meaning.TOO_FAST},
    r"landline|unknown destination handset|not a valid mobile": {Meaning.BAD_ADDRESS},
    r"unreachable destination handset|^message blocked": {Meaning.HANDSET},
    r"message filtered|message body|flagged as spam|1600 character limit|invalid content error": {Meaning.CONTENT},
    r"account (is )?(suspended|not active)|permission denied|access denied|authentication failed|access token": {Meaning.NOT_ALLOWED},
    r"internal (server )?error|internal failure|service unavailable|congestion|queue overflow|^unknown error$": {Meaning.PROVIDER},
}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (21610, Refused(why=Refusal.OPTED_OUT, reason="Twilio error 21610", code="21610")),
        (21211, Refused(why=Refusal.BAD_ADDRESS, reason="Twilio error 21211", code="21211")),
        (21614, Refused(why=Refusal.BAD_ADDRESS, reason="Twilio error 21614", code="21614")),
        (21635, Refused(why=Refusal.BAD_ADDRESS, reason="Twilio error 21635", code="21635")),
        (21617, Refused(why=Refusal.CONTENT, reason="Twilio error 21617", code="21617")),
        (21606, Refused(why=Refusal.NOT_ALLOWED, reason="Twilio error 21606", code="21606")),
        (21408, Refused(why=Refusal.NOT_ALLOWED, reason="Twilio error 21408", code="21408")),
        (30002, Refused(why=Refusal.NOT_ALLOWED, reason="Twilio error 30002", code="30002")),
        (20404, Refused(why=Refusal.NOT_ALLOWED, reason="Twilio error 20404", code="20404")),
        (21611, Throttled(after_seconds=9, code="21611")),
        (14107, Throttled(after_seconds=9, code="14107")),
        (21612, Failed(reason="Twilio error 21612", code="21612", where=Where.RECIPIENT)),
        (21619, Failed(reason="Twilio error 21619", code="21619")),
        (13225, Refused(why=Refusal.CONTENT, reason="Twilio error 13225", code="13225")),
        (99999, Refused(why=Refusal.CONTENT, reason="Twilio error 99999", code="99999")),
    ],
)
def test_an_error_of_a_call_means_what_the_table_says(code: int, expected: Outcome) -> None:
    assert outcome(code, 400, wait_seconds=9) == expected


@pytest.mark.parametrize("code", [99999, 53000, 0])
def test_a_code_that_says_nothing_is_judged_by_the_status(code: int) -> None:
    locked_out = outcome(code, 403, wait_seconds=9)
    assert isinstance(locked_out, Refused)
    assert locked_out.why is Refusal.NOT_ALLOWED


@pytest.mark.parametrize(
    ("code", "is_permanent"),
    [
        (21610, True), (30005, True), (30006, True), (21614, True), (21211, True),
        (30003, False), (30004, False), (30007, False), (30008, False), (30001, False), (30002, False), (21612, False),
    ],
)  # fmt: skip
def test_only_a_number_that_will_never_take_a_text_is_given_up(code: int, *, is_permanent: bool) -> None:
    found = meaning(code)
    assert found is not None
    assert found.is_permanent == is_permanent


def test_no_two_ranges_overlap() -> None:
    edges = [edge for first, last, _ in RANGES for edge in (first, last)]
    assert edges == sorted(edges)


def published() -> dict[int, str]:
    """Twilio's own list, where it is at hand."""
    return {
        int(code): words
        for path in vectors.paths("webhooks/twilio_error_codes.json")
        for code, words in json.loads(path.read_text(encoding="utf-8")).items()
    }


def test_every_published_code_is_classified_and_none_about_texts_is_called_anothers() -> None:
    unknown = [code for code in published() if meaning(code) is None]
    assert not unknown
    elsewhere = [
        code
        for code in published()
        if meaning(code) is Meaning.ELSEWHERE and any(first <= code <= last for first, last in ABOUT_TEXTS)
    ]
    assert not elsewhere
    told = {*published(), *PUBLISHED_SINCE}
    invented = [code for code in CODES if published() and code > 999 and code not in told]
    assert not invented


def test_the_table_agrees_with_the_plain_words_of_a_code() -> None:
    own = {
        21610: "Attempt to send to unsubscribed recipient", 21614: "is not a valid mobile number", 30007: "Message filtered",
        20429: "Too Many Requests", 30003: "Unreachable destination handset", 30017: "Carrier network congestion",
    }  # fmt: skip
    checked = 0
    for code, words in (published() | own).items():
        if not any(first <= code <= last for first, last in ABOUT_TEXTS):
            continue
        for pattern, allowed in PLAIN_WORDS.items():
            if re.search(pattern, words.lower()):
                checked += 1
                assert meaning(code) in allowed, (code, words, meaning(code))
    assert checked >= len(own)
