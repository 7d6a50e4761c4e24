"""A stand-in for Postmark: takes mail, and tells of events and of mail from outside with the password of its address."""

import base64
import itertools
import json
from typing import Any

from tests.fakes.mail_provider import Call, FakeMailProvider, Fate
from tests.fakes.smtp import AcceptedMail

USER, PASSWORD = "postmark", "a-long-hook-password"
METADATA = "x-pm-metadata-"


def headers(credentials: str = f"{USER}:{PASSWORD}") -> dict[str, str]:
    basic = base64.b64encode(credentials.encode()).decode()
    return {"Content-Type": "application/json", "Authorization": f"Basic {basic}"}


class FakePostmark(FakeMailProvider):
    """Postmark's SMTP end and its calls."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._numbers = itertools.count(900_001)

    @staticmethod
    def id_of(number: int) -> str:
        """Postmark's own id of the mail it took as that one."""
        return f"883953f4-6105-42a2-a16a-{number:012d}"

    def call_of(self, fate: Fate, mail: AcceptedMail) -> Call:
        kept = list(self.accepted)
        metadata = {
            name.lower().removeprefix(METADATA): str(value)
            for name, value in mail.message.items()
            if name.lower().startswith(METADATA)
        }
        whole = {
            "MessageID": self.id_of(kept.index(mail) + 1 if mail in kept else 0),
            "MessageStream": str(mail.message["X-PM-Message-Stream"] or "outbound"),
            "Metadata": metadata,
            "Tag": "",
            **self._record(fate, mail),
        }
        return self.post(whole)

    def call_with(self, mail: AcceptedMail) -> Call:
        return self.post(
            {
                "From": mail.sender,
                "FromFull": {"Email": mail.sender, "Name": "", "MailboxHash": ""},
                "OriginalRecipient": mail.to,
                "MessageID": "73e6d360-66eb-11e1-8e72-a8904824019b",
                "RawEmail": mail.raw.decode("utf-8", "replace"),
            }
        )

    @staticmethod
    def post(tree: dict[str, Any]) -> Call:
        return Call(json.dumps(tree, separators=(",", ":")).encode(), headers())

    def _record(self, fate: Fate, mail: AcceptedMail) -> dict[str, Any]:
        match fate:
            case Fate.SENT | Fate.OPENED:
                return {"RecordType": "Open", "Recipient": mail.to, "ReceivedAt": "2026-11-22T16:00:05Z"}
            case Fate.CLICKED:
                return {"RecordType": "Click", "Recipient": mail.to, "ReceivedAt": "2026-11-22T16:00:05Z"}
            case Fate.DELIVERED:
                at = {"DeliveredAt": "2026-11-22T16:00:05.1234567Z"}
                return {"RecordType": "Delivery", "Recipient": mail.to, "Details": "250 ok"} | at
            case Fate.DELAYED:
                return self._bounce(mail, "Transient", "smtp;451 4.7.1 try later")
            case Fate.BOUNCED_HARD:
                return self._bounce(mail, "HardBounce", "smtp;550 5.1.1 no such user")
            case Fate.BOUNCED_SOFT:
                return self._bounce(mail, "SoftBounce", "smtp;552 5.2.2 mailbox full")
            case Fate.REJECTED:
                return self._bounce(mail, "SpamNotification", "smtp;554 5.7.1 looks like spam")
            case Fate.NOT_SENT:
                return self._bounce(mail, "SMTPApiError", "An error occurred")
            case Fate.SUPPRESSED:
                return self._bounce(mail, "ManuallyDeactivated", "kept back")
            case Fate.COMPLAINED:
                return self._bounce(mail, "SpamComplaint", "") | {"RecordType": "SpamComplaint"}
            case Fate.LEFT:
                return {
                    "RecordType": "SubscriptionChange", "ChangedAt": "2026-11-22T16:00:05Z", "Recipient": mail.to,
                    "Origin": "Recipient", "SuppressSending": True, "SuppressionReason": "ManualSuppression",
                }  # fmt: skip

    def _bounce(self, mail: AcceptedMail, kind: str, details: str) -> dict[str, Any]:
        return {
            "RecordType": "Bounce", "ID": next(self._numbers), "Type": kind, "Email": mail.to, "Details": details,
            "BouncedAt": "2026-11-22T16:00:05.1234567Z", "Inactive": kind == "HardBounce",
        }  # fmt: skip
