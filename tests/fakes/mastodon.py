"""A stand-in for a Mastodon server: takes posts, knows a key again, shows statuses and mentions as HTML."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path

from aiohttp import web

from tests.fakes.ledger import Ledger
from tests.fakes.web import Answer, FakeWeb, Trouble, trouble

TOKEN, ACCOUNT = "token", "@southmere@police.example"


def problem(status: int, error: str = "no") -> Answer:
    return Answer(status=status, body={"error": error})


def throttled(seconds: int) -> Answer:
    reset = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    headers = {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    return Answer(status=429, body={"error": "Too many requests"}, headers=headers)


UNAUTHORISED = problem(401, "The access token is invalid")
SUSPENDED = problem(403, "Your login is currently disabled")
TOO_LONG = problem(422, "Validation failed: Text character limit of 500 exceeded")


@dataclass(frozen=True, kw_only=True)
class AcceptedPost:
    """One post that was taken."""

    id: str
    text: str
    language: str
    account: str
    key: str
    at: datetime


class FakeMastodon(FakeWeb):
    """`async with FakeMastodon() as server:`. accounts: token → account. Keys are known until `forget_keys`."""

    def __init__(
        self,
        accounts: dict[str, str] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        log: Path | None = None,
    ) -> None:
        super().__init__(host=host, port=port)
        self.accounts = accounts or {TOKEN: ACCOUNT}
        self.accepted: Ledger[AcceptedPost] = Ledger(log)
        self._keys: dict[str, AcceptedPost] = {}
        self._told: list[dict[str, object]] = []

    def forget_keys(self) -> None:
        """An hour is over."""
        self._keys.clear()

    def mention(
        self,
        text: str,
        *,
        sender: str = "joe@elsewhere.example",
        answers: str = "",
        at: datetime | None = None,
        warning: str = "",
    ) -> str:
        """Somebody names the account; the id of what they wrote."""
        number, when = len(self._told) + 1, (at or datetime.now(UTC)).isoformat()
        status = {
            "id": str(9000 + number),
            "created_at": when,
            "in_reply_to_id": answers or None,
            "spoiler_text": warning,
            "visibility": "public",
            "content": f'<p><span class="h-card"><a href="https://police.example/@southmere">@<span>southmere</span></a></span> {escape(text)}</p>',
            "account": {"id": "77", "acct": sender},
        }
        self._told.append(
            {
                "id": str(number),
                "type": "mention",
                "created_at": when,
                "account": {"id": "77", "acct": sender},
                "status": status,
            }
        )
        return str(status["id"])

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/statuses", self._take),
            web.get("/api/v1/accounts/verify_credentials", self._me),
            web.get("/api/v1/accounts/{id}/statuses", self._statuses),
            web.get("/api/v1/notifications", self._notifications),
        ]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        account = self._account(request)
        if account is None:
            return _reply(UNAUTHORISED)
        sent = await request.json()
        answer = self.scripted("send")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer in (Trouble.HANG, Trouble.FAIL_AS_HTML):
            return await trouble(answer, request)
        key = request.headers.get("Idempotency-Key", "")
        post = self._keys.get(f"{account} {key}")
        if post is None:
            post = AcceptedPost(
                id=str(1000 + len(self.accepted)),
                text=str(sent["status"]),
                language=str(sent["language"]),
                account=account,
                key=key,
                at=datetime.now(UTC),
            )
            self._keys[f"{account} {key}"] = post
            self.accepted.add(post, {"id": post.id, "account": account, "text": post.text})
        if answer is not None:
            return await trouble(answer, request)
        return web.json_response(_shown(post))

    async def _me(self, request: web.Request) -> web.StreamResponse:
        account = self._account(request)
        if account is None:
            return _reply(UNAUTHORISED)
        return web.json_response({"id": str(list(self.accounts.values()).index(account) + 1)})

    async def _statuses(self, request: web.Request) -> web.StreamResponse:
        answer = self.scripted("timeline")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer is not None:
            return await trouble(answer, request)
        account = list(self.accounts.values())[int(request.match_info["id"]) - 1]
        posts = [_shown(post) for post in reversed(list(self.accepted)) if post.account == account]
        return web.json_response(posts[: int(request.query["limit"])])

    async def _notifications(self, request: web.Request) -> web.StreamResponse:
        answer = self.scripted("notifications")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer is not None:
            return await trouble(answer, request)
        if self._account(request) is None:
            return _reply(UNAUTHORISED)
        after, limit = int(request.query.get("min_id", 0)), int(request.query["limit"])
        newer = [each for each in self._told if int(str(each["id"])) > after]
        page = newer[:limit] if "min_id" in request.query else newer[-limit:]
        return web.json_response(page[::-1])

    def _account(self, request: web.Request) -> str | None:
        return self.accounts.get(request.headers.get("Authorization", "").removeprefix("Bearer "))


def _shown(post: AcceptedPost) -> dict[str, object]:
    """As a server shows it: paragraphs, and links in three pieces."""
    words = "".join(f"<p>{escape(part)}</p>" for part in post.text.split("\n\n")).replace("\n", "<br>")
    return {"id": post.id, "content": words, "created_at": post.at.isoformat().replace("+00:00", "Z")}


def _reply(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
