"""Texts through a box with modems in it, by JSON over HTTP: the sort of channel a force adds for itself.

The box takes a text once for each id we give it, and calls back signed (HMAC-SHA256 of the body) with texts that
came in and with receipts.
"""

import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from channels import estimates
from channels.base import (
    Accepted,
    Capabilities,
    Content,
    Estimate,
    Event,
    Failed,
    HookReply,
    HookRequest,
    Idempotency,
    Incoming,
    Medium,
    Outcome,
    Outgoing,
    Prepared,
    Progress,
    Receipt,
    Refusal,
    Refused,
    Unknown,
    Variable,
    cut,
    filled,
)
from channels.errors import BadHook, NotConfigured
from channels.http import TROUBLE, Session, json_of, not_asked, outcome_of
from channels.one_medium import OneMedium

# The box's word, or its status → what it means for us. Others are refusals of the content.
REFUSALS = {
    "bad-number": Refusal.BAD_ADDRESS,
    "stopped": Refusal.OPTED_OUT,
    "no-key": Refusal.NOT_ALLOWED,
    "no-credit": Refusal.NOT_ALLOWED,
    401: Refusal.NOT_ALLOWED,
    403: Refusal.NOT_ALLOWED,
    404: Refusal.NOT_ALLOWED,
}
PROGRESS = {"delivered": Progress.DELIVERED, "lost": Progress.UNDELIVERED}
NO_SENSE = "an answer that cannot be read"
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class SmsModem(OneMedium):
    """Sends texts and takes the box's calls."""

    name = "sms_modem"
    medium, called = Medium.SMS, "texts"
    capabilities = Capabilities(
        media=frozenset({Medium.SMS}),
        replies=True,
        receipts=True,
        html=False,
        max_text=1530,
        idempotency=Idempotency.KEY,
        slot_rows=5,
        timeout_seconds=10,
    )
    variables = (
        Variable(name="NOTIFIER_MODEM_URL", meaning="Where the box is", required=True),
        Variable(name="NOTIFIER_MODEM_KEY", meaning="The key it shares with us", secret=True, required=True),
    )

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 10) -> None:
        self._key = key.encode()
        self._session = Session(url, total_seconds=timeout_seconds, connect_seconds=timeout_seconds / 2)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        for variable in cls.variables:
            if not env.get(variable.name):
                raise NotConfigured(cls.name, variable.name)
        return cls(env["NOTIFIER_MODEM_URL"], env["NOTIFIER_MODEM_KEY"])

    async def close(self) -> None:
        await self._session.close()

    def estimate(self, content: Content) -> Estimate:
        return estimates.estimate(content, pence_per_part=1.0)

    def prepare(self, content: Content) -> Prepared:
        self.require_fit(content)
        return Prepared(medium=content.medium, language=content.language, pieces=cut(content.text))

    async def send(self, message: Outgoing) -> Outcome:
        copy = filled(message)
        if isinstance(copy, Refused):
            return copy
        wanted = {"id": message.delivery, "to": message.to, "text": copy.decode(), "tell": message.attempt}
        try:
            status, said = await self._ask("POST", "/texts", json=wanted)
        except TROUBLE as trouble:
            return outcome_of(trouble)
        except _UNREADABLE:
            return Unknown(reason=NO_SENSE)
        if status < 400:
            is_taken = status == 200 and said.get("id") == message.delivery
            return Accepted(provider_id=message.delivery) if is_taken else Unknown(reason=NO_SENSE)
        word = str(said.get("error") or status)
        why = REFUSALS.get(word) or REFUSALS.get(status, Refusal.CONTENT)
        return Refused(why=why, reason="the box refused it", code=word[:40])

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome:
        try:
            status, said = await self._ask("GET", f"/texts/{message.delivery}")
        except (*TROUBLE, *_UNREADABLE) as error:
            return not_asked(error)
        if status == 200 and said.get("id") == message.delivery:
            return Accepted(provider_id=message.delivery)
        if status == 404 and said.get("error") == "unknown":  # the box's own word, not a proxy's
            return Failed(reason="the box has no such text")
        return Unknown(reason="the box will not say")

    async def _ask(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Status and body. Raises TROUBLE, and ValueError or TypeError where the body is no JSON object."""
        options["headers"] = {"X-Key": self._key.decode()}
        async with self._session.request(method, f"http://box{path}", **options) as answer:
            return answer.status, dict(await json_of(answer))

    # --- Hooks ------------------------------------------------------------------------------

    async def verify(self, request: HookRequest) -> bool:
        given = next((v for k, v in request.headers.items() if k.lower() == "x-signature"), "")
        return hmac.compare_digest(signature(self._key, request.body), given.encode("utf-8", "replace"))

    def parse(self, request: HookRequest) -> Sequence[Event]:
        try:
            said = json.loads(request.body)
            if said["kind"] == "text":
                return [
                    Incoming(
                        event_id=said["id"],
                        medium=Medium.SMS,
                        sender=said["from"],
                        recipient=said["to"],
                        text=said["text"],
                        at=None,
                        raw=request.body,
                    )
                ]
            return [
                Receipt(
                    event_id=said["id"],
                    provider_id=said["text_id"],
                    attempt=said["tell"],
                    progress=PROGRESS[said["became"]],
                    at=None,
                    raw=request.body,
                )
            ]
        except _UNREADABLE as error:
            raise BadHook from error

    def answer(self) -> HookReply:
        return HookReply(status=204)


def signature(key: bytes, body: bytes) -> bytes:
    """What the box puts into X-Signature."""
    return hmac.digest(key, body, "sha256").hex().encode()
