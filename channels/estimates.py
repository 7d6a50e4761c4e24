"""What one copy costs, by medium: shared by the channels that carry it.

Pure. Content may still hold holes; each is reckoned as long as its name, so a caller who needs the
exact figure fills them first.
"""

import math
from collections.abc import Mapping

from channels import gsm, weighted
from channels.base import Content, Estimate, Medium, without_holes
from channels.errors import CannotExpress, NotConfigured

# What one part of a text to a UK mobile costs in pence, the VAT left out. Providers charge the same for names and
# numbers as senders; they change their lists, so each has a variable that goes before this table.
PENCE = {"sms_twilio": 4.0, "sms_firetext": 4.5, "sms_mmg": 4.0}
PENCE_PER_PART = PENCE["sms_twilio"]  # where no provider is known
MAX_PARTS = 10  # most parts of one text that networks and providers join

_NAMES = {
    Medium.EMAIL: "an email",
    Medium.SMS: "a text",
    Medium.SOCIAL: "a post",
    Medium.PUSH: "a push message",
}


def estimate(
    content: Content,
    *,
    pence_per_part: float = PENCE_PER_PART,
    max_parts: int = MAX_PARTS,
    joined: Mapping[gsm.Encoding, int] = gsm.JOINED,
) -> Estimate:
    """Parts, encoding, length and cost of one copy on the content's own medium.

    max_parts, joined: of a text, the most parts a provider takes and the units of each.
    """
    match content.medium:
        case Medium.SMS:
            size = gsm.measure(without_holes(content.text), joined)
            return _sms(size, pence_per_part, joined[size.encoding] * max_parts)
        case Medium.SOCIAL:
            return _post(without_holes(content.text))
        case Medium.EMAIL | Medium.PUSH:
            return _free(content)


def pence_from(
    env: Mapping[str, str], channel: str, variable: str, *, otherwise: float = PENCE_PER_PART
) -> float:
    """The price of one part from the channel's own variable, else from the table, for a channel that is not in it
    `otherwise`. NotConfigured: it is no price."""
    given = env.get(variable, "").strip()
    try:
        pence = float(given) if given else PENCE.get(channel, otherwise)
    except ValueError as error:
        raise NotConfigured(channel, variable, "is not a number") from error
    if not math.isfinite(pence) or pence < 0:
        raise NotConfigured(channel, variable, "is not a price in pence")
    return pence


def require_room(content: Content, found: Estimate | None = None, *, max_parts: int = MAX_PARTS) -> None:
    """CannotExpress where the words are empty or longer than their medium carries. max_parts: of a text.

    found: what the channel itself reckoned, where its limit is another than the medium's.
    """
    try:
        f"{content.subject}{content.text}{content.html}{content.sender_name}".encode()
    except UnicodeEncodeError as error:
        raise CannotExpress("The words hold half a character") from error
    found = found or estimate(content, max_parts=max_parts)
    if not content.text.strip():
        raise CannotExpress("There are no words to send")
    if found.limit is not None and found.length > found.limit:
        why = f"{found.length - found.limit} characters too long for {_NAMES[content.medium]}"
        raise CannotExpress(". ".join([why, *found.notes[:1]]) if content.medium is Medium.SMS else why)
    if content.medium is Medium.SMS and found.parts > max_parts:  # pairs that may not be split leave gaps
        raise CannotExpress(f"Too long for a text: {found.parts} parts, and {max_parts} is the most")


def _sms(size: gsm.SmsSize, pence_per_part: float, limit: int) -> Estimate:
    return Estimate(
        parts=size.parts,
        encoding=size.encoding,
        cost_pence=size.parts * pence_per_part,
        length=size.units,
        limit=limit,
        notes=size.notes,
    )


def _post(text: str) -> Estimate:
    size = weighted.measure(text)
    over = size.length - size.limit
    notes = (f"{over} characters too long for a post",) if over > 0 else ()
    return Estimate(
        parts=1, encoding="UTF-8", cost_pence=0, length=size.length, limit=size.limit, notes=notes
    )


def _free(content: Content) -> Estimate:
    return Estimate(parts=1, encoding="UTF-8", cost_pence=0, length=len(content.text), limit=None)
