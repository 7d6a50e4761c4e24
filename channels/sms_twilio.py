"""Texts through Twilio: the SDK over our own session, signed hooks, and a look-up for what is in doubt.

Twilio has no idempotency key, so a timeout or a 5xx is Unknown; the status callback's address carries the attempt's token.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from aiohttp import encode_basic_auth
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from channels import estimates, senders, twilio_hooks
from channels.base import (
    Accepted,
    Capabilities,
    Content,
    Estimate,
    Event,
    HookReply,
    HookRequest,
    Idempotency,
    Medium,
    Outcome,
    Outgoing,
    Prepared,
    Refusal,
    Refused,
    Throttled,
    Unknown,
    Variable,
    cut,
    filled,
)
from channels.errors import NotConfigured
from channels.http import DEFAULT_WAIT_SECONDS, TROUBLE, NoAnswer, Session, not_asked, outcome_of
from channels.one_medium import OneMedium

# Twilio's error → what it means for us (www.twilio.com/docs/api/errors). Others are refusals of the content.
REFUSALS = {
    21211: Refusal.BAD_ADDRESS,  # not a phone number
    21214: Refusal.BAD_ADDRESS,  # cannot be reached
    21217: Refusal.BAD_ADDRESS,  # does not look like a phone number
    21408: Refusal.NOT_ALLOWED,  # texts to that country are switched off
    21606: Refusal.NOT_ALLOWED,  # the sender's number is not ours
    21608: Refusal.NOT_ALLOWED,  # a trial account
    21610: Refusal.OPTED_OUT,  # answered STOP to this number
    21612: Refusal.NOT_ALLOWED,  # no route from this sender
    21614: Refusal.BAD_ADDRESS,  # not a mobile
    20003: Refusal.NOT_ALLOWED,  # credentials
    20005: Refusal.NOT_ALLOWED,  # account not active
    30002: Refusal.NOT_ALLOWED,  # account suspended
    20404: Refusal.NOT_ALLOWED,  # no such account
    401: Refusal.NOT_ALLOWED,
    403: Refusal.NOT_ALLOWED,
}
TOO_FAST = frozenset({14107, 20429, 429})
_TAKEN = frozenset({"accepted", "scheduled", "queued", "sending", "sent", "delivered", "undelivered", "read"})

API_URL = "https://api.twilio.com"
URGENT_SECONDS = 3600  # an alert that cannot be delivered within the hour is dropped by the network
LOOK_BACK = timedelta(days=1)
CLOCKS_APART = timedelta(minutes=1)
MOST_TEXTS = 200
_LOCAL = ("localhost", "127.0.0.1", "::1")


class _Http(AsyncHttpClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's transport over our session, which has the deadline that the SDK's own ignores."""

    def __init__(self, session: Session) -> None:
        super().__init__(logger=None, is_async=True)
        self._session = session

    async def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Any:
        head = dict(headers or {})
        if auth:
            head["Authorization"] = encode_basic_auth(*auth)
        body = urlencode(data).encode() if data else None  # a third cheaper than aiohttp's own form
        async with self._session.request(
            method.upper(), _with_query(uri, params), data=body, headers=head
        ) as answer:
            return Response(answer.status, await answer.text(errors="replace"), answer.headers)


