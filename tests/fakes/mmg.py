"""A stand-in for MMG's JSON interface: takes texts, refuses, and calls our hook."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

from aiohttp import web

from tests.fakes.ledger import Ledger
from tests.fakes.web import Answer, FakeWeb, Trouble, trouble

API_KEY = "fake-mmg-key"


def error(code: int, status: int = 400) -> Answer:
    """An error as MMG words it."""
    return Answer(status=status, body={"Error": code, "Description": f"error {code}"})


@dataclass(frozen=True, kw_only=True)
class AcceptedText:
    """One text that was taken. name: MMG's own for it."""

    name: str
    to: str
    sender: str
    body: str
    reference: str
    receipt: str


class FakeMmg(FakeWeb):
    """`async with FakeMmg() as mmg:`; scripts go by the number texted."""

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 0, api_key: str = API_KEY, log: Path | None = None
    ) -> None:
        super().__init__(host=host, port=port)
        self.api_key = api_key
        self.accepted: Ledger[AcceptedText] = Ledger(log)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/json/api.php", self._take)]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Basic {self.api_key}":
            return _reply(error(1, 401))
        asked = await request.json()
        to = f"+{asked['MSISDN']}"
        answer = self.scripted(to, "send")
        if isinstance(answer, Answer):
            return _reply(answer)
        if answer in (Trouble.HANG, Trouble.FAIL_AS_HTML):
            return await trouble(answer, request)
        if asked["reqType"] != "BULK" or not to[1:].isdigit() or not asked["msg"]:
            return _reply(error(2))
        text = AcceptedText(
            name=secrets.token_hex(8),
            to=to,
            sender=asked["sender"],
            body=asked["msg"],
            reference=asked["cid"],
            receipt=asked.get("delurl", ""),
        )
        self.accepted.add(
            text, {"to": text.to, "from": text.sender, "body": text.body, "reference": text.reference}
        )
        if answer is not None:
            return await trouble(answer, request)
        return web.json_response({"Reference": text.name})

    def receipt_body(self, text: AcceptedText, status: str, detail: str = "") -> bytes:
        told = {"reference": text.name, "CID": text.reference, "MSISDN": text.to[1:], "status": status}
        return json.dumps(told | {"substatus": detail, "deliverytime": "2026-07-01 09:30:00"}).encode()

    def reply_body(self, *, sender: str, to: str, body: str, name: str = "") -> bytes:
        told = {"ID": name or secrets.token_hex(8), "MSISDN": sender[1:], "Number": to[1:], "Channel": "SMS"}
        return json.dumps(
            told | {"Message": quote_plus(body), "DateRecieved": "2026-07-01+09%3A30%3A00"}
        ).encode()


def _reply(answer: Answer) -> web.Response:
    return web.json_response(answer.body, status=answer.status, headers=answer.headers)
