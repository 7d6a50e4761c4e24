"""The numbers and names a channel sends texts from, read from its settings.

Pure. Called by the channels that carry texts. A name is shown in place of a number and cannot be answered; a long
number, or a short one that is rented, can.
Source: the UK networks' rule for names, as Twilio and GOV.UK Notify state it: 3 to 11 characters, one letter at least.
"""

import re

from channels.base import Sender
from channels.errors import NotConfigured

_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9&._+-]{3,11}")
_NUMBER = re.compile(r"\+[1-9]\d{6,14}|\d{5,7}")
_WHAT = "is no list of numbers like +447700900100, or names of 3 to 11 letters and digits"


def read(channel: str, variable: str, value: str) -> tuple[Sender, ...]:
    """Senders in the order given, each once. NotConfigured where there is none, or one that networks refuse."""
    words = [word for word in re.split(r"[\s,]+", value) if word]
    if not words:
        raise NotConfigured(channel, variable)
    if not all(_NUMBER.fullmatch(word) or _NAME.fullmatch(word) for word in words):
        raise NotConfigured(channel, variable, _WHAT)
    return of(*words)


def of(*addresses: str) -> tuple[Sender, ...]:
    """Senders that are known to be well written."""
    return tuple(
        Sender(address=address, takes_replies=bool(_NUMBER.fullmatch(address)))
        for address in dict.fromkeys(addresses)
    )
