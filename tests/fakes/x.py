"""A stand-in for X: takes posts, refuses the words of a recent one, shows the timeline, and who named an account."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from tests.fakes.ledger import Ledger
from tests.fakes.web import Answer, FakeWeb, Trouble, trouble

ACCOUNT_ID, ACCOUNT = "4242", "southmere"
PAGE = 100


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
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class Mention:
    """What somebody says that names an account of ours."""

    id: int
    text: str
    sender: str
    at: datetime
    conversation: str
    to: str
    long: str = ""


class FakeX(FakeWeb):
    """`async with FakeX() as x:`; scripts are for the next posts, whatever they say (key "")."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, log: Path | None = None) -> None:
        super().__init__(host=host, port=port)
        self.accepted: Ledger[AcceptedPost] = Ledger(log)
        self.mentions: list[Mention] = []
        self.names: dict[str, str] = {}  # token → account, where it is not the only one

    def mention(
        self,
        text: str,
        *,
        sender: str = "Joe_Resident",
        answers: str = "",
        to: str = ACCOUNT,
        long: str = "",
        at: datetime | None = None,
    ) -> Mention:
        """Somebody names an account; answers: the first post of the thread."""
        number = 5000 + len(self.mentions)
        made = Mention(
            id=number,
            text=text,
            sender=sender,
            at=at or datetime.now(UTC),
            conversation=answers or str(number),
            to=to,
            long=long,
        )
        self.mentions.append(made)
        return made

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/2/tweets", self._take),
            web.get("/2/users/me", self._me),
            web.get("/2/users/{id}/tweets", self._timeline),
            web.get("/2/users/{id}/mentions", self._mentions),
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
        token = _token(request)
        if any(post.text == text and post.token == token for post in self.accepted):
            return _reply(DUPLICATE)
        post = AcceptedPost(id=str(1000 + len(self.accepted)), text=text, at=datetime.now(UTC), token=token)
        self.accepted.add(post, {"id": post.id, "text": text})
        if answer is not None:
            return await trouble(answer, request)
        return web.json_response({"data": {"id": post.id, "text": text}}, status=201)

    async def _me(self, request: web.Request) -> web.Response:
        name = self.names.get(_token(request), ACCOUNT)
        numbers = {each: str(int(ACCOUNT_ID) + at) for at, each in enumerate([ACCOUNT, *self.names.values()])}
        return web.json_response({"data": {"id": numbers[name], "name": name.title(), "username": name}})

    async def _mentions(self, request: web.Request) -> web.StreamResponse:
        """The newest first, a page at a time, as X shows them."""
        answer = self.scripted("mentions")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer is not None:
            return await trouble(answer, request)
        name = self.names.get(_token(request), ACCOUNT)
        since, start = int(request.query.get("since_id", 0)), request.query.get("start_time")
        told = [m for m in reversed(self.mentions) if m.to == name and m.id > since]
        if start:
            told = [m for m in told if m.at >= datetime.fromisoformat(start)]
        at = int(request.query.get("pagination_token", 0))
        page, rest = told[at : at + PAGE], told[at + PAGE :]
        meta: dict[str, object] = {"result_count": len(page)}
        if rest:
            meta["next_token"] = str(at + PAGE)
        body: dict[str, object] = {"meta": meta}
        if page:
            users = {m.sender: {"id": _number(m.sender), "name": "Joe", "username": m.sender} for m in page}
            body |= {"data": [_said(m) for m in page], "includes": {"users": list(users.values())}}
        return web.json_response(body)

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
            if p.token == _token(request)
        ]
        return web.json_response({"data": posts[:20], "meta": {"result_count": len(posts[:20])}})


def _reply(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)


def _said(m: Mention) -> dict[str, object]:
    row: dict[str, object] = {
        "id": str(m.id),
        "text": m.text,
        "author_id": _number(m.sender),
        "conversation_id": m.conversation,
        "created_at": m.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "edit_history_tweet_ids": [str(m.id)],
    }
    return row | ({"note_tweet": {"text": m.long}} if m.long else {})


def _number(name: str) -> str:
    return ACCOUNT_ID if name == ACCOUNT else str(sum(map(ord, name)) + 100_000)


def _token(request: web.Request) -> str:
    found = re.search(r'oauth_token="([^"]*)"', request.headers.get("Authorization", ""))
    return found[1] if found else ""
