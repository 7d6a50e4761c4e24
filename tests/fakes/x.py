"""A stand-in for X: takes posts, refuses the words of a recent one, and shows the timeline."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from tests.fakes.ledger import Ledger
from tests.fakes.web import Answer, FakeWeb, Trouble, trouble

ACCOUNT_ID = "4242"


def forbidden(detail: str) -> Answer:
    body = {"title": "Forbidden", "status": 403, "detail": detail, "type": "about:blank"}
    return Answer(status=403, body=body)


def problem(status: int, detail: str = "no") -> Answer:
    return Answer(status=status, body={"title": "Problem", "status": status, "detail": detail})


def throttled(seconds: int) -> Answer:
    reset = str(int(time.time()) + seconds)
    return Answer(status=429, body={"title": "Too Many Requests"}, headers={"x-rate-limit-reset": reset})


def spent_for_today(seconds: int) -> Answer:
    """The day's posts are used up, though the quarter of an hour's are not."""
    reset = str(int(time.time()) + seconds)
    headers = {
        "x-rate-limit-reset": str(int(time.time()) + 900),
        "x-user-limit-24hour-remaining": "0",
        "x-user-limit-24hour-reset": reset,
    }
    return Answer(status=429, body={"title": "Too Many Requests"}, headers=headers)


LOCKED = forbidden("To protect our users, this account is temporarily locked. Please log in to unlock it.")
SUSPENDED = forbidden("Your account is suspended and is not permitted to access this feature.")
UNAUTHORISED = problem(401, "Unauthorized")
NO_CREDIT = problem(402, "CreditsDepleted")
DUPLICATE = forbidden("You are not allowed to create a Tweet with duplicate content.")


@dataclass(frozen=True, kw_only=True)
class AcceptedPost:
    """One post that was taken."""

    id: str
    text: str
    at: datetime


class FakeX(FakeWeb):
    """`async with FakeX() as x:`; scripts are for the next posts, whatever they say (key "")."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, log: Path | None = None) -> None:
        super().__init__(host=host, port=port)
        self.accepted: Ledger[AcceptedPost] = Ledger(log)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/2/tweets", self._take),
            web.get("/2/users/me", self._me),
            web.get("/2/users/{id}/tweets", self._timeline),
        ]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        if not request.headers.get("Authorization", "").startswith("OAuth "):
            return _reply(problem(401, "Unauthorized"))
        text = str((await request.json())["text"])
        answer = self.scripted("send")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer in (Trouble.HANG, Trouble.FAIL_AS_HTML):
            return await trouble(answer, request)
        if any(post.text == text for post in self.accepted):
            return _reply(DUPLICATE)
        post = AcceptedPost(id=str(1000 + len(self.accepted)), text=text, at=datetime.now(UTC))
        self.accepted.add(post, {"id": post.id, "text": text})
        if answer is not None:
            return await trouble(answer, request)
        return web.json_response({"data": {"id": post.id, "text": text}}, status=201)

    async def _me(self, request: web.Request) -> web.Response:
        return web.json_response({"data": {"id": ACCOUNT_ID, "name": "Southmere", "username": "southmere"}})

    async def _timeline(self, request: web.Request) -> web.StreamResponse:
        answer = self.scripted("timeline")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer is not None:
            return await trouble(answer, request)
        posts = [
            {
                "id": p.id,
                "text": p.text,
                "created_at": p.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "edit_history_tweet_ids": [p.id],
            }
            for p in reversed(list(self.accepted))
        ]
        return web.json_response({"data": posts[:20], "meta": {"result_count": len(posts[:20])}})


def _reply(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
