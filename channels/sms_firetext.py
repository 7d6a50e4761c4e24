"""Texts through FireText, a UK provider that GOV.UK Notify uses: form posts, receipts and replies to our hook.

FireText has no idempotency key, so a timeout or a 5xx is Unknown; but our reference, the delivery's token, can be looked up.
Sources: FireText's API guide (www.firetext.co.uk/docs) and its PHP SDK. A reply has no id, neither in the call nor, alike,
in the list of received messages, so that list is not polled: one reply would come in twice.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from channels import addresses, gsm
from channels.base import (
    Accepted,
    Capabilities,
    Event,
    HookRequest,
    Idempotency,
    Incoming,
    Medium,
    Outcome,
    Outgoing,
    Progress,
    Receipt,
    Refusal,
    Refused,
    Unknown,
    filled,
)
from channels.errors import BadHook
from channels.hook_fields import word
from channels.http import TROUBLE, NoAnswer, json_of, not_asked, outcome_of
from channels.uk_texts import UkTexts, attempt_of, utc, variables_of

API_URL = "https://www.firetext.co.uk"
QUEUED = 0
MAX_BODY = 100_000
# FireText's answer to a call → ours. What stands nowhere here (99: an error it has no name for) is in doubt.
REFUSALS = {
    1: Refusal.NOT_ALLOWED,  # credentials
    2: Refusal.BAD_ADDRESS,
    3: Refusal.NOT_ALLOWED,  # the sender
    4: Refusal.NOT_ALLOWED,  # a group of theirs
    5: Refusal.CONTENT,
    6: Refusal.CONTENT,  # a time to send, which we never give
    7: Refusal.NOT_ALLOWED,  # credit
    8: Refusal.NOT_ALLOWED,  # the address of our hook
    9: Refusal.NOT_ALLOWED,  # a sub-account
}
_BY_STATUS = {401: Refusal.NOT_ALLOWED, 403: Refusal.NOT_ALLOWED, 404: Refusal.NOT_ALLOWED}


# The code of a receipt that says a text was declined → will anything ever arrive there? A rejection of the words (401),
# and what passes, is no fault of the number.
CODES = {
    "000": False,  # nothing reported
    "101": True,  # nobody has the number
    "102": False,  # off or out of reach
    "103": False,  # busy
    "104": False,  # full
    "201": True,  # no number
    "301": True,  # cannot take texts
    "302": False,  # cannot take texts now
    "401": False,
    "900": False,  # no way there now
}
# The status of a receipt → ours.
_PROGRESS = {"0": Progress.DELIVERED, "1": Progress.UNDELIVERED, "2": Progress.SENT}


class SmsFiretext(UkTexts):
    """Sends texts, takes receipts and replies, and can be asked for a text in doubt."""

    name, setting, api_url = "sms_firetext", "FIRETEXT", API_URL
    max_parts = 4  # 612 characters
    joined = {**gsm.JOINED, gsm.Encoding.UCS_2: 66}  # noqa: RUF012 -- FireText's own count
    capabilities = Capabilities(
        media=frozenset({Medium.SMS}),
        replies=True,
        receipts=True,
        html=False,
        max_text=612,
        idempotency=Idempotency.NONE,
        slot_rows=5,
        timeout_seconds=10,
    )
    variables = variables_of("FIRETEXT", "FireText", API_URL)

    async def send(self, message: Outgoing) -> Outcome:
        copy = filled(message)
        if isinstance(copy, Refused):
            return copy
        words = copy.decode()
        form = {
            "to": message.to.removeprefix("+"),
            "from": self.sender_of(message),
            "message": words,
            "reference": message.delivery,
        }
        if not gsm.is_basic(words):
            form["unicode"] = "1"
        if callback := self.callback(message):
            form["receipt"] = callback
        try:
            status, answer = await self._call("sendsms", form)
        except TROUBLE as trouble:
            return outcome_of(trouble)
        if status >= 400:
            why = _BY_STATUS.get(status, Refusal.CONTENT)
            return Refused(why=why, reason=f"turned away with {status}", code=str(status))
        code = _code(answer)
        if code == QUEUED:
            return Accepted(provider_id=message.delivery)
        if code in REFUSALS:
            return Refused(why=REFUSALS[code], reason=f"FireText error {code}", code=str(code))
        return Unknown(reason="an answer that cannot be read" if code is None else f"FireText error {code}")

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome:
        """By the delivery's own reference, which no other has: `since` and `claimed` decide nothing."""
        try:
            status, answer = await self._call("deliveryreport", {"reference": message.delivery})
        except TROUBLE as trouble:
            return not_asked(trouble)
        if status >= 400 or _code(answer) in (None, 1):
            return not_asked(NoAnswer(status))
        rows = answer.get("data") if isinstance(answer, dict) else None
        numbers = [str(row.get("mobile")) for row in rows or () if isinstance(row, dict)]
        if any(addresses.incoming_number(number) == message.to for number in numbers):
            return Accepted(provider_id=message.delivery)
        return Unknown(reason="FireText lists no such text")

    def parse(self, request: HookRequest) -> Sequence[Event]:
        fields = _fields(request.body)
        if "status" in fields:
            return (_receipt(request, fields),)
        if "source" in fields and "message" in fields:
            return (_incoming(request, fields),)
        raise BadHook

    async def _call(self, action: str, form: Mapping[str, str]) -> tuple[int, Any]:
        """Status and JSON of the answer; none where it is not JSON."""
        body = urlencode({"apiKey": self._api_key, **form}).encode()
        head = {"Content-Type": "application/x-www-form-urlencoded"}
        async with self._session.request("POST", f"/api/{action}/json", data=body, headers=head) as answer:
            try:
                return answer.status, await json_of(answer)
            except ValueError:
                return answer.status, None


