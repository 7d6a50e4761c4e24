"""A stand-in for Facebook's Graph API: takes posts of pages whose calls are signed, and refuses the words of the last."""

import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from aiohttp import web

from tests.fakes.ledger import Ledger
from tests.fakes.web import Answer, FakeWeb, Trouble, trouble

PAGE, TOKEN, APP_SECRET = "104857600000000", "page-token", "app-secret"


def error(code: int, *, status: int = 400, is_transient: bool = False) -> Answer:
    said = {"message": "no", "type": "OAuthException", "code": code, "is_transient": is_transient}
    return Answer(status=status, body={"error": said})


def throttled(minutes: int, code: int = 32) -> Answer:
    usage = {PAGE: [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": minutes}]}
    headers = {"X-Business-Use-Case-Usage": json.dumps(usage)}
    return Answer(status=403, body=error(code).body, headers=headers)


@dataclass(frozen=True, kw_only=True)
class AcceptedPost:
    """One post that was taken."""

    id: str
    text: str
    link: str
    page: str
    at: datetime


class FakeFacebook(FakeWeb):
    """`async with FakeFacebook() as graph:`. pages: number → token."""

    def __init__(
        self,
        pages: dict[str, str] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        log: Path | None = None,
    ) -> None:
        super().__init__(host=host, port=port)
        self.pages = pages or {PAGE: TOKEN}
        self.accepted: Ledger[AcceptedPost] = Ledger(log)

    @property
    def graph_url(self) -> str:
        return f"{self.url}/v23.0"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v23.0/{page}/feed", self._take),
            web.get("/v23.0/{page}/posts", self._posts),
        ]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        page, sent = request.match_info["page"], await request.post()
        if not self._is_signed(request, str(sent.get("appsecret_proof", ""))):
            return _reply(error(190, status=401))
        answer = self.scripted("send")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer in (Trouble.HANG, Trouble.FAIL_AS_HTML):
            return await trouble(answer, request)
        text, mine = str(sent["message"]), self._of(page)
        if mine and mine[-1].text == text:
            return _reply(error(506))
        post = AcceptedPost(
            id=f"{page}_{1000 + len(self.accepted)}",
            text=text,
            link=str(sent.get("link", "")),
            page=page,
            at=datetime.now(UTC),
        )
        self.accepted.add(post, {"id": post.id, "text": text})
        if answer is not None:
            return await trouble(answer, request)
        return web.json_response({"id": post.id})

    async def _posts(self, request: web.Request) -> web.StreamResponse:
        answer = self.scripted("timeline")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer is not None:
            return await trouble(answer, request)
        if not self._is_signed(request, request.query.get("appsecret_proof", "")):
            return _reply(error(190, status=401))
        rows = [
            {"id": post.id, "message": post.text, "created_time": f"{post.at:%Y-%m-%dT%H:%M:%S%z}"}
            for post in reversed(self._of(request.match_info["page"]))
        ]
        return web.json_response({"data": rows[: int(request.query["limit"])]})

    def _of(self, page: str) -> list[AcceptedPost]:
        return [post for post in self.accepted if post.page == page]

    def _is_signed(self, request: web.Request, proof: str) -> bool:
        token = self.pages.get(request.match_info["page"], "")
        expected = hmac.new(APP_SECRET.encode(), token.encode(), sha256).hexdigest()
        return request.headers.get("Authorization") == f"Bearer {token}" and proof == expected


def _reply(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
