"""Mail through Amazon SES's SMTP end; what becomes of it, and mail for us, comes by SNS.

SES writes a Message-ID and a return path of its own, so the attempt is told by a message tag; its own id stands in the
answer to the text. Sources: SES's developer guide, "Using the SMTP interface", "Sending email using event publishing".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from channels.base import (
    Accepted,
    Event,
    Failed,
    HookRequest,
    Outcome,
    Outgoing,
    Refusal,
    Refused,
    Throttled,
    Variable,
)
from channels.email_provider import EmailProvider, smtp_variables
from channels.errors import BadHook, NotConfigured
from channels.ses_events import ATTEMPT_TAG, events_of
from channels.smtp_pipeline import Ended, Reply
from channels.sns import VERSIONS, Kind, Sns, fields_of

# SES's words in a refusal → seconds to wait, and what only the operator can mend ("SMTP response codes returned by SES").
_WAITS = {"maximum sending rate": 5.0, "daily message quota": 3600.0, "throttling failure": 60.0}
_OPERATORS = ("not verified", "access denied", "not authorized", "sending paused", "sending suspended")

_ID = re.compile(r"\bOk ([0-9A-Za-z][0-9A-Za-z-]{15,79})\b", re.IGNORECASE)
_TOPIC = re.compile(r"arn:aws(?:-[a-z-]+)?:sns:[a-z0-9-]+:\d{6,16}:[\w-]{1,256}(?:\.fifo)?")
_SET = re.compile(r"[\w-]{1,64}")


class EmailSes(EmailProvider):
    """Sends through SES and takes SNS's calls. Without `sns` it is called by nobody."""

    name = "email_ses"
    prefix = "NOTIFIER_SES_"
    variables = (
        *smtp_variables(prefix),
        Variable(
            name="NOTIFIER_SES_TOPIC_ARN",
            meaning="SNS topics whose calls are believed, separated by commas: of SES's events, and of mail it takes in",
            required=True,
        ),
        Variable(
            name="NOTIFIER_SES_CONFIGURATION_SET",
            meaning="Configuration set whose events name the attempt; default: the one SES has for the sender",
        ),
        Variable(
            name="NOTIFIER_SES_SIGNATURE_VERSIONS",
            meaning="Versions of SNS's signatures that are believed: 2, or 1,2 for a topic that cannot be set to 2",
            default="2",
        ),
        Variable(
            name="NOTIFIER_SES_SNS_URL",
            meaning="Where SNS's hosts are, for a drill against a stand-in; default: at their own names",
        ),
    )

    def __init__(
        self, *of_smtp: Any, sns: Sns | None = None, configuration_set: str = "", **options_of_smtp: Any
    ) -> None:
        super().__init__(*of_smtp, **options_of_smtp)
        self._sns, self._set = sns or Sns(()), configuration_set

    def configure(self, env: Mapping[str, str]) -> None:
        topics = self.needed(env, "NOTIFIER_SES_TOPIC_ARN")
        if not all(_TOPIC.fullmatch(each) for each in topics):
            raise NotConfigured(
                self.name, "NOTIFIER_SES_TOPIC_ARN", "must look like arn:aws:sns:eu-west-2:123456789012:name"
            )
        self._set = env.get("NOTIFIER_SES_CONFIGURATION_SET", "")
        if self._set and not _SET.fullmatch(self._set):
            raise NotConfigured(
                self.name, "NOTIFIER_SES_CONFIGURATION_SET", "is not a configuration set's name"
            )
        versions = (env.get("NOTIFIER_SES_SIGNATURE_VERSIONS") or "2").replace(",", " ").split()
        if not versions or set(versions) - set(VERSIONS):
            raise NotConfigured(self.name, "NOTIFIER_SES_SIGNATURE_VERSIONS", "knows 1 and 2")
        self._sns = Sns(topics, versions=versions, origin=env.get("NOTIFIER_SES_SNS_URL", ""))

    async def close(self) -> None:
        await self._sns.close()
        await super().close()

    def headers_of(self, message: Outgoing) -> Mapping[str, str]:
        """SES takes them out before it passes the mail on."""
        found = {"X-SES-MESSAGE-TAGS": f"{ATTEMPT_TAG}={message.attempt}"} if message.attempt else {}
        return found | ({"X-SES-CONFIGURATION-SET": self._set} if self._set else {})

    def outcome_of(self, ended: Ended, own_id: str) -> Outcome:
        found = super().outcome_of(ended, own_id)
        said = ended.text if isinstance(ended, Reply) else ""
        match found:
            case Accepted() if named := _ID.search(said):
                return Accepted(provider_id=named[1])
            case Failed() if waits := [wait for words, wait in _WAITS.items() if words in said.lower()]:
                return Throttled(after_seconds=waits[0], reason=found.reason, code=found.code)
            case Refused() if any(words in said.lower() for words in _OPERATORS):
                return replace(found, why=Refusal.NOT_ALLOWED)
        return found

    async def verify(self, request: HookRequest) -> bool:
        """By SNS's signature, for a topic of ours. A topic that asks whether we want it is told yes on the way."""
        fields = fields_of(request.body) if self.is_called_at(request.url) else None
        if fields is None or not await self._sns.is_signed(fields):
            return False
        return fields["Type"] != Kind.CONFIRM or await self._sns.confirm(fields)

    def parse(self, request: HookRequest) -> Sequence[Event]:
        fields = fields_of(request.body)
        if fields is None:
            raise BadHook
        if fields.get("Type") in (Kind.CONFIRM, Kind.GONE):
            return ()
        return events_of(fields, request.body)
