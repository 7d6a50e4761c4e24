"""What each of Twilio's error codes means for a text of ours.

Pure. Called by `sms_twilio` for errors of a call and by `twilio_hooks` for those of a status callback: one table for both.
Source: Twilio's error dictionary (www.twilio.com/docs/api/errors). A range says what its codes have in common; a code that
means something else stands in `CODES`. What neither names is new, and is judged by the status of the answer.
"""

from enum import StrEnum

from channels.base import Failed, Outcome, Refusal, Refused, Throttled, Where


class Meaning(StrEnum):
    """Whose matter an error is."""

    OPTED_OUT = "opted_out"  # the person told Twilio, or the sender's number, to stop
    BAD_ADDRESS = "bad_address"  # that number will never take a text
    CONTENT = "content"  # these words, or what goes with them
    NOT_ALLOWED = "not_allowed"  # account, sender or settings: the operator must act
    TOO_FAST = "too_fast"
    HANDSET = "handset"  # off, full, out of reach, or closed to this sender for now
    PROVIDER = "provider"  # Twilio or a network failed: it passes
    NOTICE = "notice"  # a warning about our hooks or an inbound text: says nothing of this one
    ELSEWHERE = "elsewhere"  # another of Twilio's products

    @property
    def is_permanent(self) -> bool:
        """Whether a text to that number from us will never arrive."""
        return self in (Meaning.OPTED_OUT, Meaning.BAD_ADDRESS)


_REFUSALS = {
    Meaning.OPTED_OUT: Refusal.OPTED_OUT,
    Meaning.BAD_ADDRESS: Refusal.BAD_ADDRESS,
    Meaning.CONTENT: Refusal.CONTENT,
    Meaning.NOT_ALLOWED: Refusal.NOT_ALLOWED,
}

CODES: dict[int, Meaning] = {
    code: meaning
    for meaning, codes in {
        Meaning.OPTED_OUT: (
            21610,  # answered STOP to this number
            63014, 63033,  # blocked us
        ),
        Meaning.BAD_ADDRESS: (
            14101, 20023, 21201, 21202, 21211, 21214, 21217, 21401, 21604, 30014,  # no number that can be
            21614, 21635, 30006, 60205,  # a landline
            30005,  # nobody has it
            63003, 63024,
        ),
        Meaning.CONTENT: (
            14103, 20413, 21602, 21605, 21617, 21618,  # no words, or too many
            21620, 21623, 11751, 30011, 30019,  # pictures, which we never send
            21652, 21653, 21654, 21655, 21656, 21902,
            30007,  # filtered
            63005, 63006, 63013, 63016, 63021, 63025, 63026, 63027, 63028, 63030, 63031, 63034, 63040, 63041,
        ),
        Meaning.NOT_ALLOWED: (
            401, 403, 404, 10001, 10002,
            14102, 14108, 14111,  # the sender cannot text
            21203, 21210, 21212, 21213, 21215, 21219, 21502, 21609,
            33203, 30125,
        ),
        Meaning.TOO_FAST: (
            429, 14107, 20429, 21611,
            30022, 30023, 30027,  # a network's rate or day is used up
            63017, 63018, 63038, 63039, 35125,
        ),
        Meaning.HANDSET: (
            21612,  # no way from this sender to that number now
            30003, 30004, 63032, 63036,
        ),
        Meaning.PROVIDER: (
            410, 500, 502, 503, 504, 20162, 20409, 20500, 20503, 21501, 21619,
            30001,  # Twilio's own queue
            30008, 30017, 30020, 30021, 30410,
            63009, 63010, 63012, 63019, 63023, 63029, 63037,
        ),
        Meaning.NOTICE: (
            14104, 14106, 14109, 14110,  # our answer to an inbound text
            20009, 20020, 21475,
            30009,  # part of an inbound text is missing
            30025, 30026,  # half the day's texts are used
            30103, 30104, 30105, 30131, 30409,
        ),
        Meaning.ELSEWHERE: (10003, 10004, 21204, 21205, 21206, 21207, 21208, 21209, 21216, 21218, 90004),
    }.items()
    for code in codes
}  # fmt: skip

# First and last code of a range, and what its codes mean that stand nowhere above.
RANGES = (
    (400, 499, Meaning.CONTENT),
    (11000, 12999, Meaning.NOTICE),  # hooks that cannot be reached, and documents that cannot be read
    (13000, 13999, Meaning.ELSEWHERE),  # calls
    (14100, 14199, Meaning.NOT_ALLOWED),
    (14200, 19999, Meaning.ELSEWHERE),  # queues, conferences, tasks
    (20000, 20999, Meaning.NOT_ALLOWED),  # the account, its keys, and how it is called
    (21000, 21199, Meaning.NOT_ALLOWED),
    (21200, 21399, Meaning.ELSEWHERE),  # calls and trunks
    (21400, 21499, Meaning.NOT_ALLOWED),  # numbers and accounts of ours
    (21500, 21599, Meaning.ELSEWHERE),  # recordings
    (21600, 21999, Meaning.NOT_ALLOWED),  # senders, messaging services, registrations
    (22000, 22999, Meaning.ELSEWHERE),  # buying numbers
    (23000, 23999, Meaning.NOT_ALLOWED),  # what may be kept of a text
    (30000, 30999, Meaning.NOT_ALLOWED),  # delivery, link shortening, registrations
    (31000, 34999, Meaning.ELSEWHERE),  # calls and hosted numbers
    (35000, 35999, Meaning.NOT_ALLOWED),  # texts for later
    (40000, 62999, Meaning.ELSEWHERE),  # studio, conversations, video, wallets, verification
    (63000, 63999, Meaning.NOT_ALLOWED),  # WhatsApp and other channels
    (64000, 64999, Meaning.ELSEWHERE),  # payments
    (68000, 98999, Meaning.ELSEWHERE),
    (456000, 456999, Meaning.ELSEWHERE),
)


def meaning(code: int) -> Meaning | None:
    """What a code means; none where Twilio has made it since."""
    known = CODES.get(code)
    return known or next((kind for first, last, kind in RANGES if first <= code <= last), None)


def outcome(code: int, status: int, *, wait_seconds: float) -> Outcome:
    """What a call that was answered with this code and this status (4xx) came to: nothing was sent.

    wait_seconds: for a rate that Twilio tells by its code alone.
    """
    reason = f"Twilio error {code}"
    found = meaning(code)
    if found in (None, Meaning.ELSEWHERE, Meaning.NOTICE):
        found = Meaning.NOT_ALLOWED if status in (401, 403) else Meaning.CONTENT
    match found:
        case Meaning.TOO_FAST:
            return Throttled(after_seconds=wait_seconds, code=str(code))
        case Meaning.HANDSET:
            return Failed(reason=reason, code=str(code), where=Where.RECIPIENT)
        case Meaning.PROVIDER:
            return Failed(reason=reason, code=str(code))
        case _:
            return Refused(why=_REFUSALS[found], reason=reason, code=str(code))
