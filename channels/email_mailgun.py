"""Mail through Mailgun's SMTP end; what becomes of it, and mail for us, comes by signed calls.

Mailgun keeps our Message-ID and names the mail by it; the attempt is told by a variable. Its signature is over a time
and a random word alone: that nobody changed the body on its way is what TLS sees to. Sources: Mailgun's user manual,
"Sending via SMTP", "Attaching data to messages", "Securing webhooks", "Webhooks".
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from channels.base import Accepted, Event, HookRequest, Outcome, Outgoing, Variable
from channels.email_provider import EmailProvider, smtp_variables
from channels.errors import BadHook
from channels.hook_fields import moment
from channels.mailgun_events import ATTEMPT, events_of, is_signed, signatures_of
from channels.smtp_pipeline import Ended

# Mailgun tries again for eight hours and does not say that it signs anew: a shorter time would lose what came while
# we were down, and a call that comes twice changes nothing.
GOOD_FOR = timedelta(hours=9)
CLOCKS_APART = timedelta(minutes=5)


class EmailMailgun(EmailProvider):
    """Sends through Mailgun and takes its calls. Without keys it is called by nobody."""

    name = "email_mailgun"
    prefix = "NOTIFIER_MAILGUN_"
    hook_queries = ("", "mime")  # a route gives the whole mail to an address that ends so
    variables = (
        *smtp_variables(prefix),
        Variable(
            name="NOTIFIER_MAILGUN_SIGNING_KEYS",
            meaning="Webhook signing keys, newest first, separated by commas; each still verifies calls",
            secret=True,
            required=True,
        ),
    )

    def __init__(
        self,
        *of_smtp: Any,
        signing_keys: Sequence[str] = (),
        good_for: timedelta = GOOD_FOR,
        **options_of_smtp: Any,
    ) -> None:
        """good_for: how old a signature may be."""
        super().__init__(*of_smtp, **options_of_smtp)
        self._keys, self._good_for = tuple(signing_keys), good_for

    def configure(self, env: Mapping[str, str]) -> None:
        self._keys = self.needed(env, "NOTIFIER_MAILGUN_SIGNING_KEYS")

    def headers_of(self, message: Outgoing) -> Mapping[str, str]:
        """Mailgun hands the variables back with each event. No tracking: it would write over our links."""
        found = {"X-Mailgun-Track": "no"}
        return found | (
            {"X-Mailgun-Variables": f'{{"{ATTEMPT}":"{message.attempt}"}}'} if message.attempt else {}
        )

    def outcome_of(self, ended: Ended, own_id: str) -> Outcome:
        """Its calls name the mail by our Message-ID, whatever its answer to the text says."""
        found = super().outcome_of(ended, own_id)
        return Accepted(provider_id=own_id) if isinstance(found, Accepted) else found

    async def verify(self, request: HookRequest) -> bool:
        """By the MAC of its time and word under one of our keys."""
        if not self._keys or not self.is_called_at(request.url):
            return False
        try:
            signatures = signatures_of(_content_type(request), request.body)
        except BadHook:
            return False
        return is_signed(signatures, self._keys, self._is_fresh)

    def parse(self, request: HookRequest) -> Sequence[Event]:
        return events_of(_content_type(request), request.body)

    def _is_fresh(self, timestamp: str) -> bool:
        at = moment(timestamp) if timestamp.isascii() and timestamp.isdigit() else None
        now = self._now()
        return at is not None and now - self._good_for <= at <= now + CLOCKS_APART


def _content_type(request: HookRequest) -> str:
    return next((value for name, value in request.headers.items() if name.lower() == "content-type"), "")
