"""One call of the API: what it takes and gives, and everything that stands before its handler.

A handler gets an open transaction and a `Call`, and returns a model. Who may call, the shape of query and
body, and `Idempotency-Key` are settled here; whose rows may be seen stands in the handlers' statements.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from notifier.db import Database, Tx
from notifier.errors import Invalid, NotAllowed, NotFound
from notifier.runtime import Service
from notifier.staff import api_tokens, audit, officers, roles
from notifier.staff.api_tokens import ApiCaller, Scope
from notifier.staff.roles import Act
from notifier.web.api import idempotency
from notifier.web.api.strict import Body, NotAsked, checked, checked_query
from notifier.web.forms import query
from notifier.web.service import database, service
from notifier.web.shedding import is_busy, is_crowded, too_much
from subscribers.signing import hash_secret

PREFIX = "/api/v1"
JSON = "application/json"
KEY_HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
LONGEST_TOKEN = 200

BodyModel = TypeVar("BodyModel", bound=BaseModel)
QueryModel = TypeVar("QueryModel", bound=BaseModel)


class Nothing(Body):
    """No parameters, no members."""


class Answer(BaseModel):
    """Base of what goes out."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True, kw_only=True)
class Call(Generic[QueryModel, BodyModel]):
    """A call whose shape and token are in order."""

    service: Service
    path: Mapping[str, str]
    query: QueryModel
    body: BodyModel
    caller: ApiCaller | None = None
    owner: str = ""

    @property
    def team(self) -> UUID:
        """The token's team: the only one whose rows may be seen."""
        if self.caller is None:
            raise NotAllowed
        return self.caller.team

    @property
    def actor(self) -> str:
        """The caller's name in the audit."""
        officer = self.caller.officer if self.caller else None
        return audit.officer_actor(officer) if officer else f"api:{self.owner[:16]}"

    def id(self, name: str = "id") -> UUID:
        """An id of the path. Raises NotFound for what is none."""
        text = self.path[name]
        try:
            found = UUID(text)
        except ValueError:
            raise NotFound from None
        if str(found) != text:
            raise NotFound
        return found

    async def require(self, tx: Tx, act: Act) -> None:
        """Raise NotAllowed where the token's officer may not do this in its team (any more)."""
        officer = self.caller.officer if self.caller else None
        if officer and not roles.may(await officers.grants_of(tx, officer), act, self.team):
            raise NotAllowed


Handler = Callable[[Tx, Any], Awaitable[BaseModel]]
Before = Callable[[Any], Awaitable[None]]
IsBulk = Callable[[Tx, Any], Awaitable[bool]]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One line of the route table. scope: None where no token is needed. path: below /api/v1.

    point: the ledger's commit point its transaction is, if it is one. before: asked with the call while no
    transaction is open; it may raise. bulk: is it shed while the database cannot keep up? Where that is not the same
    for every call it is asked, once somebody waits.
    """

    method: str
    path: str
    summary: str
    handler: Handler
    answer: type[BaseModel]
    status: int = HTTPStatus.OK
    scope: Scope | None = Scope.READ
    query: type[BaseModel] = Nothing
    body: type[BaseModel] = Nothing
    problems: Sequence[int] = field(default=())
    point: str = ""
    before: Before | None = None
    bulk: bool | IsBulk = False

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def needs_body(self) -> bool:
        """Must there be a body? Not where all of its members may be left out."""
        return any(member.is_required() for member in self.body.model_fields.values())


def route(operation: Operation) -> web.RouteDef:
    """The operation, with everything that stands before it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await _serve(request, operation)
        except NotAsked as error:
            return refusal(error)

    return web.route(operation.method, PREFIX + operation.path, handle)


