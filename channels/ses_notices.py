"""Bounces that Amazon SES sends through SNS to a mailbox: JSON in the text of a mail.

Pure. Called by `reports`. Source: the notification contents of SES (docs.aws.amazon.com/ses, "notification-contents").
"""

import json
from collections.abc import Iterator
from typing import Any

from channels.bounce_reasons import reason_of
from channels.delivery_fields import Bounce, clean_address

MAX_TEXT = 100_000
SENDER = "@sns.amazonaws.com"
_DECODER = json.JSONDecoder(strict=False)  # long lines were folded by mail servers, inside strings too


def of_text(text: str) -> Iterator[Bounce]:
    """The recipients of a bounce notice; nothing where the text is anything else."""
    start = text[:200].find("{")
    if start < 0 or "bouncedRecipients" not in text[:MAX_TEXT]:
        return
    said = _read(text[start:MAX_TEXT])
    inside = said.get("Message")  # where SNS was not told to deliver the raw message
    bounce = (_read(inside) if isinstance(inside, str) else said).get("bounce")
    if not isinstance(bounce, dict):
        return
    recipients = bounce.get("bouncedRecipients")
    for each in recipients if isinstance(recipients, list) else []:
        if isinstance(each, dict):
            yield _bounce(each, is_final=bounce.get("bounceType") == "Permanent")


def _read(text: str) -> dict[str, Any]:
    try:
        said, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _bounce(each: dict[str, Any], *, is_final: bool) -> Bounce:
    reason = reason_of(str(each.get("status", "")), str(each.get("diagnosticCode", "")))
    return Bounce(
        recipient=clean_address(str(each.get("emailAddress", ""))),
        status=reason.status,
        permanent=reason.permanent and is_final,
        failure=reason.failure,
    )
