"""What one copy costs, by medium: shared by the channels that carry it.

Pure. Content may still hold holes; each is reckoned as long as its name, so a caller who needs the
exact figure fills them first.
"""

from channels import gsm, weighted
from channels.base import Content, Estimate, Medium, without_holes
from channels.errors import CannotExpress

PENCE_PER_PART = 4.0
MAX_PARTS = 10  # most parts of one text that networks and providers join

_NAMES = {
    Medium.EMAIL: "an email",
    Medium.SMS: "a text",
    Medium.SOCIAL: "a post",
    Medium.PUSH: "a push message",
}


def estimate(content: Content, *, pence_per_part: float = PENCE_PER_PART) -> Estimate:
    """Parts, encoding, length and cost of one copy on the content's own medium."""
    match content.medium:
        case Medium.SMS:
            return _sms(without_holes(content.text), pence_per_part)
        case Medium.SOCIAL:
            return _post(without_holes(content.text))
        case Medium.EMAIL | Medium.PUSH:
            return _free(content)


def require_room(content: Content) -> None:
    """CannotExpress where the words are empty or longer than the medium carries."""
    try:
        f"{content.subject}{content.text}{content.html}{content.sender_name}".encode()
    except UnicodeEncodeError as error:
        raise CannotExpress("The words hold half a character") from error
    found = estimate(content)
    if not content.text.strip():
        raise CannotExpress("There are no words to send")
    if found.limit is not None and found.length > found.limit:
        raise CannotExpress(f"{found.length - found.limit} characters too long for {_NAMES[content.medium]}")


def _sms(text: str, pence_per_part: float) -> Estimate:
    size = gsm.measure(text)
    return Estimate(
        parts=size.parts,
        encoding=size.encoding,
        cost_pence=size.parts * pence_per_part,
        length=size.units,
        limit=gsm.JOINED[size.encoding] * MAX_PARTS,
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
