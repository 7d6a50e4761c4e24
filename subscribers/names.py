"""The one spelling of a person's name. Pure; called by sign-up, import and the preferences page."""

import re
import unicodedata

LONGEST = 100
_LINK = re.compile(r"(?i)\b(?:https?://|www\.)")


class BadName(ValueError):
    """A name that cannot be kept; its text is the sentence to show."""


def read(text: str) -> str | None:
    """The name as typed, without control characters and stray space; None where nothing is left.

    Anything may be a name, markup and formulas too: pages escape what they show. Raises BadName.
    """
    printable = "".join(
        " " if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") else sign for sign in text
    )
    name = " ".join(printable.split())
    if len(name) > LONGEST:
        raise BadName(f"Shorten the name to {LONGEST} characters")
    if _LINK.search(name):
        raise BadName("Enter a name, not a web address")
    return name or None