def refusal(error: NotAsked) -> web.Response:
    """RFC 9457, with a pointer to each thing that needs mending."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
    }
    if error.errors:
        body["errors"] = [{"pointer": at, "detail": words} for at, words in error.errors]
    return web.Response(
        status=error.status, body=json.dumps(body).encode(), content_type="application/problem+json"
    )


async def _serve(request: web.Request, operation: Operation) -> web.Response:
    db = _behind(request) if operation.bulk is True else database(request)
    caller, owner = await _caller(request, db, operation.scope)
    asked = checked_query(operation.query, query(request))
    body = await _body(request, operation)
    call = Call(
        service=service(request),
        path=dict(request.match_info),
        query=asked,
        body=checked(operation.body, body) if operation.writes else Nothing(),
        caller=caller,
        owner=owner,
    )
    key = _key(request) if operation.writes else None
    if operation.before is not None:
        await operation.before(call)
    if callable(operation.bulk) and is_busy(service(request).db.waits):
        async with db.transaction(read_only=True) as tx:
            is_bulk = await operation.bulk(tx, call)
        db = _behind(request) if is_bulk else db
    try:
        async with db.transaction(read_only=not operation.writes, point=operation.point) as tx:
            if key is None:
                found = await _answer(tx, operation, call)
            else:
                return await _once(request, tx, operation, call, key, body)
    except Invalid as error:
        faults = [("/" + name.replace(".", "/"), words) for name, words in error.fields.items()]
        raise NotAsked(422, "Some fields need mending.", faults) from None
    return _response(found)


def _behind(request: web.Request) -> Database:
    """Where bulk goes: behind whoever waits. Raises 429 where they wait too long."""
    own = service(request).db
    if is_crowded(own.waits):
        raise too_much()
    return own


async def _answer(tx: Tx, operation: Operation, call: Call[Any, Any]) -> idempotency.Kept:
    found = await operation.handler(tx, call)
    return idempotency.Kept(status=operation.status, response=found.model_dump_json())


async def _once(
    request: web.Request, tx: Tx, operation: Operation, call: Call[Any, Any], key: str, body: bytes
) -> web.Response:
    hashed = idempotency.request_hash(request.method, request.path, body)
    earlier = await idempotency.begin(tx, call.owner, key, hashed)
    if earlier is not None:
        return _response(earlier, replayed=True)
    found = await _answer(tx, operation, call)
    await idempotency.keep(tx, call.owner, key, found)
    return _response(found)


def _response(found: idempotency.Kept, *, replayed: bool = False) -> web.Response:
    headers = {REPLAYED: "true"} if replayed else {}
    return web.Response(status=found.status, text=found.response, content_type=JSON, headers=headers)


async def _caller(request: web.Request, db: Database, scope: Scope | None) -> tuple[ApiCaller | None, str]:
    """Whose token it is, and the name under which its keys are kept. 401 without detail, 403 beyond its scope."""
    if scope is None:
        return None, ""
    token = _token(request.headers.getall("Authorization", []))
    caller = None
    if token:
        async with db.transaction(read_only=True) as tx:
            caller = await api_tokens.read(tx, token)
    if caller is None:
        raise web.HTTPUnauthorized(
            text="Send the token of a team as “Authorization: Bearer …”.",
            headers={"WWW-Authenticate": 'Bearer realm="notifier"'},
        )
    if scope not in caller.scopes:
        raise NotAllowed(f"This token is not good for {scope.value}.")
    return caller, hash_secret(token).hex()[:40]


def _token(headers: Sequence[str]) -> str:
    """The token of the one Authorization header there may be, or nothing. Pure."""
    if len(headers) != 1:
        return ""
    scheme, _, token = headers[0].partition(" ")
    is_one = scheme.lower() == "bearer" and 0 < len(token) <= LONGEST_TOKEN and token.isascii()
    return token if is_one and token.isalnum() else ""


def _key(request: web.Request) -> str | None:
    keys = request.headers.getall(KEY_HEADER, [])
    if not keys:
        return None
    if len(keys) > 1 or not idempotency.is_key(keys[0]):
        raise NotAsked(400, f"{KEY_HEADER} holds 1 to 255 visible characters, and is sent once.")
    return keys[0]


async def _body(request: web.Request, operation: Operation) -> bytes:
    """The raw body of a call that writes. 415 for another kind; where nothing is asked, none may come."""
    if not operation.writes:
        return b""
    body = await request.read()
    if not body and not operation.needs_body:
        return b"{}"
    if request.content_type != JSON:
        raise web.HTTPUnsupportedMediaType(text=f"Send the body as {JSON}.")
    return body
