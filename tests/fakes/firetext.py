"""A stand-in for FireText's form interface: takes texts, refuses by its codes, reports by reference, and calls our hook."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from tests.fakes.ledger import Ledger
from tests.fakes.web import Answer, FakeWeb, Trouble, trouble

API_KEY = "fake-firetext-key"
LONGEST = 612


def said(code: int, words: str = "", **more: object) -> Answer:
    """An answer as FireText words it: the status is 200 whatever the code."""
    return Answer(
        status=200, body={"code": code, "description": words or f"error {code}", "responseData": 0, **more}
    )


NO_CREDIT = said(7, "Insufficient credit")


@dataclass(frozen=True, kw_only=True)
class AcceptedText:
    """One text that was taken."""

    to: str
    sender: str
    body: str
    reference: str
    receipt: str
    is_unicode: bool


class FakeFiretext(FakeWeb):
    """`async with FakeFiretext() as firetext:`; scripts go by the number texted, "report" for look-ups."""

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, api_key: str = API_KEY, log: Path | None = None
    ) -> None:
        super().__init__(host=host, port=port)
        self.api_key = api_key
        self.accepted: Ledger[AcceptedText] = Ledger(log)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/api/sendsms/json", self._take), web.post("/api/deliveryreport/json", self._report)]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        to = form.get("to", "")
        answer = self.scripted(f"+{to}", "send")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer in (Trouble.HANG, Trouble.FAIL_AS_HTML):
            return await trouble(answer, request)
        if code := self._wrong(form):
            return _reply(said(code))
        text = AcceptedText(
            to=f"+{to}",
            sender=form["from"],
            body=form["message"],
            reference=form.get("reference", ""),
            receipt=form.get("receipt", ""),
            is_unicode=form.get("unicode") == "1",
        )
        self.accepted.add(
            text, {"to": text.to, "from": text.sender, "body": text.body, "reference": text.reference}
        )
        if answer is not None:
            return await trouble(answer, request)
        done = said(0, "SMS successfully queued", responseData=1)
        return web.json_response(done.body, headers={"X-Message": secrets.token_hex(8)})

    def _wrong(self, form: Mapping[str, str]) -> int:
        """The code of what is wrong with a call; 0: nothing."""
        to, sender, words = form.get("to", ""), form.get("from", ""), form.get("message", "")
        if form.get("apiKey") != self.api_key:
            return 1
        if not (to.isascii() and to.isdigit() and len(to) > 9):
            return 2
        if not 3 <= len(sender) <= 14 or sender.startswith("+"):
            return 3
        return 5 if not words or len(words) > LONGEST else 0

    async def _report(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        answer = self.scripted("report")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer is not None:
            return await trouble(answer, request)
        if form.get("apiKey") != self.api_key:
            return _reply(said(1))
        found = [text for text in self.accepted if text.reference == form.get("reference")]
        rows = [
            {
                "mobile": text.to[1:],
                "firstName": "",
                "lastName": "",
                "messageSent": "2026-11-22 12:00:00",
                "status": "Delivered",
            }
            for text in found
        ]
        return web.json_response({"code": 0, "description": "OK", "responseData": len(rows), "data": rows})

    # --- Calls to us ----------------------------------------------------------------------

    def receipt_form(self, text: AcceptedText, status: str, code: str = "") -> bytes:
        fields = {
            "mobile": text.to[1:],
            "status": status,
            "reference": text.reference,
            "time": "2026-11-22 12:00:05",
        }
        return urlencode(fields | ({"code": code} if code else {})).encode()

    def reply_form(self, *, sender: str, to: str, body: str, time: str = "2026-07-01 09:30:00") -> bytes:
        fields = {
            "source": sender.removeprefix("+"),
            "destination": to.removeprefix("+"),
            "message": body,
            "time": time,
        }
        return urlencode(fields).encode()

    async def post(self, url: str, body: bytes) -> int:
        """Call our hook; the status that came back."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.post(url, data=body, headers=headers) as reply,
        ):
            return reply.status


def _reply(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
