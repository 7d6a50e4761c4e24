"""Texts through MMG, a UK provider that GOV.UK Notify uses: JSON posts, receipts and replies to our hook.

MMG has no idempotency key and no look-up, so a timeout or a 5xx stays in doubt until a receipt comes. Source: GOV.UK
Notify's open client of it. MMG publishes no list of its error codes: an answer is judged by its HTTP status, and its code kept.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from channels import addresses
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
from channels.hook_fields import document, text, word
from channels.http import TROUBLE, json_of, outcome_of
from channels.uk_texts import UkTexts, attempt_of, utc, variables_of

API_URL = "https://api.mmg.co.uk"
MAX_BODY = 100_000
# The status of an answer → ours. Others of 4xx are refusals of the words.
_BY_STATUS = {
    401: Refusal.NOT_ALLOWED,
    402: Refusal.NOT_ALLOWED,
    403: Refusal.NOT_ALLOWED,
    404: Refusal.NOT_ALLOWED,
}
# The status of a receipt → ours.
_PROGRESS = {
    "2": Progress.UNDELIVERED,  # the network or the number would not
    "3": Progress.DELIVERED,
    "4": Progress.UNDELIVERED,  # not now
    "5": Progress.UNDELIVERED,  # MMG would not
}
# Status and detail that say nobody has the number. Blacklists, suspensions and rejections may be lifted.
_NOBODY = frozenset({"2.1", "2.5", "5.8", "5.52"})


class SmsMmg(UkTexts):
    """Sends texts, takes receipts and replies."""

    name, setting, api_url = "sms_mmg", "MMG", API_URL
    capabilities = Capabilities(
        media=frozenset({Medium.SMS}),
        replies=True,
        receipts=True,
        html=False,
        max_text=1530,
        idempotency=Idempotency.NONE,
        slot_rows=5,
        timeout_seconds=10,
    )
    variables = variables_of("MMG", "MMG", API_URL)

    async def send(self, message: Outgoing) -> Outcome:
        copy = filled(message)
        if isinstance(copy, Refused):
            return copy
        asked: dict[str, Any] = {
            "reqType": "BULK",
            "MSISDN": message.to.removeprefix("+"),
            "msg": copy.decode(),
            "sender": self.sender_of(message),
            "cid": message.delivery,
            "multi": True,
        }
        if callback := self.callback(message):
            asked["delurl"] = callback
        try:
            status, answer = await self._call(asked)
        except TROUBLE as trouble:
            return outcome_of(trouble)
        if status >= 400:
            code = word(answer, "Error")[:20] or str(status)
            return Refused(why=_BY_STATUS.get(status, Refusal.CONTENT), reason=f"MMG error {code}", code=code)
        reference = word(answer, "Reference")
        return (
            Accepted(provider_id=reference) if reference else Unknown(reason="an answer that cannot be read")
        )

    def parse(self, request: HookRequest) -> Sequence[Event]:
        if len(request.body) > MAX_BODY:
            raise BadHook
        told = document(request.body)
        return (_receipt(request, told) if "status" in told else _incoming(request, told),)

    async def _call(self, asked: Mapping[str, Any]) -> tuple[int, Any]:
        """Status and JSON of the answer; none where it is not JSON."""
        head = {"Content-Type": "application/json", "Authorization": f"Basic {self._api_key}"}
        body = json.dumps(asked).encode()
        async with self._session.request("POST", "/json/api.php", data=body, headers=head) as answer:
            try:
                return answer.status, await json_of(answer)
            except ValueError:
                return answer.status, None


def _receipt(request: HookRequest, told: Mapping[str, Any]) -> Receipt:
    status, reference, attempt = word(told, "status"), word(told, "reference"), attempt_of(request)
    progress = _PROGRESS.get(status)
    if progress is None or not (attempt or reference):
        raise BadHook("a status that nobody here knows, or of nothing")
    detail = word(told, "substatus")
    code = f"{status}.{detail}" if detail.isdecimal() and len(detail) < 6 else ""
    return Receipt(
        event_id=f"{attempt or reference}:{status}:{code}",
        provider_id=reference,
        attempt=attempt,
        progress=progress,
        at=utc(unquote_plus(text(told, "deliverytime"))),
        raw=request.body,
        code=code,
        permanent=code in _NOBODY,
    )


def _incoming(request: HookRequest, told: Mapping[str, Any]) -> Incoming:
    """The words come as they stand in an address: `+` for a space, `%2B` for a plus."""
    name = word(told, "ID")
    if not name or "MSISDN" not in told or "Message" not in told:
        raise BadHook
    return Incoming(
        event_id=f"reply:{name}",
        medium=Medium.SMS,
        sender=addresses.incoming_number(text(told, "MSISDN")),
        recipient=addresses.incoming_number(text(told, "Number")),
        text=unquote_plus(text(told, "Message")),
        at=utc(unquote_plus(text(told, "DateRecieved"))),  # spelled so
        raw=request.body,
    )
