"""What a provider's call about mail that came back says of the address it was for.

Pure. Called by the readers of Amazon SES's, Mailgun's and Postmark's calls. A provider calls a bounce hard for its number
alone, be it that of a blocklist or of a full mailbox; the words of the server behind it say more, and are read as those of a
returned mail are, so that one rule holds whichever way a failure is told.
"""

import re
from dataclasses import dataclass

from channels.bounce_reasons import Failure, failure_in

NOBODY, REFUSED = "5.1.1", "5.7.1"  # RFC 3463

# RFC 3463: what passes, a full mailbox, the system, the protocol, content and policy are no fault of the address.
_NOT_THE_ADDRESS = re.compile(r"[45]\.(?:2\.[2-9]|[3567]\.)|4|552$")
_SAYS_NOBODY = re.compile(r"5\.(?:1\.(?:[0-3]|6|10)|2\.1|4\.4)$")
_IS_OURS = re.compile(r"[45]\.(?:[67]\.\d{1,3}|1\.[789]|2\.3|3\.4|5\.\d{1,3})$")
_INSTEAD = {Failure.FULL: "5.2.2", Failure.LATER: "4.4.7"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """code: the server's, unless its words say something else than it does. ends: nobody is there."""

    code: str
    ends: bool


def verdict(code: str, *words: str, hard: bool) -> Verdict:
    """code: what the provider or the server gave. words: the server's. hard: does the provider say it is for good?

    Words that say nothing known end no address: what the provider then keeps back itself, it says of the next mail.
    """
    said = " ".join(words).strip()
    failure = failure_in(said)
    if failure is Failure.REFUSED:
        return of_this_mail(code)
    if failure is Failure.FULL or failure is Failure.LATER:
        return Verdict(code=_INSTEAD[failure] if _SAYS_NOBODY.match(code) else code, ends=False)
    if failure is Failure.GONE and hard and not code.startswith("4"):
        return Verdict(code=NOBODY if _NOT_THE_ADDRESS.match(code) else code, ends=True)
    is_clear = failure is Failure.DISABLED or not said
    ends = bool(_SAYS_NOBODY.match(code)) or (hard and is_clear and not _NOT_THE_ADDRESS.match(code))
    return Verdict(code=code, ends=ends)


def of_this_mail(code: str) -> Verdict:
    """Of a mail that was refused for its words, its sender or its way: it says nothing of the address."""
    return Verdict(code=code if _IS_OURS.match(code) else REFUSED, ends=False)
