"""An error as its reader needs it: a page for people, RFC 9457 problem JSON for programs, nothing for hooks."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web

from notifier.web.context import show

RETRY_AFTER_SECONDS = "30"

TITLES = {
    400: "We could not read that request",
    401: "Sign in first",
    403: "You cannot do this",
    404: "We could not find that page",
    405: "This page does not work that way",
    409: "This has changed",
    413: "That is too long",
    415: "We could not read that request",
    422: "Some answers need mending",
    429: "Too much at once",
    500: "Something went wrong",
    503: "We cannot do that just now",
}
SENTENCES = {
    400: "Go back and try again. If you typed the address of this page, check it.",
    404: "If you typed the address, check it is right. If you used a link in a message, it may have run out: ask for a new one.",
    405: "Go back and use the button on the page.",
    413: "Go back and make it shorter.",
    429: "Wait a moment, then try again.",
    500: "It is our fault, not yours, and nothing you sent was half done. Try again in a few minutes.",
    503: "Part of the service cannot be reached. Nothing is lost. Try again in a minute.",
}


def problem(
    request: web.Request,
    status: int,
    detail: str = "",
    *,
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    reference: str = "",
) -> web.Response:
    """The answer to a request that failed. Never holds more than what is given here."""
    title = TITLES.get(status, HTTPStatus(status).phrase)
    sentence = detail or SENTENCES.get(status, "Go back and try again.")
    if request.path.startswith("/hooks/"):
        response = web.Response(status=status)
    elif request.path.startswith("/api/"):
        response = problem_json(status, title, sentence, fields=fields or {}, reference=reference)
    else:
        response = show(
            request,
            "error.html",
            status=status,
            title=title,
            sentence=sentence,
            problems=list((fields or {}).values()),
            reference=reference,
        )
    response.headers.update(headers or {})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers.setdefault("Retry-After", RETRY_AFTER_SECONDS)
    return response


def problem_json(
    status: int, title: str, detail: str, *, fields: Mapping[str, str], reference: str = ""
) -> web.Response:
    """RFC 9457, with a JSON pointer (RFC 6901) to each field that needs mending."""
    body: dict[str, object] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if fields:
        body["errors"] = [
            {"pointer": "/" + name.replace(".", "/"), "detail": sentence} for name, sentence in fields.items()
        ]
    if reference:
        body["reference"] = reference
    return web.Response(
        status=status, body=json.dumps(body).encode(), content_type="application/problem+json"
    )
