"""The box's stand-in and the bench, for the conformance suite of a checkout of notifier."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from channels.base import Channel, HookRequest, Medium
from notifier_sms_modem.channel import SmsModem, signature
from tests.contract.bench import BASE_URL, OUR_NUMBER, SHORT, Arrived, Bench, World
from tests.contract.web_world import WebWorld
from tests.fakes.web import Answer, FakeWeb, Trouble, trouble

KEY = "a-key-of-the-box"


class FakeBox(FakeWeb):
    """Takes each id once."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, Arrived] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/texts", self._take), web.get("/texts/{id}", self._find)]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        answer = self.scripted(asked["to"])
        if isinstance(answer, Answer):
            return web.json_response(answer.body, status=answer.status, headers=answer.headers)
        if answer in (Trouble.HANG, Trouble.FAIL_AS_HTML):
            return await trouble(answer, request)
        self.texts.setdefault(asked["id"], Arrived(to=asked["to"], text=asked["text"]))
        return await trouble(answer, request) if answer else web.json_response({"id": asked["id"]})

    async def _find(self, request: web.Request) -> web.StreamResponse:
        name, answer = request.match_info["id"], self.scripted("look")
        if isinstance(answer, Answer):
            return web.json_response(answer.body, status=answer.status)
        if answer is not None:
            return await trouble(answer, request)
        if name in self.texts:
            return web.json_response({"id": name})
        return web.json_response({"error": "unknown"}, status=404)


class ModemWorld(WebWorld):
    def __init__(self, channel: Channel, box: FakeBox, to: str) -> None:
        super().__init__(channel, box, to)
        self._box = box

    def arrived(self) -> list[Arrived]:
        return list(self._box.texts.values())

    def refuse_address(self) -> None:
        self.next(Answer(status=422, body={"error": "bad-number"}))

    def refuse_opted_out(self) -> None:
        self.next(Answer(status=422, body={"error": "stopped"}))

    def hooks(self) -> Sequence[HookRequest]:
        text = {"kind": "text", "id": "1", "from": self._to, "to": OUR_NUMBER, "text": "Diolch! £"}
        receipt = {"kind": "receipt", "id": "2", "text_id": "d.mac", "tell": "a.mac", "became": "delivered"}
        return [self._call(text), self._call(receipt)]

    def _call(self, said: dict[str, str]) -> HookRequest:
        body = json.dumps(said).encode()
        headers = {"X-Signature": signature(KEY.encode(), body).decode()}
        return HookRequest(url=f"{BASE_URL}/hooks/sms_modem", headers=headers, body=body)


@asynccontextmanager
async def world(to: str, folder: Path) -> AsyncIterator[World]:
    async with FakeBox() as box, SmsModem(box.url, KEY, timeout_seconds=SHORT) as channel:
        yield ModemWorld(channel, box, to)


BENCH = Bench(
    name="sms_modem",
    medium=Medium.SMS,
    to="+447700900001",
    odd_spelling=" 0044 7700-900 001",
    env={"NOTIFIER_MODEM_URL": "http://127.0.0.1:1", "NOTIFIER_MODEM_KEY": KEY},
    required=("NOTIFIER_MODEM_URL", "NOTIFIER_MODEM_KEY"),
    world=world,
)
