"""Mail through Postmark's SMTP end; what becomes of it, and mail for us, comes by calls that carry a password.

Postmark signs nothing: user and password stand in the address it is given, and come back as HTTP Basic credentials. It
names a mail by an id of its own, so the attempt is told by metadata. Sources: Postmark's developer pages, "Sending with
SMTP", "Custom metadata", "Message streams", "Webhooks overview" (securing them).
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

from channels.base import Event, HookRequest, Outgoing, Variable
from channels.email_provider import EmailProvider, smtp_variables
from channels.errors import NotConfigured
from channels.postmark_events import ATTEMPT, events_of

SHORTEST_PASSWORD = 16
_STREAM = re.compile(r"[a-z0-9][a-z0-9_-]{0,29}")


class EmailPostmark(EmailProvider):
    """Sends through Postmark and takes its calls. Without credentials it is called by nobody."""

    name = "email_postmark"
    prefix = "NOTIFIER_POSTMARK_"
    variables = (
        *smtp_variables(prefix),
        Variable(
            name="NOTIFIER_POSTMARK_HOOK_CREDENTIALS",
            meaning="user:password that Postmark calls us with, newest first, separated by commas; "
            f"the password of at least {SHORTEST_PASSWORD} characters",
            secret=True,
            required=True,
        ),
        Variable(
            name="NOTIFIER_POSTMARK_STREAM",
            meaning="Message stream of mail to one person; default: that of the SMTP token",
        ),
        Variable(
            name="NOTIFIER_POSTMARK_BROADCAST_STREAM",
            meaning="Message stream of mail to many; default: that of mail to one person",
        ),
    )

    def __init__(
        self,
        *of_smtp: Any,
        credentials: Sequence[str] = (),
        stream: str = "",
        broadcast_stream: str = "",
        **options_of_smtp: Any,
    ) -> None:
        """credentials: `user:password`."""
        super().__init__(*of_smtp, **options_of_smtp)
        self._credentials = tuple(credentials)
        self._stream, self._broadcast_stream = stream, broadcast_stream or stream

    def configure(self, env: Mapping[str, str]) -> None:
        name = "NOTIFIER_POSTMARK_HOOK_CREDENTIALS"
        self._credentials = self.needed(env, name)
        for each in self._credentials:
            user, _, password = each.partition(":")
            if not user or len(password) < SHORTEST_PASSWORD:
                why = f"must be user:password, the password of at least {SHORTEST_PASSWORD} characters"
                raise NotConfigured(self.name, name, why)
        names = ("NOTIFIER_POSTMARK_STREAM", "NOTIFIER_POSTMARK_BROADCAST_STREAM")
        for each in names:
            if env.get(each) and not _STREAM.fullmatch(env[each]):
                raise NotConfigured(self.name, each, "is not a message stream's id")
        self._stream = env.get(names[0], "")
        self._broadcast_stream = env.get(names[1], "") or self._stream

    def headers_of(self, message: Outgoing) -> Mapping[str, str]:
        """Postmark takes them out, hands the metadata back with each event, and keeps our Message-ID and our links."""
        found = {"X-PM-KeepID": "true", "X-PM-TrackOpens": "false", "X-PM-TrackLinks": "None"}
        if message.attempt:
            found[f"X-PM-Metadata-{ATTEMPT}"] = message.attempt
        stream = self._broadcast_stream if "List-Unsubscribe" in message.headers else self._stream
        return found | ({"X-PM-Message-Stream": stream} if stream else {})

    async def verify(self, request: HookRequest) -> bool:
        """By the password in its Authorization header. Constant time in every pair of ours."""
        given = _credentials(request) if self.is_called_at(request.url) else b""
        good = [hmac.compare_digest(each.encode(), given) for each in self._credentials]
        return any(good)

    def parse(self, request: HookRequest) -> Sequence[Event]:
        return events_of(request.body)


def _credentials(request: HookRequest) -> bytes:
    """`user:password` as it came; nothing where it is not Basic, or base64 in another spelling than its one."""
    header = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
    kind, _, given = header.partition(" ")
    try:
        found = base64.b64decode(given, validate=True) if kind.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""
    return found if base64.b64encode(found).decode() == given else b""
