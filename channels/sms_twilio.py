"""Texts through Twilio: the SDK over our own session, signed hooks, and a look-up for what is in doubt.

Twilio has no idempotency key, so a timeout or a 5xx is Unknown; the status callback's address carries the attempt's token.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from aiohttp import encode_basic_auth
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from channels import estimates, senders, twilio_codes, twilio_hooks, twilio_media, twilio_polls
from channels.base import (
    Accepted,
    Capabilities,
    Content,
    Estimate,
    Event,
    HookReply,
    HookRequest,
    Idempotency,
    Media,
    MediaRefused,
    Medium,
    Outcome,
    Outgoing,
    Prepared,
    Refused,
    Throttled,
    Unknown,
    Variable,
    cut,
    filled,
)
from channels.errors import CannotPoll, NotConfigured
from channels.http import (
    DEFAULT_WAIT_SECONDS,
    TROUBLE,
    NoAnswer,
    Session,
    TooFast,
    TooLarge,
    not_asked,
    outcome_of,
)
from channels.one_medium import OneMedium
from channels.twilio_log import ListedText, NotListed, TextLog

# Twilio's words for errors → ours: `twilio_codes`.
_TAKEN = frozenset({"accepted", "scheduled", "queued", "sending", "sent", "delivered", "undelivered", "read"})
API_URL = "https://api.twilio.com"
URGENT_SECONDS = 3600  # an alert that cannot be delivered within the hour is dropped by the network
LONGEST_SECONDS = 36_000  # Twilio's own ValidityPeriod, where none is given
LOOK_BACK = timedelta(days=1)
CLOCKS_APART = timedelta(minutes=1)
OVERLAP = timedelta(minutes=10)  # a text is listed some time after it came, and not always in order
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
        max_text=1530,
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
        self._api_url = api_url
        self._session = Session(api_url, total_seconds=timeout_seconds, connect_seconds=timeout_seconds / 2)
        self._client = Client(account_sid, self._tokens[0], http_client=_Http(self._session))
        self._log = TextLog(self._session, account_sid, self._tokens[0])

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
        options: dict[str, Any] = {"smart_encoded": False}  # what was counted is what is sent
        if self._takes_callbacks:
            options["status_callback"] = (
                f"{self._base_url}/hooks/{self.name}?attempt={quote(message.attempt)}"
            )
        if seconds := _validity_seconds(message):
            options["validity_period"] = seconds
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
        words, earliest = copy.decode(), (since or self._now() - LOOK_BACK) - CLOCKS_APART
        taken: list[tuple[datetime, str]] = []
        try:
            # No day is named: what waits at Twilio has not been sent on any.
            async for text in self._log.texts(to=message.to, sender=self._sender(message)):
                if text.at < earliest - LOOK_BACK:
                    break
                if text.body == words and text.status in _TAKEN and text.at >= earliest:
                    taken.append((text.at, text.sid))
        except (NotListed, *TROUBLE) as error:
            return not_asked(error)
        open_ones = [each for each in reversed(taken) if each[1] not in claimed]  # the list is newest first
        mine = min(open_ones, key=itemgetter(0), default=None)
        return Accepted(provider_id=mine[1]) if mine else Unknown(reason="Twilio lists no such text")

    # --- What came while nobody heard -------------------------------------------------------

    async def poll(self, cursor: str) -> tuple[Sequence[Event], str]:
        """Texts that came to our numbers since the cursor, each as its hook would have told it.

        The cursor is the time of the newest text, and the ends of the ids that were told of the minutes before it: those
        minutes are read again, for Twilio may list a text late. At first a day is read; after a longer silence one day
        at a time, so that no call takes long.
        """
        now = self._now()
        mark = twilio_polls.read_mark(cursor, first=now - LOOK_BACK)
        since, until = mark.at - OVERLAP, mark.at + LOOK_BACK if mark.at + LOOK_BACK < now else None
        events: list[Event] = []
        found: list[ListedText] = []
        try:
            for number in (each.address for each in self.senders if each.takes_replies):
                async for text in self._log.texts(to=number, since=since, until=until):
                    if text.at < since - LOOK_BACK:
                        break
                    if text.direction == "inbound" and since <= text.at < (
                        until or datetime.max.replace(tzinfo=UTC)
                    ):
                        found.append(text)
            found.reverse()  # each list is newest first, and some came within one second
            found.sort(key=attrgetter("at"))
            for text in found:
                if not mark.was_told(text):
                    pictures = await self._log.pictures(text.sid) if text.pictures else ()
                    events.append(twilio_polls.event_of(text, self._account_sid, pictures))
        except (NotListed, *TROUBLE) as error:
            raise CannotPoll(not_asked(error).after_seconds) from error
        return events, twilio_polls.mark_after(mark, found, OVERLAP, until=until)

    async def fetch(self, url: str) -> Media | MediaRefused:
        """A picture of this account, from Twilio's interface and from wherever Twilio keeps it: nowhere else."""
        path = twilio_media.path_of(url, self._account_sid, self._api_url)
        if path is None:
            return MediaRefused(reason="that is no address of Twilio's for a picture of ours")
        stand_in = "" if self._api_url == API_URL else self._api_url
        try:
            answer = await self._session.download(
                path, most_bytes=twilio_media.MOST_BYTES, headers=self._log.headers
            )
            for _ in range(twilio_media.MOST_HOPS):
                if answer.status not in (301, 302, 303, 307, 308):
                    break
                if not twilio_media.is_store(answer.location, stand_in):
                    return MediaRefused(reason="Twilio sends on to a host that we do not know")
                answer = await self._session.download(
                    answer.location, most_bytes=twilio_media.MOST_BYTES, elsewhere=True
                )
        except TooLarge:
            return MediaRefused(reason="the picture is larger than 5 MB")
        except TooFast as trouble:
            return MediaRefused(
                reason="Twilio asks us to wait", again=True, after_seconds=trouble.after_seconds
            )
        except (*TROUBLE, ValueError):
            return MediaRefused(reason="the picture could not be fetched", again=True)
        if answer.status in (401, 403):
            return MediaRefused(reason=f"turned away with {answer.status}", again=True, after_seconds=900)
        if answer.status != 200:
            return MediaRefused(reason=f"Twilio has no such picture ({answer.status})")
        kind = twilio_media.kind_of(answer.kind, answer.data)
        return (
            Media(content_type=kind, data=answer.data) if kind else MediaRefused(reason="that is no picture")
        )

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
    if status == 429:
        return Throttled(after_seconds=DEFAULT_WAIT_SECONDS, code=str(code))
    if status >= 500:
        return outcome_of(NoAnswer(status))
    if status < 400:
        return Unknown(reason="an answer that cannot be read")
    return twilio_codes.outcome(code, status, wait_seconds=DEFAULT_WAIT_SECONDS)


def _validity_seconds(message: Outgoing) -> int | None:
    """After how long the network may drop it: an alert after its hour, others once their words are worth nothing."""
    good_for = message.good_for_seconds
    longest = URGENT_SECONDS if message.urgent else LONGEST_SECONDS
    if good_for is None:
        return URGENT_SECONDS if message.urgent else None
    seconds = int(min(max(good_for, 1.0), longest))
    return None if seconds == LONGEST_SECONDS else seconds


def _with_query(uri: str, params: Mapping[str, Any] | None) -> str:
    if not params:
        return uri
    query = "&".join(f"{quote(str(name))}={quote(str(value), safe='')}" for name, value in params.items())
    return f"{uri}{'&' if '?' in uri else '?'}{query}"
