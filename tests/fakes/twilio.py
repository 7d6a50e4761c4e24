"""A stand-in for Twilio's Messages interface: accepts, refuses, is slow, calls back and passes texts on, all signed."""

import asyncio
import base64
import binascii
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from aiohttp import web
from twilio.request_validator import RequestValidator

from tests.fakes.ledger import Ledger
from tests.fakes.web import Answer, Called, FakeWeb, Trouble, trouble

ACCOUNT_SID = "AC" + "0" * 32
AUTH_TOKEN = "fake-auth-token"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24


def error(code: int, status: int = 400, **headers: str) -> Answer:
    """An error as Twilio words it."""
    body = {"code": code, "message": f"error {code}", "more_info": "", "status": status}
    return Answer(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def throttled(seconds: int) -> Answer:
    return error(20429, 429, Retry_After=str(seconds))


REVOKED = error(20003, 401)
SUSPENDED = error(30002, 403)
NO_CREDIT = error(20005, 403)


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How the stand-in tells what became of a text: which words, in which order, how often each, how late.

    first: before the text's own answer, so that we cannot have settled. held: not until `tell_held`.
    """

    words: Sequence[str] = ("sent", "delivered")
    times: int = 1
    after_seconds: float = 0.0
    first: bool = False
    held: bool = False


@dataclass(frozen=True, kw_only=True)
class AcceptedText:
    """One text that was taken."""

    sid: str
    to: str
    sender: str
    body: str
    callback: str
    validity_seconds: int | None
    status: str
    at: datetime
    is_smart: bool = False


@dataclass(frozen=True, kw_only=True)
class ReceivedText:
    """One text that a resident sent to a number of ours. media: ids of its pictures."""

    sid: str
    to: str
    sender: str
    body: str
    at: datetime
    media: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What the store answers for one picture. location: it sends on to there first; empty: to its own store."""

    data: bytes = PNG
    kind: str = "image/png"
    location: str = ""
    status: int = 200


class FakeTwilio(FakeWeb):
    """`async with FakeTwilio() as twilio:`; scripts go by the number texted, "list" for the list, "media" for pictures.

    calls_back: after accepting, whatever the answer, tell the callback address what `telling` says. hooks_url: origin
    to which calls are really made, where the public address in their signature is not reachable from here.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        account_sid: str = ACCOUNT_SID,
        auth_token: str = AUTH_TOKEN,
        log: Path | None = None,
        calls_back: bool = False,
        hooks_url: str = "",
    ) -> None:
        super().__init__(host=host, port=port)
        self.account_sid, self.auth_token = account_sid, auth_token
        self.accepted: Ledger[AcceptedText] = Ledger(log)
        self.telling = Telling()
        self.answers: Counter[int] = Counter()  # what our hooks said to the calls about texts
        self.received: list[ReceivedText] = []
        self.pictures: dict[str, Picture] = {}
        self.stored: list[tuple[str, bool]] = []  # what was asked of the store, and whether with a password
        self._held: list[AcceptedText] = []
        self._calls_back, self._hooks_url = calls_back, hooks_url
        self._calls: set[asyncio.Task[list[int]]] = set()

    @property
    def sends(self) -> list[Called]:
        """The calls that wanted a text sent, answered or not."""
        return [call for call in self.calls if call.key not in ("list", "media")]

    def routes(self) -> list[web.RouteDef]:
        texts = "/2010-04-01/Accounts/{account}/Messages.json"
        return [
            web.post(texts, self._take),
            web.get(texts, self._list),
            web.get(f"{texts.removesuffix('.json')}/{{sid}}/Media.json", self._list_media),
            web.get(f"{texts.removesuffix('.json')}/{{sid}}/Media/{{media}}", self._media),
            web.get("/store/{media}", self._store),
            web.post("/control/incoming", self._control_incoming),
        ]

    async def stop(self) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await super().stop()

    # --- The interface --------------------------------------------------------------------

    async def _take(self, request: web.Request) -> web.StreamResponse:
        if not self._may(request):
            return _reply(error(20003, 401))
        form = {name: str(value) for name, value in (await request.post()).items()}
        to = form.get("To", "")
        answer = self.scripted(to, "send")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer in (Trouble.HANG, Trouble.FAIL_AS_HTML):
            return await trouble(answer, request)
        if not to.startswith("+"):
            return _reply(error(21211))
        if not form.get("Body"):
            return _reply(error(21602))
        text = self._keep(form)
        if self._calls_back and text.callback:
            await self._begin_telling(text)
        if answer is not None:
            return await trouble(answer, request)
        return web.json_response(self._row(text), status=201)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if not self._may(request):
            return _reply(error(20003, 401))
        answer = self.scripted("list")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer is not None:
            return await trouble(answer, request)
        query = request.query
        first, last = query.get("DateSent>", ""), query.get("DateSent<", "9")
        size, page = int(query.get("PageSize", 50)), int(query.get("Page", 0))
        found = [
            text
            for text in sorted((*self.accepted, *self.received), key=lambda text: text.at, reverse=True)
            if query.get("To") in (None, text.to)
            and query.get("From") in (None, text.sender)
            # What waits to be sent has no day yet; others are compared by the whole day, in GMT.
            and (
                not first
                or (_is_sent(text) and first[:10] <= text.at.astimezone(UTC).date().isoformat() <= last[:10])
            )
        ]
        rows = [self._row(text) for text in found[page * size : (page + 1) * size]]
        following = str(request.rel_url.update_query({"Page": str(page + 1)}))
        return web.json_response(
            {
                "messages": rows, "page": page, "page_size": size, "uri": request.path_qs, "start": page * size,
                "end": page * size + len(rows) - 1, "first_page_uri": request.path, "previous_page_uri": None,
                "next_page_uri": following if len(found) > (page + 1) * size else None,
            }
        )  # fmt: skip

    # --- Pictures -------------------------------------------------------------------------

    async def _list_media(self, request: web.Request) -> web.StreamResponse:
        if not self._may(request):
            return _reply(error(20003, 401))
        sid = request.match_info["sid"]
        found = next((text.media for text in self.received if text.sid == sid), ())
        rows = [
            {
                "sid": each,
                "parent_sid": sid,
                "account_sid": self.account_sid,
                "content_type": self.pictures[each].kind,
            }
            for each in found
        ]
        return web.json_response({"media_list": rows, "next_page_uri": None, "uri": request.path})

    async def _media(self, request: web.Request) -> web.StreamResponse:
        """The picture itself is not here: whoever has the password is sent on to where it is stored."""
        answer = self.scripted("media")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer is not None:
            return await trouble(answer, request)
        if not self._may(request):
            return _reply(error(20003, 401))
        picture = self.pictures.get(request.match_info["media"])
        if picture is None:
            return _reply(error(20404, 404))
        location = picture.location or f"{self.url}/store/{request.match_info['media']}"
        return web.Response(status=307, headers={"Location": location})

    async def _store(self, request: web.Request) -> web.StreamResponse:
        self.stored.append((request.path, "Authorization" in request.headers))
        picture = self.pictures[request.match_info["media"]]
        return web.Response(status=picture.status, body=picture.data, content_type=picture.kind)

    def _may(self, request: web.Request) -> bool:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            pair = base64.b64decode(given, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        return kind == "Basic" and pair == f"{self.account_sid}:{self.auth_token}"

    def _keep(self, form: Mapping[str, str]) -> AcceptedText:
        text = AcceptedText(
            sid=f"SM{secrets.token_hex(16)}",
            to=form["To"],
            sender=form.get("From", ""),
            body=form["Body"],
            callback=form.get("StatusCallback", ""),
            is_smart=form.get("SmartEncoded", "") not in ("", "False", "false"),
            validity_seconds=int(form["ValidityPeriod"]) if "ValidityPeriod" in form else None,
            status="queued",
            at=datetime.now(UTC),
        )
        self.accepted.add(text, {"sid": text.sid, "to": text.to, "from": text.sender, "body": text.body})
        return text

    def keep_incoming(
        self, *, sender: str, to: str, body: str, at: datetime | None = None, pictures: Sequence[Picture] = ()
    ) -> ReceivedText:
        """A resident texts us, and nobody is told: it stands in the list."""
        media = tuple(f"ME{secrets.token_hex(16)}" for _ in pictures)
        self.pictures |= dict(zip(media, pictures, strict=True))
        kind = "MM" if media else "SM"
        text = ReceivedText(
            sid=f"{kind}{secrets.token_hex(16)}",
            to=to,
            sender=sender,
            body=body,
            at=at or datetime.now(UTC),
            media=media,
        )
        self.received.append(text)
        return text

    def media_urls(self, text: ReceivedText) -> tuple[str, ...]:
        """As the hook names them: always at Twilio's own host."""
        path = f"/2010-04-01/Accounts/{self.account_sid}/Messages/{text.sid}/Media"
        return tuple(f"https://api.twilio.com{path}/{each}" for each in text.media)

    def _row(self, text: AcceptedText | ReceivedText) -> dict[str, Any]:
        when = format_datetime(text.at)
        inbound = text if isinstance(text, ReceivedText) else None
        return {
            "sid": text.sid, "account_sid": self.account_sid, "to": text.to, "from": text.sender, "body": text.body,
            "status": "received" if isinstance(text, ReceivedText) else text.status, "date_created": when, "date_updated": when,
            "date_sent": when if _is_sent(text) else None,
            "direction": "inbound" if inbound else "outbound-api",
            "num_segments": "1", "num_media": str(len(inbound.media)) if inbound else "0", "error_code": None,
            "error_message": None, "price": None,
            "price_unit": "GBP", "api_version": "2010-04-01", "messaging_service_sid": None, "subresource_uris": {},
            "uri": f"/2010-04-01/Accounts/{self.account_sid}/Messages/{text.sid}.json",
        }  # fmt: skip

    # --- Calls to us ----------------------------------------------------------------------

    def signed(self, url: str, fields: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a call to `url`, as Twilio would make it."""
        signature = RequestValidator(self.auth_token).compute_signature(url, dict(fields))
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
        return urlencode(fields).encode(), headers

    def status_fields(self, text: AcceptedText, status: str, code: str = "") -> dict[str, str]:
        fields = {
            "AccountSid": self.account_sid, "ApiVersion": "2010-04-01", "From": text.sender, "To": text.to,
            "MessageSid": text.sid, "SmsSid": text.sid, "MessageStatus": status, "SmsStatus": status,
        }  # fmt: skip
        return fields | ({"ErrorCode": code} if code else {})

    def hook_fields(self, text: ReceivedText) -> dict[str, str]:
        """What the hook tells of a text that was received."""
        fields = self.incoming_fields(sender=text.sender, to=text.to, body=text.body, sid=text.sid)
        for number, (url, sid) in enumerate(zip(self.media_urls(text), text.media, strict=True)):
            fields |= {f"MediaUrl{number}": url, f"MediaContentType{number}": self.pictures[sid].kind}
        return fields | {"NumMedia": str(len(text.media))}

    def incoming_fields(self, *, sender: str, to: str, body: str, sid: str = "") -> dict[str, str]:
        sid = sid or f"SM{secrets.token_hex(16)}"
        return {
            "AccountSid": self.account_sid, "ApiVersion": "2010-04-01", "Body": body, "From": sender, "To": to,
            "MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "SmsStatus": "received", "NumMedia": "0",
            "NumSegments": "1",
        }  # fmt: skip

    async def post_status(self, text: AcceptedText, status: str, code: str = "") -> int:
        """Tell the text's callback address what became of it; the status that came back."""
        return await self.tell(text.callback, self.status_fields(replace(text, status=status), status, code))

    async def post_incoming(self, url: str, *, sender: str, to: str, body: str, sid: str = "") -> int:
        """Pass a resident's text on to a hook; the status that came back."""
        return await self.tell(url, self.incoming_fields(sender=sender, to=to, body=body, sid=sid))

    async def tell(self, url: str, fields: Mapping[str, str]) -> int:
        """Make a signed call; the status that came back."""
        body, headers = self.signed(url, fields)
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.post(self._reachable(url), data=body, headers=headers) as reply,
        ):
            return reply.status

    def _reachable(self, url: str) -> str:
        if not self._hooks_url:
            return url
        real = urlsplit(self._hooks_url)
        return urlunsplit(urlsplit(url)._replace(scheme=real.scheme, netloc=real.netloc))

    async def tell_held(self) -> list[int]:
        """Tell everything that was held back; what came back for each call."""
        held, self._held = self._held, []
        return [status for text in held for status in await self._call_back(text)]

    async def _begin_telling(self, text: AcceptedText) -> None:
        if self.telling.held:
            self._held.append(text)
        elif self.telling.first:
            await self._call_back(text)
        else:
            call = asyncio.create_task(self._call_back(text))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call_back(self, text: AcceptedText) -> list[int]:
        telling = self.telling
        if telling.after_seconds:
            await asyncio.sleep(telling.after_seconds)
        statuses = []
        for word in telling.words:
            for _ in range(telling.times):
                try:
                    statuses.append(await self.post_status(text, word))
                except (aiohttp.ClientError, TimeoutError, OSError):
                    return statuses
                self.answers[statuses[-1]] += 1
        return statuses

    async def _control_incoming(self, request: web.Request) -> web.Response:
        """`{"url", "from", "to", "body"}`: pass that text on, for checks in another process."""
        asked = await request.json()
        status = await self.post_incoming(
            asked["url"], sender=asked["from"], to=asked["to"], body=asked["body"]
        )
        return web.json_response({"status": status})


def _is_sent(text: AcceptedText | ReceivedText) -> bool:
    return isinstance(text, ReceivedText) or text.status not in ("accepted", "scheduled", "queued")


def _reply(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
