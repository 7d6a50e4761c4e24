"""A stand-in for Mailgun: takes mail, and tells of events and of mail from outside in calls really signed."""

import hmac
import itertools
import json
import secrets
import time
from typing import Any
from urllib.parse import urlencode

from tests.fakes.mail_provider import Call, FakeMailProvider, Fate
from tests.fakes.smtp import AcceptedMail

KEY = "fake-mailgun-signing-key"


def signature(*, key: str = KEY, at: float | None = None) -> dict[str, str]:
    """Time, random word, and the MAC of both."""
    stamp, token = str(int(time.time() if at is None else at)), secrets.token_hex(25)
    mac = hmac.digest(key.encode(), f"{stamp}{token}".encode(), "sha256").hex()
    return {"timestamp": stamp, "token": token, "signature": mac}


class FakeMailgun(FakeMailProvider):
    """Mailgun's SMTP end and its calls. legacy: as older accounts are told, in forms."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._numbers = itertools.count(1)

    def taken(self) -> str:
        return "250 Great success"

    def call_of(self, fate: Fate, mail: AcceptedMail) -> Call:
        variables = json.loads(str(mail.message["X-Mailgun-Variables"] or "{}"))
        event = {
            "id": f"event{next(self._numbers):017d}",
            "timestamp": time.time(),
            "recipient": mail.to,
            "user-variables": variables,
            "message": {
                "headers": {"message-id": str(mail.message["Message-ID"]).strip("<>"), "to": mail.to}
            },
            **self._event(fate),
        }
        return json_call({"signature": signature(), "event-data": event})

    def call_with(self, mail: AcceptedMail) -> Call:
        fields = {
            "sender": mail.sender,
            "recipient": mail.to,
            "body-mime": mail.raw.decode("utf-8", "replace"),
        }
        return form_call(fields)

    def _event(self, fate: Fate) -> dict[str, Any]:
        match fate:
            case Fate.SENT:
                return {"event": "accepted"}
            case Fate.DELIVERED:
                return {"event": "delivered", "delivery-status": {"code": 250, "message": "OK"}}
            case Fate.DELAYED:
                status = {"code": 450, "message": "4.7.1 Greylisted", "retry-seconds": 600}
                return {
                    "event": "failed",
                    "severity": "temporary",
                    "reason": "greylisted",
                    "delivery-status": status,
                }
            case Fate.BOUNCED_HARD:
                return _failed("bounce", 550, "5.1.1 no such user")
            case Fate.BOUNCED_SOFT:
                return _failed("old", 452, "4.2.2 mailbox full")
            case Fate.REJECTED:
                return _failed("generic", 550, "5.7.1 looks like spam")
            case Fate.SUPPRESSED:
                return _failed("suppress-unsubscribe", 606, "Not delivering to unsubscribed address")
            case Fate.NOT_SENT:
                return {
                    "event": "rejected",
                    "reject": {"reason": "Sandbox subdomains are for test purposes only"},
                }
            case Fate.COMPLAINED:
                return {"event": "complained"}
            case Fate.LEFT:
                return {"event": "unsubscribed"}
            case Fate.OPENED:
                return {"event": "opened"}
            case Fate.CLICKED:
                return {"event": "clicked", "url": "https://link.example/"}


def _failed(reason: str, code: int, message: str) -> dict[str, Any]:
    status = {"code": code, "message": message, "description": ""}
    return {"event": "failed", "severity": "permanent", "reason": reason, "delivery-status": status}


def json_call(tree: dict[str, Any]) -> Call:
    return Call(json.dumps(tree, separators=(",", ":")).encode(), {"Content-Type": "application/json"})


def form_call(fields: dict[str, str], *, signed: dict[str, str] | None = None) -> Call:
    """A form's post, signed unless it is signed already."""
    body = urlencode(fields | (signature() if signed is None else signed)).encode()
    return Call(body, {"Content-Type": "application/x-www-form-urlencoded"})
