"""A stand-in for a Bluesky server: sessions that run out, records by key, notifications newest first.

A key that is taken is answered with a 500, as the server of the reference does.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakes.ledger import Ledger
from tests.fakes.web import Answer, FakeWeb, Trouble, trouble

HANDLE, PASSWORD, DID = "southmere.example", "abcd-efgh-ijkl-mnop", "did:plc:abcdefghijklmnopqrstuvwx"
POSTS = "app.bsky.feed.post"


def problem(status: int, error: str, message: str = "no") -> Answer:
    return Answer(status=status, body={"error": error, "message": message})


def throttled(seconds: int) -> Answer:
    headers = {
        "ratelimit-limit": "5000",
        "ratelimit-remaining": "0",
        "ratelimit-reset": str(int(time.time()) + seconds),
    }
    return Answer(status=429, body={"error": "RateLimitExceeded"}, headers=headers)


EXPIRED = problem(400, "ExpiredToken", "Token has expired")
WRONG_PASSWORD = problem(401, "AuthenticationRequired", "Invalid identifier or password")
TAKEN_DOWN = problem(400, "AccountTakedown", "Account has been taken down")
NOT_A_RECORD = problem(400, "InvalidRequest", "Invalid app.bsky.feed.post record")


@dataclass(frozen=True, kw_only=True)
class AcceptedPost:
    """One record that was made."""

    uri: str
    record: dict[str, Any]

    @property
    def text(self) -> str:
        return str(self.record["text"])


class FakeBluesky(FakeWeb):
    """`async with FakeBluesky() as server:`. accounts: handle → (password, DID)."""

    def __init__(
        self,
        accounts: dict[str, tuple[str, str]] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        log: Path | None = None,
    ) -> None:
        super().__init__(host=host, port=port)
        self.accounts = accounts or {HANDLE: (PASSWORD, DID)}
        self.accepted: Ledger[AcceptedPost] = Ledger(log)
        self.logins = self.refreshes = 0
        self._live: dict[str, str] = {}  # token → DID
        self._told: list[dict[str, Any]] = []

    def expire(self) -> None:
        """Every access token has run out; what renews them has not."""
        self._live = {token: did for token, did in self._live.items() if token.startswith("refresh")}

    def forget(self) -> None:
        """No token of any kind is known any more."""
        self._live.clear()

    def mention(
        self, text: str, *, sender: str = "joe.example", root: str = "", at: datetime | None = None
    ) -> str:
        """Somebody names an account, or answers in the thread that begins with `root`; the address of it."""
        uri = f"at://did:plc:stranger/{POSTS}/{len(self._told):04}"
        record: dict[str, Any] = {"$type": POSTS, "text": text}
        if root:
            record["reply"] = {"root": {"uri": root, "cid": "c"}, "parent": {"uri": root, "cid": "c"}}
        when = (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._told.append(
            {
                "uri": uri,
                "cid": "c",
                "author": {"did": "did:plc:stranger", "handle": sender},
                "reason": "reply" if root else "mention",
                "record": record,
                "indexedAt": when,
                "isRead": False,
            }
        )
        return uri

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/xrpc/com.atproto.server.createSession", self._log_in),
            web.post("/xrpc/com.atproto.server.refreshSession", self._refresh),
            web.post("/xrpc/com.atproto.repo.createRecord", self._create),
            web.get("/xrpc/com.atproto.repo.getRecord", self._record),
            web.get("/xrpc/app.bsky.notification.listNotifications", self._notifications),
        ]

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        answer = self.scripted("login")
        if isinstance(answer, Answer):
            return _reply(answer)
        sent = await request.json()
        password, did = self.accounts.get(str(sent["identifier"]), ("", ""))
        if not password or sent["password"] != password:
            return _reply(WRONG_PASSWORD)
        self.logins += 1
        return self._session(did)

    async def _refresh(self, request: web.Request) -> web.StreamResponse:
        token = _token(request)
        did = self._live.pop(token, None) if token.startswith("refresh") else None
        if did is None:
            return _reply(EXPIRED)
        self.refreshes += 1
        return self._session(did)

    def _session(self, did: str) -> web.Response:
        number = self.logins + self.refreshes
        access, refresh = f"access-{number}-{did}", f"refresh-{number}-{did}"
        self._live |= {access: did, refresh: did}
        return web.json_response({"did": did, "accessJwt": access, "refreshJwt": refresh, "handle": "x"})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        did = self._live.get(_token(request))
        if did is None:
            return _reply(EXPIRED)
        sent = await request.json()
        answer = self.scripted("send")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer in (Trouble.HANG, Trouble.FAIL_AS_HTML):
            return await trouble(answer, request)
        if sent["repo"] != did or sent["collection"] != POSTS:
            return _reply(problem(400, "InvalidRequest"))
        uri = f"at://{did}/{POSTS}/{sent['rkey']}"
        if self._find(uri):
            return web.json_response({"error": "InternalServerError"}, status=500)
        post = AcceptedPost(uri=uri, record=sent["record"])
        self.accepted.add(post, {"uri": uri, "text": post.text})
        if answer is not None:
            return await trouble(answer, request)
        return web.json_response({"uri": uri, "cid": "c"})

    async def _record(self, request: web.Request) -> web.StreamResponse:
        answer = self.scripted("record")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer is not None:
            return await trouble(answer, request)
        query = request.query
        post = self._find(f"at://{query['repo']}/{query['collection']}/{query['rkey']}")
        if post is None:
            return _reply(problem(400, "RecordNotFound", "Could not locate record"))
        return web.json_response({"uri": post.uri, "cid": "c", "value": post.record})

    async def _notifications(self, request: web.Request) -> web.StreamResponse:
        answer = self.scripted("notifications")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer is not None:
            return await trouble(answer, request)
        if _token(request) not in self._live:
            return _reply(EXPIRED)
        at, limit = int(request.query.get("cursor", 0)), int(request.query["limit"])
        newest = sorted(self._told, key=lambda each: str(each["indexedAt"]))[::-1]
        body: dict[str, Any] = {"notifications": newest[at : at + limit]}
        if len(newest) > at + limit:
            body["cursor"] = str(at + limit)
        return web.json_response(body)

    def _find(self, uri: str) -> AcceptedPost | None:
        return next((post for post in self.accepted if post.uri == uri), None)


def _token(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _reply(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