class SmsTwilio(OneMedium):
    """Sends texts and takes hooks. Reads NOTIFIER_BASE_URL and NOTIFIER_SMS_NUMBERS beside its own variables."""

    name = "sms_twilio"
    medium, called = Medium.SMS, "texts"
    capabilities = Capabilities(
        media=frozenset({Medium.SMS}),
        replies=True,
        receipts=True,
        html=False,
        max_text=1600,
        idempotency=Idempotency.NONE,
        slot_rows=5,
        timeout_seconds=10,
    )
    variables = (
        Variable(name="NOTIFIER_TWILIO_ACCOUNT_SID", meaning="Twilio account", required=True),
        Variable(
            name="NOTIFIER_TWILIO_AUTH_TOKEN",
            meaning="Its auth tokens, newest first, separated by commas; each still verifies hooks",
            secret=True,
            required=True,
        ),
        Variable(
            name="NOTIFIER_TWILIO_API_URL",
            meaning="Where Twilio's interface is, for a drill against a stand-in",
            default=API_URL,
        ),
        Variable(
            name="NOTIFIER_SMS_PENCE",
            meaning="What one part of a text through Twilio costs, in pence",
            default=str(estimates.PENCE["sms_twilio"]),
        ),
    )

    def __init__(
        self,
        account_sid: str,
        auth_tokens: Sequence[str],
        numbers: Sequence[str],
        *,
        base_url: str = "",
        api_url: str = API_URL,
        pence_per_part: float = estimates.PENCE["sms_twilio"],
        timeout_seconds: float = 10,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._account_sid, self._tokens = account_sid, tuple(auth_tokens)
        self.senders = senders.of(*numbers)
        self._base_url, self._pence, self._now = base_url.rstrip("/"), pence_per_part, now
        # Twilio refuses a callback address that only this machine knows; a stand-in on this machine does not.
        is_local = urlsplit(self._base_url).hostname in _LOCAL
        self._takes_callbacks = bool(self._base_url) and not (is_local and api_url == API_URL)
        self._session = Session(api_url, total_seconds=timeout_seconds, connect_seconds=timeout_seconds / 2)
        self._client = Client(account_sid, self._tokens[0], http_client=_Http(self._session))

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        needed = ("NOTIFIER_TWILIO_ACCOUNT_SID", "NOTIFIER_TWILIO_AUTH_TOKEN")
        account, tokens = (re.split(r"[\s,]+", env.get(name, "").strip()) for name in needed)
        for name, values in zip(needed, (account, tokens), strict=True):
            if not values[0]:
                raise NotConfigured(cls.name, name)
        numbers = senders.read(cls.name, "NOTIFIER_SMS_NUMBERS", env.get("NOTIFIER_SMS_NUMBERS", ""))
        return cls(
            account[0],
            tokens,
            [each.address for each in numbers],
            base_url=env.get("NOTIFIER_BASE_URL", ""),
            api_url=env.get("NOTIFIER_TWILIO_API_URL") or API_URL,
            pence_per_part=estimates.pence_from(env, cls.name, "NOTIFIER_SMS_PENCE"),
        )

    async def close(self) -> None:
        await self._session.close()

    def estimate(self, content: Content) -> Estimate:
        return estimates.estimate(content, pence_per_part=self._pence)

    def prepare(self, content: Content) -> Prepared:
        self.require_fit(content)
        return Prepared(medium=content.medium, language=content.language, pieces=cut(content.text))

    async def send(self, message: Outgoing) -> Outcome:
        copy = filled(message)
        if isinstance(copy, Refused):
            return copy
        options: dict[str, Any] = {}
        if self._takes_callbacks:
            options["status_callback"] = (
                f"{self._base_url}/hooks/{self.name}?attempt={quote(message.attempt)}"
            )
        if message.urgent:
            options["validity_period"] = URGENT_SECONDS
        try:
            taken = await self._client.messages.create_async(
                to=message.to, from_=self._sender(message), body=copy.decode(), **options
            )
        except TwilioException as error:
            return _refused(error)
        except TROUBLE as trouble:
            return outcome_of(trouble)
        except (ValueError, KeyError, TypeError, AttributeError):
            return Unknown(reason="an answer that cannot be read")
        if not taken.sid:
            return Unknown(reason="an answer that names no text")
        return Accepted(provider_id=str(taken.sid))

    async def look_up(
        self, message: Outgoing, *, since: datetime | None = None, claimed: Collection[str] = ()
    ) -> Outcome:
        """Evidence is a text of ours to that number with the same words from the same sender, made since then.

        The oldest that no other delivery claims; Twilio tells whole seconds, and its clock need not be ours.
        """
        copy = filled(message)
        if isinstance(copy, Refused):
            return copy
        earliest = (since or self._now() - LOOK_BACK) - CLOCKS_APART
        try:
            texts = await self._client.messages.list_async(
                to=message.to,
                from_=self._sender(message),
                date_sent_after=earliest - LOOK_BACK,  # Twilio compares whole days
                limit=MOST_TEXTS,
                page_size=MOST_TEXTS,
            )
            words = copy.decode()
            taken = [
                (text.date_created, str(text.sid))
                for text in texts
                if text.body == words and str(text.status) in _TAKEN and text.date_created >= earliest
            ]
        except (TwilioException, *TROUBLE, ValueError, KeyError, TypeError, AttributeError) as error:
            return not_asked(error)
        open_ones = [each for each in reversed(taken) if each[1] not in claimed]  # the list is newest first
        mine = min(open_ones, key=itemgetter(0), default=None)
        return Accepted(provider_id=mine[1]) if mine else Unknown(reason="Twilio lists no such text")

    # --- Hooks ----------------------------------------------------------------------------

    async def verify(self, request: HookRequest) -> bool:
        """By X-Twilio-Signature over the configured public address; anything doubtful is no."""
        fields = twilio_hooks.fields_of(request.body)
        signature = next((v for k, v in request.headers.items() if k.lower() == "x-twilio-signature"), "")
        if fields is None or not signature or not self._base_url:
            return False
        public = urlsplit(self._base_url)
        url = urlunsplit(
            urlsplit(request.url)._replace(scheme=public.scheme, netloc=public.netloc, fragment="")
        )
        signed = twilio_hooks.is_signed(url, fields, signature, self._tokens)
        return signed and twilio_hooks.is_whole(fields, self._account_sid)

    def parse(self, request: HookRequest) -> Sequence[Event]:
        return twilio_hooks.events_of(request)

    def answer(self) -> HookReply:
        body = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
        return HookReply(status=200, content_type="text/xml", body=body)

    # --- Helpers --------------------------------------------------------------------------

    def _sender(self, message: Outgoing) -> str:
        return message.sender or self.senders[0].address


def _refused(error: TwilioException) -> Outcome:
    """What an error the SDK understood means."""
    if not isinstance(error, (TwilioRestException, TwilioServiceException)):
        return Unknown(reason="an answer that cannot be read")
    code, status = int(error.code or 0), int(error.status or 0)
    if code in TOO_FAST or status == 429:
        return Throttled(after_seconds=DEFAULT_WAIT_SECONDS, code=str(code))
    if status >= 500:
        return outcome_of(NoAnswer(status))
    if status < 400:
        return Unknown(reason="an answer that cannot be read")
    why = REFUSALS.get(code) or (Refusal.NOT_ALLOWED if status in (401, 403) else Refusal.CONTENT)
    return Refused(why=why, reason=f"Twilio error {code}", code=str(code))


def _with_query(uri: str, params: Mapping[str, Any] | None) -> str:
    if not params:
        return uri
    query = "&".join(f"{quote(str(name))}={quote(str(value), safe='')}" for name, value in params.items())
    return f"{uri}{'&' if '?' in uri else '?'}{query}"