def _code(answer: object) -> int | None:
    """The code in an answer, a number or one in quotes."""
    code = answer.get("code") if isinstance(answer, dict) else None
    return int(code) if isinstance(code, int | str) and str(code).isdecimal() else None


def _fields(body: bytes) -> dict[str, str]:
    """The form's fields; BadHook where it cannot be read as one or names a field twice.

    A pound sign in the letters of Windows is no reason to lose somebody's words.
    """
    if len(body) > MAX_BODY:
        raise BadHook
    try:
        pairs = _pairs(body, "utf-8", "strict")
    except UnicodeDecodeError:
        pairs = _pairs(body, "cp1252", "replace")
    except ValueError as error:
        raise BadHook("it is no form") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadHook("a field that is told twice")
    return fields


def _pairs(body: bytes, letters: str, errors: str) -> list[tuple[str, str]]:
    written = body.decode(letters, errors)
    return parse_qsl(written, keep_blank_values=True, encoding=letters, errors=errors, max_num_fields=50)


def _receipt(request: HookRequest, fields: Mapping[str, str]) -> Receipt:
    progress = _PROGRESS.get(fields["status"])
    if progress is None:
        raise BadHook("a status that nobody here knows")
    code, reference, attempt = fields.get("code", ""), word(fields, "reference"), attempt_of(request)
    about = attempt or reference or hashlib.sha256(request.body).hexdigest()
    code = code if progress is Progress.UNDELIVERED and code in CODES else ""
    return Receipt(
        event_id=f"{about}:{fields['status']}:{code}",
        provider_id=reference,
        attempt=attempt,
        progress=progress,
        at=utc(fields.get("time", "")),
        raw=request.body,
        code=code,
        permanent=CODES.get(code, False),
    )


def _incoming(request: HookRequest, fields: Mapping[str, str]) -> Incoming:
    """FireText gives a reply no id: the same words of the same person in the same second are one."""
    told = "\n".join(fields.get(name, "") for name in ("source", "destination", "time", "message"))
    return Incoming(
        event_id=f"reply:{hashlib.sha256(told.encode()).hexdigest()}",
        medium=Medium.SMS,
        sender=addresses.incoming_number(fields["source"]),
        recipient=addresses.incoming_number(fields.get("destination", "")),
        text=fields["message"],
        at=utc(fields.get("time", "")),
        raw=request.body,
    )
