"""Makes the stand-ins of a running process go wrong, by hand: `curl -d '{"answers": ["take_and_cut"]}' URL/twilio/trouble`."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from aiohttp import web

from tests.fakes import smtp
from tests.fakes.ledger import Ledger
from tests.fakes.web import Answer, FakeWeb, Trouble


class StandIn(Protocol):
    """What every stand-in is: an address, and what it took."""

    accepted: Ledger[Any]

    @property
    def url(self) -> str: ...
    async def __aenter__(self) -> object: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None: ...


HOW = (
    'POST {"about": "…", "answers": […]} to /NAME/trouble. about: an address, or nothing for whatever comes next. '
    f"answers: one for each try: {', '.join(Trouble)}, or {{'status': 429, 'body': {{}}, 'headers': {{}}}}; "
    f"for mail a reply such as '550 5.1.1 no such user', or {', '.join(smtp.Trouble)}, and about names whom."
)


class Control(FakeWeb):
    """`stand_ins`: by name. GET / says what each has taken and how to ask for trouble."""

    def __init__(self, stand_ins: Mapping[str, StandIn], *, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(host=host, port=port)
        self._stand_ins = stand_ins

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self._say), web.post("/{name}/trouble", self._trouble)]

    async def _say(self, request: web.Request) -> web.Response:
        taken = {name: len(each.accepted) for name, each in self._stand_ins.items()}
        return web.json_response({"taken": taken, "how": HOW})

    async def _trouble(self, request: web.Request) -> web.Response:
        stand_in = self._stand_ins.get(request.match_info["name"])
        if stand_in is None:
            return web.json_response({"wrong": f"one of {', '.join(self._stand_ins)}"}, status=404)
        try:
            asked = json.loads(await request.text())
            about, answers = str(asked.get("about", "")), list(asked["answers"])
            if isinstance(stand_in, smtp.FakeSmtp):
                _ask_of_mail(stand_in, about, answers)
            elif isinstance(stand_in, FakeWeb):
                stand_in.script(about, *(_answer(each) for each in answers))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return web.json_response({"wrong": f"{type(error).__name__}: {error}", "how": HOW}, status=422)
        return web.json_response({"asked": len(answers)})


def _ask_of_mail(mail: smtp.FakeSmtp, about: str, answers: list[Any]) -> None:
    if not about:
        raise ValueError("about must name whose mail")
    for answer in answers:
        at_text = answer in set(smtp.Trouble) and str(answer).endswith(("_text", "_dot"))
        (mail.script_text if at_text else mail.script)(about, str(answer))


def _answer(asked: Any) -> Answer | Trouble:
    if isinstance(asked, str):
        return Trouble(asked)
    return Answer(status=int(asked["status"]), body=asked.get("body", {}), headers=asked.get("headers", {}))
